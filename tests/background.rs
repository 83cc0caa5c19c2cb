//! Tasks after the response: what the original promises, and what it does not.

mod support;

use std::{
    future::poll_fn,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    task::Poll,
    time::Duration,
};

use bocadillo::{
    App, HttpError, Request, Response, Runner, Task,
    background::{self, Report, TaskState},
    gather, route,
    sent::Delivery,
    testing::Client,
    view,
};
use support::{Http1, http2, http2_request, soon, start};
use tokio::{
    runtime::{Builder, Runtime},
    sync::{mpsc, oneshot},
};

type Log = Arc<Mutex<Vec<String>>>;

fn log(req: &Request) -> Log {
    Arc::clone(req.state::<Log>().expect("the test gives one"))
}

fn note(log: &Log, text: impl Into<String>) {
    log.lock().expect("no panic").push(text.into());
}

/// The original's first test.
#[tokio::test]
async fn task_is_executed() {
    async fn index(req: &mut Request, res: &mut Response) -> bocadillo::Result<()> {
        let called = Arc::clone(req.state::<Arc<AtomicBool>>()?);

        #[bocadillo::background]
        async fn set_called() {
            called.store(true, SeqCst);
        }

        res.text("OK");
        Ok(())
    }

    let called = Arc::new(AtomicBool::new(false));
    let app = App::new()
        .state(Arc::clone(&called))
        .add("/", &["get"], index);
    let response = Client::new(app).get("/").await;
    assert_eq!(response.status(), 200);
    response.tasks().await;
    assert!(called.load(SeqCst));
}

/// The original's second test: what the task does to a response comes too late.
#[tokio::test]
async fn task_is_executed_after_the_response_is_sent() {
    async fn index(req: &mut Request, res: &mut Response) {
        let log = log(req);
        res.background(async move { note(&log, "task") });
        res.text("OK");
    }

    let log = Log::default();
    let (addr, _) = start(App::new().state(Arc::clone(&log)).add("/", &["get"], index)).await;
    let reply = Http1::connect(addr).await.request("GET", "/").await;
    note(&log, "response");
    assert_eq!(reply.body, "OK");
    soon(
        "the task",
        until(|| {
            log.lock()
                .expect("no panic")
                .iter()
                .any(|entry| entry == "task")
        }),
    )
    .await;
}

/// The original's third test.
#[tokio::test]
async fn task_takes_arguments() {
    async fn set_value(target: Arc<AtomicUsize>, value: usize) {
        target.store(value, SeqCst);
    }

    async fn index(req: &mut Request, res: &mut Response) -> bocadillo::Result<()> {
        res.background(set_value(Arc::clone(req.state()?), 7));
        Ok(())
    }

    let target = Arc::new(AtomicUsize::new(0));
    let app = App::new()
        .state(Arc::clone(&target))
        .add("/", &["get"], index);
    let reports = Client::new(app).get("/").await.tasks().await;
    assert_eq!(target.load(SeqCst), 7);
    assert_eq!(reports[0].name, "set_value");
}

/// The original's streaming test: the task starts when the stream has ended.
#[tokio::test]
async fn task_follows_a_stream() {
    async fn numbers(req: &mut Request, res: &mut Response) {
        let (log, after) = (log(req), log(req));
        res.stream(Chunks { left: 3, log });
        res.background(async move { note(&after, "task") });
    }

    let log = Log::default();
    let app = App::new()
        .state(Arc::clone(&log))
        .add("/", &["get"], numbers);
    let response = Client::new(app).get("/").await;
    assert_eq!(response.text(), "321");
    response.tasks().await;
    assert_eq!(*log.lock().expect("no panic"), ["3", "2", "1", "task"]);
}

struct Chunks {
    left: u32,
    log: Log,
}

impl futures_core::Stream for Chunks {
    type Item = Result<String, std::convert::Infallible>;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        _cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        if self.left == 0 {
            return None.into();
        }
        let chunk = self.left.to_string();
        note(&self.log, chunk.clone());
        self.left -= 1;
        Some(Ok(chunk)).into()
    }
}

async fn until(is_true: impl Fn() -> bool) {
    while !is_true() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn latest_registration_wins() {
    #[view]
    async fn twice(_req: &mut Request, response: &mut Response) {
        if response.status_code() == 200 {
            #[background]
            async fn first() {
                panic!("replaced, and yet it ran");
            }
        }

        #[background]
        async fn second() {}
    }

    let client = Client::new(App::new().add("/", &["get"], twice));
    let reports = client.get("/").await.tasks().await;
    let ends: Vec<_> = reports.iter().map(|it| (&*it.name, it.outcome)).collect();
    assert_eq!(
        ends,
        [
            ("first", TaskState::Replaced),
            ("second", TaskState::Completed)
        ]
    );
    let stats = client.runner().stats();
    assert_eq!(
        (stats.registered, stats.replaced, stats.completed),
        (2, 1, 1)
    );
}

#[tokio::test]
async fn replacing_replaces_added_ones_too() {
    async fn view(_req: &mut Request, res: &mut Response) {
        res.background(Task::new(async {}).name("one"));
        res.add_background(Task::new(async {}).name("two"));
        res.background(Task::new(async {}).name("three"));
        res.add_background(Task::new(async {}).name("four"));
    }

    let client = Client::new(App::new().add("/", &["get"], view));
    let reports = client.get("/").await.tasks().await;
    let has_run = |report: &&Report| report.outcome.has_run();
    let names: Vec<_> = reports.iter().filter(has_run).map(|it| &*it.name).collect();
    assert_eq!(names, ["three", "four"]);
    assert_eq!(client.runner().stats().replaced, 2);
}

#[tokio::test]
async fn added_tasks_start_in_order_and_run_together() {
    async fn view(_req: &mut Request, res: &mut Response) {
        let (tx, rx) = oneshot::channel();
        // The first ends only if the second runs beside it.
        res.background(Task::new(async move { assert_eq!(rx.await, Ok(())) }).name("waits"));
        res.add_background(Task::new(async move { assert_eq!(tx.send(()), Ok(())) }).name("sends"));
    }

    let reports = Client::new(App::new().add("/", &["get"], view))
        .get("/")
        .await
        .tasks()
        .await;
    let mut by_id = reports.clone();
    by_id.sort_by_key(|report| report.id);
    assert_eq!(by_id[0].name, "waits");
    assert_eq!(reports[0].name, "sends");
}

fn runtime(threads: usize) -> Runtime {
    Builder::new_multi_thread()
        .worker_threads(threads)
        .enable_all()
        .build()
        .expect("a runtime")
}

/// Asks for `/` three times, and waits for five tasks each time.
async fn ask_thrice(app: App, runner: &Runner) {
    let (addr, _) = start(app.background(runner.clone())).await;
    let mut http = Http1::connect(addr).await;
    // What runs the first tasks is made for them, what runs the next ones is there.
    for requests in 1..=3 {
        http.request("GET", "/").await;
        until(|| runner.stats().completed == 5 * requests).await;
    }
}

/// As it shows on one thread.
#[test]
fn added_tasks_begin_in_order() {
    async fn view(req: &mut Request, res: &mut Response) {
        for number in 0..5 {
            let log = log(req);
            res.add_background(async move { note(&log, number.to_string()) });
        }
    }

    for (runner, kind) in [
        (Runner::current(), "current"),
        (Runner::current().max_running(2), "current, two at a time"),
        (Runner::dedicated(1), "dedicated"),
        (
            Runner::dedicated(1).max_running(2),
            "dedicated, two at a time",
        ),
    ] {
        let log = Log::default();
        let app = App::new().add("/", &["get"], view).state(Arc::clone(&log));
        runtime(1).block_on(ask_thrice(app, &runner.build()));
        let expected = ["0", "1", "2", "3", "4"].repeat(3);
        assert_eq!(*log.lock().expect("no panic"), expected, "{kind}");
    }
}

/// What runs them is queued already, as each has woken itself where it ended.
#[tokio::test]
async fn added_tasks_begin_in_order_after_those_that_woke_themselves() {
    async fn view(req: &mut Request, res: &mut Response) {
        for number in 0..5 {
            let log = log(req);
            res.add_background(poll_fn(move |cx| {
                note(&log, number.to_string());
                cx.waker().wake_by_ref();
                Poll::Ready(())
            }));
        }
    }

    let (runner, log) = (Runner::current(), Log::default());
    let app = App::new().add("/", &["get"], view).state(Arc::clone(&log));
    ask_thrice(app, &runner.build()).await;
    let expected = ["0", "1", "2", "3", "4"].repeat(3);
    assert_eq!(*log.lock().expect("no panic"), expected);
}

#[tokio::test]
async fn at_most_64_tasks_a_response() {
    async fn view(_req: &mut Request, res: &mut Response) {
        for _ in 0..70 {
            res.add_background(async {});
        }
    }

    let client = Client::new(App::new().add("/", &["get"], view));
    let reports = client.get("/").await.tasks().await;
    let completed = reports
        .iter()
        .filter(|it| it.outcome == TaskState::Completed);
    assert_eq!((reports.len(), completed.count()), (70, 64));
    let stats = client.runner().stats();
    assert_eq!(
        (stats.registered, stats.refused, stats.completed),
        (70, 6, 64)
    );
}

#[tokio::test]
async fn gathered_futures_do_not_stop_each_other() {
    async fn run(req: &mut Request, res: &mut Response) {
        async fn panics() {
            panic!("no printer");
        }
        async fn fails() -> Result<(), &'static str> {
            Err("no mail server")
        }
        let log = log(req);
        res.background(gather((
            fails(),
            panics(),
            async move { note(&log, "ran") },
        )));
    }

    let log = Log::default();
    let app = App::new().state(Arc::clone(&log)).add("/", &["get"], run);
    let reports = Client::new(app).get("/").await.tasks().await;
    assert_eq!(reports[0].outcome, TaskState::Failed);
    let error = reports[0].error.as_deref().expect("an error");
    assert!(
        error.contains("no mail server") && error.contains("no printer"),
        "{error}"
    );
    assert_eq!(log.lock().expect("no panic").len(), 1);
}

async fn fails_after_registering(_req: &mut Request, res: &mut Response) -> bocadillo::Result<()> {
    res.header("x-kept", "yes");
    res.background(Task::new(async {}).name("after all"));
    let _number: u32 = "x".parse()?;
    Ok(())
}

async fn refuses(_req: &mut Request, res: &mut Response) -> bocadillo::Result<()> {
    res.background(async {});
    Err(HttpError::new(403).detail("members only").into())
}

async fn panics(_req: &mut Request, res: &mut Response) {
    res.background(async {});
    panic!("view");
}

fn failing() -> App {
    App::new()
        .add("/fails", &["get"], fails_after_registering)
        .add("/refuses", &["get"], refuses)
        .add("/panics", &["get"], panics)
}

#[tokio::test]
async fn task_runs_when_the_view_fails() {
    let client = Client::new(failing());
    let response = client.get("/fails").await;
    assert_eq!(
        (response.status().as_u16(), response.text()),
        (500, "500 Internal Server Error")
    );
    assert_eq!(response.headers()["x-kept"], "yes");
    assert_eq!(response.tasks().await[0].outcome, TaskState::Completed);

    let response = client.get("/refuses").await;
    let body = r#"{"error":"403 Forbidden","status":403,"detail":"members only"}"#;
    assert_eq!((response.status().as_u16(), response.text()), (403, body));
    assert_eq!(response.tasks().await.len(), 1);

    let response = client.get("/panics").await;
    assert_eq!(response.status(), 500);
    assert_eq!(response.tasks().await.len(), 1);
}

#[tokio::test]
async fn failing_views_and_tasks_leave_the_connection_alone() {
    async fn failing_task(_req: &mut Request, res: &mut Response) {
        async fn broken() {
            panic!("task");
        }
        async fn failing() -> std::io::Result<()> {
            Err(std::io::Error::other("disk full"))
        }
        res.background(broken());
        res.add_background(failing());
        res.text("fine");
    }

    let runner = Runner::current().build();
    let app = failing()
        .add("/task", &["get"], failing_task)
        .background(runner.clone());
    let (addr, _) = start(app).await;
    let mut http1 = Http1::connect(addr).await;
    for (path, status) in [
        ("/task", 200),
        ("/fails", 500),
        ("/panics", 500),
        ("/task", 200),
    ] {
        assert_eq!(http1.request("GET", path).await.status(), status, "{path}");
    }
    soon(
        "the tasks",
        until(|| runner.stats().running + runner.stats().waiting == 0),
    )
    .await;
    soon("the tasks", until(|| runner.stats().registered == 6)).await;
    let stats = runner.stats();
    assert_eq!((stats.completed, stats.failed, stats.panicked), (2, 2, 2));
}

#[tokio::test]
async fn every_kind_of_response_on_both_protocols() {
    #[derive(Clone)]
    struct Reported(mpsc::UnboundedSender<Delivery>);

    fn register(req: &Request, res: &mut Response) {
        let Reported(reported) = req.state::<Reported>().expect("given").clone();
        res.background(async move {
            let _ = reported.send(background::current().delivery());
        });
    }

    async fn text(req: &mut Request, res: &mut Response) {
        register(req, res);
        res.text("hello");
    }
    async fn created(req: &mut Request, res: &mut Response) {
        register(req, res);
        res.status(201);
    }
    async fn no_content(req: &mut Request, res: &mut Response) {
        register(req, res);
        res.status(204);
        res.text("not to be sent");
    }
    async fn not_modified(req: &mut Request, res: &mut Response) {
        register(req, res);
        res.status(304);
    }
    async fn elsewhere(req: &mut Request, res: &mut Response) {
        register(req, res);
        res.redirect("/text");
    }
    async fn missing(req: &mut Request, res: &mut Response) -> bocadillo::Result<()> {
        register(req, res);
        Err(HttpError::new(404).into())
    }
    async fn stream(req: &mut Request, res: &mut Response) {
        register(req, res);
        res.stream(Chunks {
            left: 3,
            log: Log::default(),
        });
    }
    async fn fault(req: &mut Request, res: &mut Response) {
        register(req, res);
        res.header("not a name", "x");
    }

    let (tx, mut reported) = mpsc::unbounded_channel();
    let app = App::new()
        .state(Reported(tx))
        .add("/text", &["get"], text)
        .add("/created", &["get"], created)
        .add("/no-content", &["get"], no_content)
        .add("/not-modified", &["get"], not_modified)
        .add("/elsewhere", &["get"], elsewhere)
        .add("/missing", &["get"], missing)
        .add("/stream", &["get"], stream)
        .add("/fault", &["get"], fault);
    let (addr, _) = start(app).await;
    let cases = [
        ("GET", "/text", 200),
        ("HEAD", "/text", 200),
        ("GET", "/created", 201),
        ("GET", "/no-content", 204),
        ("GET", "/not-modified", 304),
        ("GET", "/elsewhere", 302),
        ("GET", "/missing", 404),
        ("GET", "/fault", 500),
        ("GET", "/stream", 200),
    ];
    let mut http1 = Http1::connect(addr).await;
    for (method, path, status) in cases {
        let reply = http1.request(method, path).await;
        assert_eq!(reply.status(), status, "{path}");
        assert_eq!(
            soon(path, reported.recv()).await,
            Some(Delivery::Sent),
            "{path}"
        );
        let has_length = reply.has("content-length:");
        assert_eq!(
            has_length,
            !matches!(status, 204 | 304) && path != "/stream",
            "{reply:?}"
        );
        assert!(
            !reply.has("transfer-encoding:") || path == "/stream",
            "{reply:?}"
        );
    }
    let (mut send, driver) = http2(addr, &h2::client::Builder::new()).await;
    for (method, path, status) in cases {
        let response = http2_request(&mut send, method, path).await;
        let response = soon(path, response).await.expect("a response");
        assert_eq!(response.status(), status, "{path}");
        assert_eq!(
            soon(path, reported.recv()).await,
            Some(Delivery::Sent),
            "{path}"
        );
        let has_length = response.headers().contains_key("content-length");
        assert_eq!(
            has_length,
            !matches!(status, 204 | 304) && path != "/stream",
            "{response:?}"
        );
        let mut body = response.into_body();
        let mut length = 0;
        while let Some(data) = soon(path, body.data()).await {
            length += data.expect("data").len();
        }
        assert_eq!(
            length == 0,
            method == "HEAD" || matches!(status, 201 | 204 | 302 | 304),
            "{path}"
        );
    }
    driver.abort();
}

#[tokio::test]
async fn empty_created_has_a_length_and_is_not_chunked() {
    async fn created(_req: &mut Request, res: &mut Response) {
        res.status(201);
    }

    let (addr, _) = start(App::new().add("/", &["post"], created)).await;
    let reply = Http1::connect(addr).await.request("POST", "/").await;
    assert!(reply.has("content-length: 0\r\n"), "{reply:?}");
    assert!(!reply.has("transfer-encoding"), "{reply:?}");
}

#[tokio::test]
async fn task_leaves_follow_ups() {
    #[route("/")]
    async fn index(_req: &mut Request, res: &mut Response) {
        async fn first() {
            let context = background::current();
            assert_eq!(context.name(), "first");
            context.spawn(second());
        }
        async fn second() {
            background::current().spawn(Task::new(async {}).name("third"));
        }
        res.background(first());
    }

    assert!(background::try_current().is_none());
    let reports = Client::new(App::new().route(index))
        .get("/")
        .await
        .tasks()
        .await;
    let names: Vec<_> = reports.iter().map(|report| &*report.name).collect();
    assert_eq!(names, ["first", "second", "third"]);
}

#[tokio::test]
async fn place_of_a_task_is_its_own_line() {
    #[route("/")]
    async fn index(_req: &mut Request, res: &mut Response) {
        #[background]
        async fn marked() {}
    }

    let line = line!() - 3;
    let report = &Client::new(App::new().route(index))
        .get("/")
        .await
        .tasks()
        .await[0];
    assert!(report.location.file().ends_with("background.rs"));
    assert_eq!(report.location.line(), line);
}

#[tokio::test]
async fn pipelined_requests_each_have_their_task() {
    #[route("/{n}")]
    async fn numbered(req: &mut Request, res: &mut Response, n: u32) {
        let log = log(req);
        #[background]
        async fn task() {
            note(&log, n.to_string());
        }
        res.text(n.to_string());
    }

    let log = Log::default();
    let (addr, _) = start(App::new().state(Arc::clone(&log)).route(numbered)).await;
    let mut http1 = Http1::connect(addr).await;
    let requests = (0..20).map(|n| format!("GET /{n} HTTP/1.1\r\nhost: a\r\n\r\n"));
    http1.send(&requests.collect::<String>()).await;
    for n in 0..20 {
        assert_eq!(http1.reply(false).await.body, n.to_string());
    }
    soon(
        "the tasks",
        until(|| log.lock().expect("no panic").len() == 20),
    )
    .await;
    let expected: Vec<_> = (0..20).map(|n| n.to_string()).collect();
    let mut ran = log.lock().expect("no panic").clone();
    ran.sort_by_key(|n| n.parse::<u32>().expect("a number"));
    assert_eq!(ran, expected);
}
