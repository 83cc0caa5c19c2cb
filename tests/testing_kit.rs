//! The test kit: waits are bounded, name what was pending, and need no sleeping.

mod support;

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use bocadillo::{
    App, Request, Response, Runner, Task, background,
    background::{Background, Overflow, TaskState},
    testing::Client,
};

async fn registers(_req: &mut Request, res: &mut Response) {
    res.background(Task::new(std::future::pending::<()>()).name("never ends"));
    res.add_background(Task::new(async {}).name("ends"));
}

#[tokio::test(start_paused = true)]
async fn wait_has_a_limit_and_names_what_was_pending() {
    let response = Client::new(App::new().add("/", &["get"], registers))
        .get("/")
        .await;
    let pending = response
        .tasks()
        .within(Duration::from_secs(5))
        .await
        .expect_err("one never ends");
    assert_eq!(pending.names(), ["never ends"]);
    assert_eq!(
        pending.to_string(),
        "background tasks still pending after 5s: `never ends`"
    );
}

/// The default limit is real time: with paused time, a long sleep is no wait.
#[tokio::test(start_paused = true)]
async fn paused_time_works() {
    async fn sleeps(_req: &mut Request, res: &mut Response) {
        res.background(tokio::time::sleep(Duration::from_secs(500)));
    }
    let begun = std::time::Instant::now();
    let response = Client::new(App::new().add("/", &["get"], sleeps))
        .get("/")
        .await;
    let reports = response.tasks().await;
    assert_eq!(reports[0].outcome, TaskState::Completed);
    assert!(begun.elapsed() < Duration::from_secs(60));
}

#[tokio::test]
async fn what_has_ended_is_returned_at_once_and_again() {
    async fn view(_req: &mut Request, res: &mut Response) {
        res.background(Task::new(async {}).name("quick"));
    }
    let response = Client::new(App::new().add("/", &["get"], view))
        .get("/")
        .await;
    assert_eq!(response.tasks().await.len(), 1);
    assert_eq!(response.tasks().await[0].name, "quick");
}

#[tokio::test]
async fn response_without_tasks_has_none() {
    async fn view(_req: &mut Request, _res: &mut Response) {}
    let client = Client::new(App::new().add("/", &["get"], view));
    assert!(client.get("/").await.tasks().await.is_empty());
    assert_eq!(client.runner().stats(), background::Stats::default());
}

#[tokio::test]
async fn waits_for_exactly_the_tasks_of_one_response() {
    async fn view(req: &mut Request, res: &mut Response) -> bocadillo::Result<()> {
        let is_slow = req.uri().query() == Some("slow");
        res.background(Task::new(async move {
            if is_slow {
                std::future::pending::<()>().await;
            }
        }));
        Ok(())
    }
    let client = Client::new(App::new().add("/", &["get"], view));
    let slow = client.get("/?slow").await;
    assert_eq!(client.get("/").await.tasks().await.len(), 1);
    assert!(
        slow.tasks()
            .within(Duration::from_millis(10))
            .await
            .is_err()
    );
}

#[tokio::test]
#[should_panic(expected = "`background::current()` was called outside of a background task")]
async fn current_outside_of_a_task_says_what_to_do() {
    let _ = background::current();
}

/// The app's own runner, as on the server: its limits, its reports, its wrapper, its numbers.
#[tokio::test(start_paused = true)]
async fn the_runner_of_the_app_is_that_of_its_test() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let tells = Arc::clone(&told);
    let wrapped = Arc::new(AtomicUsize::new(0));
    let wraps = Arc::clone(&wrapped);
    // On the test's runtime all the same: its time is paused.
    let runner = Runner::dedicated(1)
        .max_waiting(1)
        .timeout(Duration::from_secs(60))
        .on_report(move |report| tells.lock().expect("no panic").push(report.outcome))
        .wrap(move |task| {
            wraps.fetch_add(1, SeqCst);
            task
        });
    let app = App::new().add("/", &["get"], registers).background(runner);
    let runner = app.runner().clone();
    let reports = Client::new(app).get("/").await.tasks().await;
    let outcomes: Vec<_> = reports.iter().map(|report| report.outcome).collect();
    assert_eq!(outcomes, [TaskState::Refused, TaskState::TimedOut]);
    assert_eq!(*told.lock().expect("no panic"), outcomes);
    assert_eq!(wrapped.load(SeqCst), 1);
    let stats = runner.stats();
    assert_eq!(
        (stats.registered, stats.refused, stats.timed_out),
        (2, 1, 1)
    );
}

#[tokio::test(start_paused = true)]
async fn follow_ups_run_on_the_runtime_of_the_test() {
    async fn view(_req: &mut Request, res: &mut Response) {
        res.background(async {
            let sleeps = Task::new(tokio::time::sleep(Duration::from_secs(3600)));
            background::current().spawn(sleeps.timeout(Duration::from_secs(7200)));
        });
    }
    let app = App::new()
        .add("/", &["get"], view)
        .background(Runner::dedicated(1));
    let reports = Client::new(app).get("/").await.tasks().await;
    assert_eq!(reports.len(), 2);
}

#[tokio::test]
async fn an_app_whose_runner_is_full_holds_back_in_a_test_too() {
    let runner = Runner::current()
        .max_running(1)
        .max_waiting(1)
        .overflow(Overflow::HoldBack);
    let app = App::new().add("/", &["get"], registers).background(runner);
    let client = Client::new(app);
    assert_eq!(client.get("/").await.status(), 200);
    assert_eq!(client.get("/").await.status(), 503);
}

/// A view that found the handle here and not on the server would pass its test and fail there.
#[tokio::test]
async fn a_view_of_an_app_finds_no_handle_that_it_would_not_find_on_a_server() {
    async fn finds(req: &mut Request, res: &mut Response) {
        let found = req.extensions().get::<Background>().is_some();
        res.text(found.to_string());
    }
    fn plain() -> App {
        App::new().add("/", &["get"], finds)
    }
    fn layered() -> App {
        plain().layer(tower_layer::layer_fn(|inner| inner))
    }
    for app in [plain, layered] {
        let in_test = Client::new(app()).get("/").await.text().to_owned();
        let (addr, _) = support::start(app()).await;
        let on_server = support::Http1::connect(addr)
            .await
            .request("GET", "/")
            .await;
        assert_eq!(in_test, on_server.body);
    }
}

/// Whoever was told that a service is ready is the one that calls it.
#[test]
fn the_client_keeps_towers_contract() {
    #[derive(Default)]
    struct One {
        permit: bool,
        broken: Arc<AtomicBool>,
    }
    impl tower_service::Service<http::Request<bocadillo::Body>> for One {
        type Response = http::Response<bocadillo::Body>;
        type Error = std::convert::Infallible;
        type Future = std::future::Ready<Result<Self::Response, Self::Error>>;

        fn poll_ready(
            &mut self,
            _cx: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Result<(), Self::Error>> {
            self.permit = true;
            std::task::Poll::Ready(Ok(()))
        }

        fn call(&mut self, _req: http::Request<bocadillo::Body>) -> Self::Future {
            if !std::mem::take(&mut self.permit) {
                self.broken.store(true, SeqCst);
            }
            std::future::ready(Ok(http::Response::new(bocadillo::Body::empty())))
        }
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    runtime.expect("a runtime").block_on(async {
        let one = One::default();
        let broken = Arc::clone(&one.broken);
        let client = Client::new(one);
        let all: Vec<_> = (0..8)
            .map(|_| {
                let client = client.clone();
                tokio::spawn(async move {
                    for _ in 0..500 {
                        client.get("/").await;
                    }
                })
            })
            .collect();
        for one in all {
            one.await.expect("no panic");
        }
        assert!(!broken.load(SeqCst), "called by somebody else");
    });
}
