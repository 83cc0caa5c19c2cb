//! What a user hands us may panic, when it is called and when it is dropped: the connection goes on,
//! each task ends in one state, and the numbers add up.

mod support;

use std::{
    fmt,
    panic::panic_any,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};

use bocadillo::{
    App, Body, BoxedService, HttpError, Request, Response, Runner, Task,
    background::{Builder, Report, TaskState, When},
    route,
};
use support::{
    Http1,
    counts::{settled, sum},
    http2, http2_request, soon, start,
};
use tower_service::Service;

/// Panics when it is dropped.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("as the test wants");
    }
}

/// An error that panics in one of the ways in which it can be asked.
struct Mute(&'static str);

impl fmt::Display for Mute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        assert!(self.0 != "display", "as the test wants");
        f.write_str("mute")
    }
}

impl fmt::Debug for Mute {
    fn fmt(&self, _f: &mut fmt::Formatter<'_>) -> fmt::Result {
        panic!("as the test wants")
    }
}

impl std::error::Error for Mute {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        assert!(self.0 != "source", "as the test wants");
        None
    }
}

/// An error whose destructor panics.
#[derive(Debug)]
struct Explosive(#[allow(dead_code, reason = "for its destructor")] Bomb2);

#[derive(Debug)]
struct Bomb2;

impl Drop for Bomb2 {
    fn drop(&mut self) {
        panic!("as the test wants");
    }
}

impl fmt::Display for Explosive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("explosive")
    }
}

impl std::error::Error for Explosive {}

#[derive(Debug)]
struct Handled;

impl fmt::Display for Handled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("handled")
    }
}

impl std::error::Error for Handled {}

/// A future whose destructor panics.
struct Ends(#[allow(dead_code, reason = "for its destructor")] Bomb);

impl Future for Ends {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }
}

#[route("/view/{what}")]
async fn view(_req: &mut Request, res: &mut Response, what: String) -> bocadillo::Result<()> {
    res.background(Task::new(async {}).name("task"));
    match &*what {
        "panics" => panic!("as the test wants"),
        "payload" => panic_any(Bomb),
        "display" => Err(Mute("display"))?,
        "source" => Err(Mute("source"))?,
        "debug" => Err(Mute("debug"))?,
        "drop" => Err(Explosive(Bomb2))?,
        "handler" => Err(Handled)?,
        _ => Err(HttpError::new(404))?,
    }
    Ok(())
}

#[route("/task/{what}")]
async fn task(_req: &mut Request, res: &mut Response, what: String) {
    let name = "task";
    match &*what {
        "panics" => res.background(Task::new(async { panic!("as the test wants") }).name(name)),
        "payload" => res.background(Task::new(async { panic_any(Bomb) }).name(name)),
        "display" => res.background(Task::new(async { Err::<(), _>(Mute("display")) }).name(name)),
        "source" => res.background(Task::new(async { Err::<(), _>(Mute("source")) }).name(name)),
        "drop" => res.background(Task::new(async { Err::<(), _>(Explosive(Bomb2)) }).name(name)),
        "captured" => {
            let bomb = Bomb;
            res.background(Task::new(async move { drop(bomb) }).name(name));
        }
        "future" => res.background(Task::new(Ends(Bomb)).name(name)),
        "timeout" => {
            let bomb = Bomb;
            let task = Task::new(async move {
                let _bomb = bomb;
                std::future::pending::<()>().await;
            });
            res.background(task.name(name).timeout(Duration::from_millis(10)));
        }
        "blocking" => res.background(Task::blocking(|| panic_any(Bomb)).name(name)),
        "skipped" => {
            let task = Task::new(Ends(Bomb)).when(When::Success);
            res.background(task.name(name));
            res.status(409);
        }
        _ => res.status(404),
    }
}

/// A service of a layer that panics in one of its parts.
#[derive(Clone)]
struct Panics {
    inner: BoxedService,
    is_ready: bool,
}

type Answer = Result<http::Response<Body>, std::convert::Infallible>;

impl Service<http::Request<Body>> for Panics {
    type Response = http::Response<Body>;
    type Error = std::convert::Infallible;
    type Future = Pin<Box<dyn Future<Output = Answer> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.is_ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, req: http::Request<Body>) -> Self::Future {
        let path = req.uri().path().to_owned();
        assert!(path != "/layer/call", "as the test wants");
        let mut inner = self.inner.clone();
        Box::pin(async move {
            let response = inner.call(req).await;
            assert!(path != "/layer/poll", "as the test wants");
            if path == "/layer/payload" {
                panic_any(Bomb);
            }
            response
        })
    }
}

/// A future of a layer's whose destructor panics, after it has answered.
#[derive(Clone)]
struct DropsBadly(BoxedService);

struct Answers {
    inner: Pin<Box<dyn Future<Output = Answer> + Send>>,
    bomb: Option<Bomb>,
}

impl Future for Answers {
    type Output = Answer;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Answer> {
        self.inner.as_mut().poll(cx)
    }
}

impl Drop for Answers {
    fn drop(&mut self) {
        drop(self.bomb.take());
    }
}

impl Service<http::Request<Body>> for DropsBadly {
    type Response = http::Response<Body>;
    type Error = std::convert::Infallible;
    type Future = Answers;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, req: http::Request<Body>) -> Answers {
        let bomb = (req.uri().path() == "/layer/drop").then(|| Bomb);
        let mut inner = self.0.clone();
        let inner = Box::pin(async move { inner.call(req).await });
        Answers { inner, bomb }
    }
}

#[route("/layer/{what}")]
async fn beneath(_req: &mut Request, res: &mut Response, what: String) {
    drop(what);
    res.background(Task::new(async {}).name("task"));
}

#[route("/plain")]
async fn plain(_req: &mut Request, res: &mut Response) {
    res.text("plain");
}

fn app() -> App {
    let app = App::new()
        .route(view)
        .route(task)
        .route(beneath)
        .route(plain);
    app.on_error(|_req: &Request, _res: &mut Response, _error: &Handled| panic_any(Bomb))
}

/// Asks for `path` by both protocols, twice each on one connection, and for `/plain` between; returns
/// the reports of the tasks.
async fn ask(app: App, runner: Builder, path: &str, status: u16) -> Vec<Report> {
    let reports = Arc::new(Mutex::new(Vec::<Report>::new()));
    let kept = Arc::clone(&reports);
    let runner = runner
        .on_report(move |report| {
            kept.lock().expect("no panic").push(report.clone());
            // After it was told: the test's own callback panics too.
            panic_any(Bomb);
        })
        .build();
    let (addr, _) = start(app.background(runner.clone())).await;
    let mut client = Http1::connect(addr).await;
    let (mut send, _driver) = http2(addr, &h2::client::Builder::new()).await;
    for _ in 0..2 {
        assert_eq!(client.request("GET", path).await.status(), status, "{path}");
        assert_eq!(
            client.request("GET", "/plain").await.body,
            "plain",
            "{path}"
        );
        for (path, status) in [(path, status), ("/plain", 200)] {
            let response = http2_request(&mut send, "GET", path).await;
            let response = soon("the response", response).await;
            let response = response.unwrap_or_else(|error| panic!("{path}: {error}"));
            assert_eq!(response.status(), status, "{path}");
        }
    }
    let stats = settled(&runner, 4).await;
    assert_eq!(sum(stats), stats.registered, "{path}: {stats:?}");
    // Its numbers settle before the last report is out, and a drain after it.
    assert!(
        soon("the drain", runner.drain(support::PATIENCE))
            .await
            .is_clean()
    );
    let reports = reports.lock().expect("no panic").clone();
    assert_eq!(reports.len(), 4, "{path}");
    reports
}

fn outcomes(reports: &[Report]) -> Vec<TaskState> {
    reports.iter().map(|report| report.outcome).collect()
}

#[tokio::test]
async fn views_and_their_errors() {
    for what in [
        "panics", "payload", "display", "source", "debug", "drop", "handler",
    ] {
        let path = format!("/view/{what}");
        let reports = ask(app(), Runner::dedicated(1), &path, 500).await;
        assert_eq!(outcomes(&reports), [TaskState::Completed; 4], "{path}");
    }
}

#[tokio::test]
async fn tasks_and_what_they_hold() {
    for (what, status, outcome) in [
        ("panics", 200, TaskState::Panicked),
        ("payload", 200, TaskState::Panicked),
        ("display", 200, TaskState::Panicked),
        ("source", 200, TaskState::Panicked),
        ("drop", 200, TaskState::Panicked),
        ("captured", 200, TaskState::Panicked),
        ("future", 200, TaskState::Panicked),
        ("timeout", 200, TaskState::Panicked),
        ("blocking", 200, TaskState::Panicked),
        ("skipped", 409, TaskState::Skipped),
    ] {
        for runner in [Runner::dedicated(1), Runner::current()] {
            let path = format!("/task/{what}");
            let reports = ask(app(), runner, &path, status).await;
            assert_eq!(outcomes(&reports), [outcome; 4], "{path}");
        }
    }
}

#[tokio::test]
async fn wrappers() {
    type Future = Pin<Box<dyn std::future::Future<Output = ()> + Send>>;
    type Wrap = fn(Future) -> Future;
    let wrappers: [(Wrap, TaskState); 3] = [
        (|_| panic!("as the test wants"), TaskState::Panicked),
        (|_| panic_any(Bomb), TaskState::Panicked),
        (
            |task| {
                Box::pin(async move {
                    let _bomb = Bomb;
                    task.await;
                })
            },
            TaskState::Panicked,
        ),
    ];
    for (wrap, outcome) in wrappers {
        let runner = Runner::dedicated(1).wrap(wrap);
        let reports = ask(app(), runner, "/view/none", 404).await;
        assert_eq!(outcomes(&reports), [outcome; 4]);
    }
}

#[tokio::test]
async fn layers() {
    for what in ["poll", "payload"] {
        let app = app().layer(tower_layer::layer_fn(|inner| Panics {
            inner,
            is_ready: false,
        }));
        let path = format!("/layer/{what}");
        let reports = ask(app, Runner::dedicated(1), &path, 500).await;
        assert_eq!(outcomes(&reports), [TaskState::Completed; 4], "{path}");
    }
    let app = app().layer(tower_layer::layer_fn(DropsBadly));
    let reports = ask(app, Runner::dedicated(1), "/layer/drop", 200).await;
    assert_eq!(outcomes(&reports), [TaskState::Completed; 4]);
}

/// Before anything is registered.
#[tokio::test]
async fn a_layer_that_panics_when_it_is_called_is_a_500() {
    let app = app().layer(tower_layer::layer_fn(|inner| Panics {
        inner,
        is_ready: false,
    }));
    let (addr, _) = start(app).await;
    let mut client = Http1::connect(addr).await;
    assert_eq!(client.request("GET", "/layer/call").await.status(), 500);
    assert_eq!(client.request("GET", "/plain").await.body, "plain");
}

/// A subscriber that panics at every event, of tasks as of requests.
#[tokio::test]
async fn subscribers() {
    struct Broken;
    impl tracing::Subscriber for Broken {
        fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
            true
        }
        fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
            tracing::span::Id::from_u64(1)
        }
        fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
        fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
        fn event(&self, event: &tracing::Event<'_>) {
            let is_ours = event.metadata().target().starts_with("bocadillo");
            assert!(!is_ours, "as the test wants");
        }
        fn enter(&self, _: &tracing::span::Id) {}
        fn exit(&self, _: &tracing::span::Id) {}
    }
    let _broken = tracing::subscriber::set_default(Broken);
    let reports = ask(app(), Runner::dedicated(1), "/task/panics", 200).await;
    assert_eq!(outcomes(&reports), [TaskState::Panicked; 4]);
    let reports = ask(app(), Runner::dedicated(1), "/view/panics", 500).await;
    assert_eq!(outcomes(&reports), [TaskState::Completed; 4]);
}
