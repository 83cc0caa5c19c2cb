//! Every task ends in one state, whatever a view, a handler, or what a task holds does.

mod support;

use std::io;

use bocadillo::{
    App, HttpError, Request, Response, Runner, Task,
    background::{TaskState, When},
    route,
    testing::Client,
};
use support::counts::sum;

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
    let app = App::new().route(skipped).route(undelivered);
    let client = Client::new(app.route(replaced));
    for (path, status, outcome) in [
        ("/skipped", 409, TaskState::Skipped),
        ("/undelivered", 200, TaskState::Skipped),
        ("/replaced", 200, TaskState::Replaced),
    ] {
        let response = client.get(path).await;
        assert_eq!(response.status(), status, "{path}");
        let mut reports = response.tasks().await;
        reports.sort_by(|one, other| one.name.cmp(&other.name));
        let ends: Vec<_> = reports
            .iter()
            .map(|report| (&*report.name, report.outcome))
            .collect();
        let expected = [("bomb", outcome), ("innocent", TaskState::Completed)];
        assert_eq!(ends, expected, "{path}");
    }
    let stats = client.runner().stats();
    assert_eq!((stats.registered, stats.waiting, stats.running), (6, 0, 0));
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
    let runner = Runner::current().max_waiting(1).build();
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
    assert_eq!(reports[0].outcome, TaskState::Panicked);
    assert_eq!(reports[0].error.as_deref(), Some("it says nothing"));
}

/// A value that a replaced task has captured leaves work behind when it is dropped: outside of a task
/// nothing could run that, and the destructor is told so.
#[tokio::test]
async fn the_destructor_of_a_replaced_task_is_no_task() {
    static WAS_TASK: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(true);
    struct Leaves;
    impl Drop for Leaves {
        fn drop(&mut self) {
            let is_task = bocadillo::background::try_current().is_some();
            WAS_TASK.store(is_task, std::sync::atomic::Ordering::SeqCst);
        }
    }
    #[route("/")]
    async fn view(_req: &mut Request, res: &mut Response) {
        let leaves = Leaves;
        res.background(async move { drop(leaves) });
        res.background(async {});
    }
    let response = Client::new(App::new().route(view)).get("/").await;
    assert_eq!(response.tasks().await.len(), 2);
    assert!(!WAS_TASK.load(std::sync::atomic::Ordering::SeqCst));
}
