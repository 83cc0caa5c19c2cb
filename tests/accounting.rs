//! Every task ends in one state, whatever a view, a handler, or what a task holds does.

mod support;

use std::{io, sync::Arc};

use bocadillo::{
    App, HttpError, Request, Response, Runner, Task,
    background::{State, Stats, When},
    route,
    testing::Client,
};
use support::{
    Http1,
    counts::{Reports, gate, sum, until},
    soon, start,
};
use tokio::sync::Notify;

/// A view may put another response in the place of its own: the tasks of the first will never run,
/// and are counted and reported.
#[tokio::test]
async fn tasks_of_a_response_that_was_replaced_are_accounted_for() {
    #[route("/")]
    async fn replaces(_req: &mut Request, res: &mut Response) {
        res.background(Task::new(async {}).name("first"));
        res.background(Task::new(async {}).name("second"));
        res.add_background(Task::new(async {}).name("third"));
        *res = Response::new();
        // Its view has waited meanwhile.
        tokio::task::yield_now().await;
        res.background(Task::new(async {}).name("fourth"));
    }
    #[route("/none")]
    async fn leaves_none(_req: &mut Request, res: &mut Response) {
        res.background(Task::new(async {}).name("lost"));
        drop(std::mem::take(res));
    }
    let client = Client::new(App::new().route(replaces).route(leaves_none));
    let response = client.get("/").await;
    assert_eq!(response.tasks().await.len(), 4);
    let stats = client.runner().stats();
    assert_eq!(
        (stats.registered, stats.replaced, stats.completed),
        (4, 3, 1)
    );

    let response = client.get("/none").await;
    let lost = response.tasks().await;
    assert_eq!((&*lost[0].name, lost[0].outcome), ("lost", State::Replaced));
    assert_eq!(lost[0].route.as_deref(), Some("/none"));
    let stats = client.runner().stats();
    assert_eq!((stats.registered, stats.replaced), (5, 4));
    assert_eq!(sum(stats), stats.registered);
}

/// What is dropped outside of any view is nobody's.
#[tokio::test]
async fn a_response_that_was_never_an_apps_does_not_count() {
    async fn view(_req: &mut Request, _res: &mut Response) {}
    let mut response = Response::new();
    response.background(async {});
    drop(response);
    let client = Client::new(App::new().add("/", &["get"], view));
    assert!(client.get("/").await.tasks().await.is_empty());
    assert_eq!(client.runner().stats(), Stats::default());
}

/// A view that calls another app in the same breath: each has what it lost itself.
#[tokio::test]
async fn views_within_a_view_account_for_their_own() {
    async fn inner(_req: &mut Request, res: &mut Response) {
        res.background(Task::new(async {}).name("inner"));
        *res = Response::new();
    }
    async fn outer(req: &mut Request, res: &mut Response) -> bocadillo::Result<()> {
        res.background(Task::new(async {}).name("outer"));
        *res = Response::new();
        let response = req.state::<Client>()?.get("/").await;
        let reports = response.tasks().await;
        let names: Vec<_> = reports.iter().map(|report| &*report.name).collect();
        assert_eq!(names, ["inner"]);
        Ok(())
    }
    let within = Client::new(App::new().add("/", &["get"], inner));
    let app = App::new().add("/", &["get"], outer).state(within);
    let response = Client::new(app).get("/").await;
    assert_eq!(response.status(), 200);
    let reports = response.tasks().await;
    let names: Vec<_> = reports.iter().map(|report| &*report.name).collect();
    assert_eq!(names, ["outer"]);
}

/// What a task holds may panic when it is dropped.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("as the test wants");
    }
}

async fn holds(bomb: Bomb) {
    drop(bomb);
}

/// Tasks that will not run are dropped, which hurts neither the others nor the response.
#[tokio::test]
async fn a_panic_of_what_is_let_go_hurts_nobody() {
    #[route("/skipped")]
    async fn skipped(_req: &mut Request, res: &mut Response) -> bocadillo::Result<()> {
        let bomb = Task::new(holds(Bomb)).when(When::Success);
        res.background(bomb.name("bomb"));
        res.add_background(Task::new(async {}).name("innocent"));
        Err(HttpError::new(409).into())
    }
    #[route("/undelivered")]
    async fn undelivered(_req: &mut Request, res: &mut Response) {
        let bomb = Task::new(holds(Bomb)).when(When::Delivered);
        res.background(bomb.name("bomb"));
        res.add_background(Task::new(async {}).name("innocent"));
        let broken = async_stream(Err(io::Error::other("cut")));
        res.stream(broken);
    }
    #[route("/replaced")]
    async fn replaced(_req: &mut Request, res: &mut Response) {
        res.background(Task::new(holds(Bomb)).name("bomb"));
        res.background(Task::new(async {}).name("innocent"));
    }
    #[route("/lost")]
    async fn lost(_req: &mut Request, res: &mut Response) {
        res.background(Task::new(holds(Bomb)).name("bomb"));
        *res = Response::new();
        res.background(Task::new(async {}).name("innocent"));
    }
    let app = App::new().route(skipped).route(undelivered);
    let client = Client::new(app.route(replaced).route(lost));
    for (path, status, outcome) in [
        ("/skipped", 409, State::Skipped),
        ("/undelivered", 200, State::Skipped),
        ("/replaced", 200, State::Replaced),
        ("/lost", 200, State::Replaced),
    ] {
        let response = client.get(path).await;
        assert_eq!(response.status(), status, "{path}");
        let mut reports = response.tasks().await;
        reports.sort_by(|one, other| one.name.cmp(&other.name));
        let ends: Vec<_> = reports
            .iter()
            .map(|report| (&*report.name, report.outcome))
            .collect();
        let expected = [("bomb", outcome), ("innocent", State::Completed)];
        assert_eq!(ends, expected, "{path}");
    }
    let stats = client.runner().stats();
    assert_eq!((stats.registered, stats.waiting, stats.running), (8, 0, 0));
    assert_eq!(sum(stats), stats.registered);
}

/// A stream of one item.
fn async_stream(
    item: io::Result<&'static str>,
) -> impl futures_core::Stream<Item = io::Result<&'static str>> + Send {
    struct Once(Option<io::Result<&'static str>>);
    impl futures_core::Stream for Once {
        type Item = io::Result<&'static str>;
        fn poll_next(
            mut self: std::pin::Pin<&mut Self>,
            _cx: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Self::Item>> {
            std::task::Poll::Ready(self.0.take())
        }
    }
    Once(Some(item))
}

/// Over its limit on waiting tasks, a runner lets go of those that it refuses.
#[tokio::test]
async fn a_panic_of_what_is_refused_hurts_nobody() {
    #[route("/")]
    async fn view(_req: &mut Request, res: &mut Response) {
        res.background(Task::new(async {}).name("innocent"));
        res.add_background(Task::new(holds(Bomb)).name("bomb"));
    }
    let runner = Runner::current().max_waiting(1);
    let client = Client::with_runner(App::new().route(view), runner);
    let response = client.get("/").await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.tasks().await.len(), 2);
    let stats = client.runner().stats();
    assert_eq!(
        (stats.registered, stats.completed, stats.refused),
        (2, 1, 1)
    );
}

/// An error may panic when it is asked what it says.
#[tokio::test]
async fn a_panic_of_an_error_is_a_panic() {
    #[derive(Debug)]
    struct Mute;
    impl std::fmt::Display for Mute {
        fn fmt(&self, _f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            panic!("it says nothing")
        }
    }
    impl std::error::Error for Mute {}
    #[route("/")]
    async fn view(_req: &mut Request, res: &mut Response) {
        res.background(Task::new(async { Err::<(), _>(Mute) }));
    }
    let response = Client::new(App::new().route(view)).get("/").await;
    let reports = response.tasks().await;
    assert_eq!(reports[0].outcome, State::Panicked);
    assert_eq!(reports[0].error.as_deref(), Some("it says nothing"));
}

/// A handler of errors may put another response in the place of the view's.
#[tokio::test]
async fn tasks_of_a_response_that_an_error_handler_replaced_are_accounted_for() {
    #[route("/")]
    async fn view(_req: &mut Request, res: &mut Response) -> bocadillo::Result<()> {
        res.background(Task::new(async {}).name("lost"));
        Err(HttpError::new(409).into())
    }
    let app = App::new().route(view).on_error(
        |_req: &Request, res: &mut Response, _error: &HttpError| {
            *res = Response::new();
            res.status(410);
        },
    );
    let client = Client::new(app);
    let response = client.get("/").await;
    assert_eq!(response.status(), 410);
    let reports = response.tasks().await;
    assert_eq!(reports[0].outcome, State::Replaced);
    assert_eq!(client.runner().stats().replaced, 1);
}

/// A view that is dropped before its end has a response of its own in hand.
#[tokio::test]
async fn tasks_of_a_response_that_a_dropped_view_holds_are_accounted_for() {
    #[route("/")]
    async fn view(req: &mut Request, res: &mut Response) {
        let mut own = Response::new();
        own.background(Task::new(async {}).name("lost"));
        gate(req).notify_one();
        std::future::pending::<()>().await;
        *res = own;
    }
    let reports = Reports::default();
    let runner = reports.of(Runner::current());
    let begun = Arc::new(Notify::new());
    let limits = bocadillo::Limits::new().max_detached(0);
    let app = App::new()
        .route(view)
        .state(Arc::clone(&begun))
        .limits(limits)
        .background(runner.clone());
    let (addr, _) = start(app).await;
    let mut client = Http1::connect(addr).await;
    client.send("GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
    soon("the view", begun.notified()).await;
    drop(client);
    until(&runner, "the loss", |stats| stats.replaced == 1).await;
    assert_eq!(runner.stats().registered, 1);
    assert_eq!(reports.all()[0].name, "lost");
}
