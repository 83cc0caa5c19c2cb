//! The end of a server when its program says so, and of a runner without a server.

use std::{
    future::poll_fn,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use bocadillo::{
    App, Request, Response, Runner, Task, background,
    background::{Report, TaskState},
    route,
};
use tokio::{
    net::TcpListener,
    sync::{Notify, oneshot},
    task::JoinHandle,
};

use crate::support::{Http1, PATIENCE, http2, http2_request, soon};

/// Where views wait, and say that they do.
#[derive(Clone, Default)]
struct Gate {
    opens: Arc<Notify>,
    reached: Arc<Notify>,
    /// A view has lost its client.
    detached: Arc<Notify>,
    /// Tasks that have ended.
    done: Arc<AtomicUsize>,
    /// Views that have come to their end.
    passed: Arc<AtomicUsize>,
}

impl Gate {
    /// Opens for whoever waits, now and later.
    fn open(&self) -> JoinHandle<()> {
        let opens = Arc::clone(&self.opens);
        tokio::spawn(async move {
            loop {
                opens.notify_waiters();
                tokio::task::yield_now().await;
            }
        })
    }
}

/// Waits until the test opens the gate, with a task behind it.
#[route("/gate")]
async fn gate(req: &mut Request, res: &mut Response) -> bocadillo::Result<()> {
    let gate = req.state::<Gate>()?.clone();
    let done = Arc::clone(&gate.done);

    #[background]
    async fn count() {
        tokio::task::yield_now().await;
        done.fetch_add(1, SeqCst);
    }

    let mut opens = std::pin::pin!(gate.opens.notified());
    gate.reached.notify_one();
    // By a unique reference, since a request is not `Sync`.
    let req = &mut *req;
    let detached = Arc::clone(&gate.detached);
    poll_fn(move |cx| {
        if req.is_disconnected() {
            detached.notify_one();
        }
        opens.as_mut().poll(cx)
    })
    .await;
    gate.passed.fetch_add(1, SeqCst);
    res.text("opened");
    Ok(())
}

/// An app behind a gate, and what ends it.
struct Served {
    at: Gate,
    stop: oneshot::Sender<()>,
    addr: SocketAddr,
    runner: Runner,
    served: JoinHandle<bocadillo::Result<()>>,
}

async fn serve() -> Served {
    let at = Gate::default();
    let (stop, stopped) = oneshot::channel::<()>();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let addr = listener.local_addr().expect("an address");
    let runner = Runner::current().build();
    let app = App::new()
        .route(gate)
        .state(at.clone())
        .background(runner.clone())
        .with_graceful_shutdown(async { drop(stopped.await) });
    let served = tokio::spawn(app.serve_with(listener));
    Served {
        at,
        stop,
        addr,
        runner,
        served,
    }
}

#[tokio::test]
async fn responses_under_way_are_finished_on_both_protocols() {
    let Served {
        at,
        stop,
        addr,
        runner,
        served,
    } = serve().await;

    let mut http1 = Http1::connect(addr).await;
    http1.send("GET /gate HTTP/1.1\r\nhost: a\r\n\r\n").await;
    soon("a view", at.reached.notified()).await;
    let (mut send, driver) = http2(addr, &h2::client::Builder::new()).await;
    let response = http2_request(&mut send, "GET", "/gate").await;
    soon("another view", at.reached.notified()).await;
    stop.send(()).expect("the server waits for it");
    let opener = at.open();
    let reply = http1.reply(false).await;
    assert_eq!(reply.body, "opened");
    assert!(reply.has("connection: close"), "{reply:?}");
    assert!(http1.rest().await.is_empty());
    let response = soon("the response", response).await.expect("a response");
    assert_eq!(response.status(), 200);
    drop(response);
    soon("the connection's end", driver)
        .await
        .expect("no panic");
    let served = soon("the server's end", served).await.expect("no panic");
    served.expect("a clean end");
    opener.abort();
    assert_eq!(at.done.load(SeqCst), 2);
    assert_eq!(runner.stats().completed, 2);
}

#[tokio::test]
async fn a_view_without_its_client_is_waited_for() {
    let Served {
        at,
        stop,
        addr,
        served,
        ..
    } = serve().await;
    let mut client = Http1::connect(addr).await;
    client.send("GET /gate HTTP/1.1\r\nhost: a\r\n\r\n").await;
    soon("the view", at.reached.notified()).await;
    drop(client);
    soon("the loss of the client", at.detached.notified()).await;
    stop.send(()).expect("the server waits for it");
    let opener = at.open();
    let served = soon("the server's end", served).await.expect("no panic");
    served.expect("a clean end");
    opener.abort();
    assert_eq!(at.passed.load(SeqCst), 1, "the view ran to its end");
    assert_eq!(at.done.load(SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn a_drain_names_what_it_cuts_and_counts_it() {
    #[route("/")]
    async fn index(_req: &mut Request, res: &mut Response) {
        res.add_background(
            Task::new(async { background::current().cancelled().await }).name("obeys"),
        );
        res.add_background(Task::new(std::future::pending::<()>()).name("hangs"));
    }
    let reports = Arc::new(std::sync::Mutex::new(Vec::<Report>::new()));
    let kept = Arc::clone(&reports);
    let runner = Runner::current()
        .max_running(2)
        .on_report(move |report| kept.lock().expect("no panic").push(report.clone()))
        .build();
    let client = bocadillo::testing::Client::with_runner(App::new().route(index), runner.clone());
    client.get("/").await;
    client.get("/").await;
    assert_eq!((runner.stats().running, runner.stats().waiting), (2, 2));

    let drained = runner.drain(Duration::from_secs(10)).await;
    let names: Vec<_> = drained.cut.iter().map(|task| &*task.name).collect();
    // The second `obeys` got its turn when the first had ended, and obeyed at once.
    assert_eq!(names, ["hangs", "hangs"], "{drained}");
    assert!(drained.still_running.is_empty());
    let stats = runner.stats();
    assert_eq!((stats.completed, stats.cancelled, stats.running), (2, 2, 0));
    let reports = reports.lock().expect("no panic");
    assert_eq!(reports.len(), 4);
    assert!(
        reports
            .iter()
            .all(|it| matches!(it.outcome, TaskState::Completed | TaskState::Cancelled))
    );
}

#[tokio::test]
async fn an_ended_runner_refuses() {
    #[route("/")]
    async fn index(_req: &mut Request, res: &mut Response) {
        res.background(async {});
    }
    let runner = Runner::current().build();
    let client = bocadillo::testing::Client::with_runner(App::new().route(index), runner.clone());
    assert!(runner.drain(PATIENCE).await.is_clean());
    let reports = client.get("/").await.tasks().await;
    assert_eq!(reports[0].outcome, TaskState::Refused);
    assert_eq!((runner.stats().registered, runner.stats().refused), (1, 1));
}

/// A function that a timed-out task has left behind is waited for, as long as there is time.
#[tokio::test]
async fn a_drain_waits_for_functions_that_were_left_behind() {
    #[route("/")]
    async fn index(_req: &mut Request, res: &mut Response) {
        let long = Task::blocking(|| std::thread::sleep(Duration::from_millis(300)));
        res.background(long.timeout(Duration::from_millis(20)));
    }
    let runner = Runner::current().build();
    let client = bocadillo::testing::Client::with_runner(App::new().route(index), runner.clone());
    let reports = client.get("/").await.tasks().await;
    assert_eq!(reports[0].outcome, TaskState::TimedOut);
    let report = runner.drain(PATIENCE).await;
    assert!(report.is_clean(), "{report}");
}
