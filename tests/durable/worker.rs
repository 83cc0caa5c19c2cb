//! Tasks without a server.

use std::time::Duration;

use bocadillo::{
    Runner, background,
    durable::{Memory, Store as _, Worker},
    task,
};
use tokio::sync::{mpsc, oneshot};

use crate::support::soon;

type Sender = mpsc::UnboundedSender<(String, u32)>;

#[task(name = "worker.work", backoff = "10ms..10ms")]
async fn work(what: String, failures: u32) -> bocadillo::Result<()> {
    let context = background::current();
    let attempt = context.attempt();
    let _ = context.state::<Sender>()?.send((what, attempt));
    if attempt <= failures {
        return Err(bocadillo::Error::msg("as planned"));
    }
    Ok(())
}

#[tokio::test]
async fn a_worker_runs_what_is_enqueued_and_what_failed() {
    let store = Memory::new();
    let (sender, mut worked): (Sender, _) = mpsc::unbounded_channel();
    let (stop, stopped) = oneshot::channel::<()>();
    let worker = Worker::new(store.another_holder())
        .background(Runner::current().state(sender))
        .with_graceful_shutdown(async { drop(stopped.await) });
    let running = tokio::spawn(worker.run());
    let call = work("at once".to_owned(), 2);
    call.enqueue(&store).await.expect("it is committed");
    for attempt in 1..=3 {
        let (what, number) = soon("an attempt", worked.recv()).await.expect("a worker");
        assert_eq!((&*what, number), ("at once", attempt));
    }
    let call = work("later".to_owned(), 0).run_in(Duration::from_millis(50));
    call.enqueue(&store).await.expect("it is committed");
    let (what, _) = soon("the delayed task", worked.recv())
        .await
        .expect("a worker");
    assert_eq!(what, "later");
    stop.send(()).expect("the worker waits for it");
    soon("the end", running)
        .await
        .expect("no panic")
        .expect("a clean end");
    assert_eq!(store.counts().await.expect("counts"), []);
}

/// A process that dies leaves its tasks to the others.
#[tokio::test]
async fn a_worker_takes_over_from_a_dead_holder() {
    let store = Memory::new();
    let dying = store.another_holder();
    work("orphan".to_owned(), 0)
        .enqueue(&dying)
        .await
        .expect("it is committed");
    let claimed = dying.claim(&["worker.work"], 1).await.expect("a claim");
    assert_eq!(claimed[0].attempt, 1);
    let (sender, mut worked): (Sender, _) = mpsc::unbounded_channel();
    let worker = Worker::new(store.another_holder()).background(Runner::current().state(sender));
    let running = tokio::spawn(worker.run());
    drop(dying);
    let worked = soon("the orphan", worked.recv()).await;
    assert_eq!(worked, Some(("orphan".to_owned(), 2)));
    running.abort();
}
