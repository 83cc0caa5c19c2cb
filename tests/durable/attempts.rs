//! How attempts end, and what the store is told of it.

use std::{
    sync::atomic::{AtomicU32, Ordering::SeqCst},
    time::Duration,
};

use bocadillo::{
    App, Request, Response, Runner, background,
    background::TaskState,
    durable::{KeptState, Memory, Store as _},
    route, task,
    testing::Client,
};

use crate::support::soon;

#[task(name = "attempts.fails", retries = 2, backoff = "1s..2s")]
async fn fails(until: u32) -> bocadillo::Result<()> {
    let attempt = background::current().attempt();
    if attempt < until {
        return Err(bocadillo::Error::msg(format!("attempt {attempt} fails")));
    }
    Ok(())
}

#[task(name = "attempts.panics", retries = 1)]
async fn panics() {
    tokio::task::yield_now().await;
    panic!("as planned");
}

#[task(name = "attempts.hangs", retries = 1, timeout = "5s")]
async fn hangs() {
    std::future::pending::<()>().await;
}

async fn drained(store: &Memory) -> Vec<TaskState> {
    let reports = store.drain().await;
    reports.into_iter().map(|report| report.outcome).collect()
}

async fn dead(store: &Memory) -> (u32, String) {
    let dead = store.list(KeptState::Dead, 10).await.expect("a list");
    assert_eq!(dead.len(), 1, "{dead:?}");
    (dead[0].attempts, dead[0].error.clone().expect("an error"))
}

#[tokio::test]
async fn failed_attempts_are_repeated() {
    let store = Memory::new();
    fails(3).enqueue(&store).await.expect("it is committed");
    let states = drained(&store).await;
    use TaskState::{Completed, Failed};
    assert_eq!(states, [Failed, Failed, Completed]);
    assert_eq!(store.counts().await.expect("counts"), []);
}

#[tokio::test]
async fn after_the_last_attempt_a_task_is_dead() {
    let store = Memory::new();
    fails(9).enqueue(&store).await.expect("it is committed");
    assert_eq!(drained(&store).await, [TaskState::Failed; 3]);
    assert_eq!(dead(&store).await, (3, "attempt 3 fails".to_owned()));
}

#[tokio::test]
async fn a_panic_is_a_failed_attempt() {
    let store = Memory::new();
    panics().enqueue(&store).await.expect("it is committed");
    assert_eq!(drained(&store).await, [TaskState::Panicked; 2]);
    assert_eq!(dead(&store).await, (2, "it panicked".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn the_end_of_its_time_is_a_failed_attempt() {
    let store = Memory::new();
    hangs().enqueue(&store).await.expect("it is committed");
    assert_eq!(drained(&store).await, [TaskState::TimedOut; 2]);
    assert_eq!(
        dead(&store).await,
        (2, "it ran for longer than it may".to_owned())
    );
}

#[task(name = "attempts.spawns")]
async fn spawns(depth: u32) {
    if depth > 0 {
        background::current().spawn(spawns(depth - 1));
    }
}

#[tokio::test]
async fn a_durable_follow_up_is_committed_and_drained() {
    let store = Memory::new();
    spawns(3).enqueue(&store).await.expect("it is committed");
    assert_eq!(drained(&store).await, [TaskState::Completed; 4]);
    assert_eq!(store.enqueued().len(), 4);
    assert_eq!(store.counts().await.expect("counts"), []);
}

static STARTED: tokio::sync::Notify = tokio::sync::Notify::const_new();

#[task(name = "attempts.stopped")]
async fn stopped() {
    STARTED.notify_one();
    std::future::pending::<()>().await;
}

#[route("/stopped")]
async fn register_stopped(_req: &mut Request, res: &mut Response) {
    res.background(stopped());
}

#[tokio::test(start_paused = true)]
async fn a_graceful_stop_burns_no_attempt() {
    let store = Memory::new();
    let runner = Runner::current().store(store.clone()).build();
    let client = Client::new(
        App::new()
            .route(register_stopped)
            .background(runner.clone()),
    );
    let response = client.get("/stopped").await;
    soon("the start", STARTED.notified()).await;
    let report = runner.drain(Duration::from_secs(3)).await;
    assert_eq!(report.cut.len(), 1);
    assert_eq!(response.tasks().await[0].outcome, TaskState::Cancelled);
    let queued = store.list(KeptState::Queued, 10).await.expect("a list");
    assert_eq!(queued[0].attempts, 0);
}

static REFUSED: AtomicU32 = AtomicU32::new(0);

#[task(name = "attempts.refused")]
async fn refused() {
    REFUSED.fetch_add(1, SeqCst);
}

#[route("/refused")]
async fn register_refused(_req: &mut Request, res: &mut Response) {
    res.background(refused());
}

/// Its client was told that the task will run.
#[tokio::test]
async fn a_task_without_room_is_given_back() {
    let store = Memory::new();
    let runner = Runner::current().store(store.clone()).max_waiting(0);
    let client = Client::new(App::new().route(register_refused).background(runner));
    let response = client.get("/refused").await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.tasks().await[0].outcome, TaskState::Refused);
    assert_eq!(REFUSED.load(SeqCst), 0);
    assert_eq!(drained(&store).await, [TaskState::Completed]);
    assert_eq!(REFUSED.load(SeqCst), 1);
}

#[task(name = "attempts.identified")]
async fn identified() -> bocadillo::Result<()> {
    let context = background::current();
    let id = context.task_id().expect("it is durable");
    match context.attempt() {
        1 => Err(bocadillo::Error::msg(id.to_string())),
        _ => Ok(()),
    }
}

#[tokio::test]
async fn the_number_is_the_same_in_each_attempt() {
    let store = Memory::new();
    let id = identified().enqueue(&store).await.expect("it is committed");
    let reports = store.drain().await;
    assert_eq!(reports[0].error, Some(id.to_string()));
    assert_eq!(reports[1].outcome, TaskState::Completed);
}
