//! What a runner promises: limits, conditions, isolation, reports, and numbers that add up.

mod support;

use std::{
    io,
    sync::{
        Arc, LazyLock, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
        mpsc,
    },
    thread,
    time::Duration,
};

use bocadillo::{
    App, HttpError, Request, Response, Runner, Task,
    background::{self, Overflow, TaskState, When},
    route,
    sent::Delivery,
    testing::Client,
};
use support::{
    Http1, PATIENCE,
    counts::{Reports, gate, sum, until},
    http2, http2_request, soon, start,
};
use tokio::{sync::Notify, time::sleep};
use tracing::Dispatch;

#[tokio::test]
async fn no_more_than_max_running_run_and_the_others_get_their_turn_in_order() {
    #[derive(Clone, Default)]
    struct Log {
        running: Arc<AtomicUsize>,
        most: Arc<AtomicUsize>,
        order: Arc<Mutex<Vec<usize>>>,
    }
    #[route("/")]
    async fn ten(req: &mut Request, res: &mut Response) -> bocadillo::Result<()> {
        for number in 0..10 {
            let log = req.state::<Log>()?.clone();
            #[background(add)]
            async fn one() {
                log.order.lock().expect("no panic").push(number);
                let running = log.running.fetch_add(1, SeqCst) + 1;
                log.most.fetch_max(running, SeqCst);
                sleep(Duration::from_millis(10)).await;
                log.running.fetch_sub(1, SeqCst);
            }
        }
        Ok(())
    }
    let log = Log::default();
    let runner = Runner::current().max_running(3).build();
    let client = Client::with_runner(App::new().route(ten).state(log.clone()), runner.clone());
    let reports = client.get("/").await.tasks().await;
    assert_eq!(reports.len(), 10);
    assert_eq!(log.most.load(SeqCst), 3);
    assert_eq!(
        *log.order.lock().expect("no panic"),
        (0..10).collect::<Vec<_>>()
    );
    assert_eq!(runner.stats().completed, 10);
}

#[tokio::test]
async fn registrations_beyond_max_waiting_are_refused_and_reported() {
    #[route("/")]
    async fn five(_req: &mut Request, res: &mut Response) {
        for number in 0..5 {
            res.add_background(Task::new(async {}).name(format!("task {number}")));
        }
    }
    let reports = Reports::default();
    let runner = reports.of(Runner::current().max_waiting(3));
    let client = Client::with_runner(App::new().route(five), runner.clone());
    client.get("/").await.tasks().await;
    let stats = runner.stats();
    assert_eq!(
        (stats.registered, stats.completed, stats.refused),
        (5, 3, 2)
    );
    let refused = reports
        .all()
        .into_iter()
        .filter(|it| it.outcome == TaskState::Refused);
    let names: Vec<_> = refused.map(|report| report.name).collect();
    assert_eq!(names, ["task 3", "task 4"]);
}

/// What is refused is dropped at once: what tasks hold is bounded by the limits.
#[tokio::test]
async fn ten_thousand_tasks_that_never_end_hold_no_more_than_the_limits_allow() {
    struct Megabyte(
        Arc<AtomicUsize>,
        #[allow(dead_code, reason = "held")] Vec<u8>,
    );
    impl Drop for Megabyte {
        fn drop(&mut self) {
            self.0.fetch_sub(1, SeqCst);
        }
    }
    #[route("/", methods = ["post"])]
    async fn keeps(req: &mut Request, res: &mut Response) -> bocadillo::Result<()> {
        let alive = Arc::clone(req.state::<Arc<AtomicUsize>>()?);
        alive.fetch_add(1, SeqCst);
        let data = Megabyte(alive, req.body().await?.into());
        #[background]
        async fn never_ends() {
            let _data = data;
            std::future::pending::<()>().await;
        }
        Ok(())
    }
    let alive = Arc::new(AtomicUsize::new(0));
    let runner = Runner::current().max_running(8).max_waiting(8).build();
    let app = App::new().route(keeps).state(Arc::clone(&alive));
    let client = Client::with_runner(app, runner.clone());
    let body = bytes::Bytes::from(vec![0; 1 << 20]);
    for _ in 0..10_000 {
        client.post("/").body(body.clone()).await;
        assert!(alive.load(SeqCst) <= 16);
    }
    let stats = runner.stats();
    assert_eq!(
        (stats.running, stats.waiting, stats.refused),
        (8, 8, 10_000 - 16)
    );
    drop(runner.drain(Duration::ZERO).await);
    assert_eq!(
        alive.load(SeqCst),
        0,
        "what was cut off has given back what it held"
    );
    assert_eq!(sum(runner.stats()), 10_000);
}

#[tokio::test]
async fn requests_are_held_back_while_too_much_waits() {
    #[route("/two")]
    async fn two(req: &mut Request, res: &mut Response) {
        for _ in 0..2 {
            let gate = gate(req);
            res.add_background(async move { gate.notified().await });
        }
    }
    let gate = Arc::new(Notify::new());
    let runner = Runner::current()
        .max_running(1)
        .max_waiting(1)
        .overflow(Overflow::HoldBack)
        .build();
    let app = App::new().route(two).state(Arc::clone(&gate));
    let (addr, _) = start(app.background(runner.clone())).await;
    let mut client = Http1::connect(addr).await;
    // It was under way when there was room: it is never failed for what it registers.
    assert_eq!(client.request("GET", "/two").await.status(), 200);
    until(&runner, "one runs, one waits", |it| {
        (it.running, it.waiting) == (1, 1)
    })
    .await;
    let held_back = client.request("GET", "/two").await;
    assert_eq!(held_back.status(), 503);
    assert!(held_back.has("retry-after: 1"), "{held_back:?}");
    let (mut send, _driver) = http2(addr, &h2::client::Builder::new()).await;
    let response = http2_request(&mut send, "GET", "/two").await;
    assert_eq!(
        soon("a response", response).await.expect("one").status(),
        503
    );

    gate.notify_one();
    until(&runner, "there is room", |it| it.waiting == 0).await;
    assert_eq!(client.request("GET", "/two").await.status(), 200);
    let stats = runner.stats();
    assert_eq!((stats.registered, stats.refused), (4, 0));
}

#[tokio::test(start_paused = true)]
async fn a_task_that_takes_too_long_is_dropped() {
    struct Drops(Arc<AtomicBool>);
    impl Drop for Drops {
        fn drop(&mut self) {
            self.0.store(background::try_current().is_some(), SeqCst);
        }
    }
    #[route("/")]
    async fn slow(req: &mut Request, res: &mut Response) -> bocadillo::Result<()> {
        let drops = Drops(Arc::clone(req.state::<Arc<AtomicBool>>()?));
        #[background]
        async fn by_default() {
            let _drops = drops;
            sleep(Duration::from_secs(3600)).await;
        }
        #[background(add, timeout = "90m")]
        async fn its_own() {
            sleep(Duration::from_secs(3600)).await;
        }
        Ok(())
    }
    let dropped = Arc::new(AtomicBool::new(false));
    let runner = Runner::current().timeout(Duration::from_secs(60)).build();
    let app = App::new().route(slow).state(Arc::clone(&dropped));
    let reports = Client::with_runner(app, runner)
        .get("/")
        .await
        .tasks()
        .await;
    let end = |name: &str| {
        let report = reports.iter().find(|report| report.name == name);
        report.expect("a report of each").outcome
    };
    assert_eq!(end("by_default"), TaskState::TimedOut);
    assert_eq!(end("its_own"), TaskState::Completed);
    assert!(
        dropped.load(SeqCst),
        "it was dropped within its own context"
    );
}

/// The function goes on; its task is reported, and its thread is not given to the next one.
#[tokio::test]
async fn a_function_that_takes_too_long_is_reported_and_left_behind() {
    type Channels = Arc<Mutex<Option<(mpsc::Receiver<()>, mpsc::Sender<()>)>>>;
    #[route("/")]
    async fn slow(req: &mut Request, res: &mut Response) -> bocadillo::Result<()> {
        let channels = req.state::<Channels>()?.lock().expect("no panic").take();
        let (released, ended) = channels.expect("called once");
        #[background(timeout = "10ms", blocking)]
        fn blocks() {
            released.recv_timeout(PATIENCE).expect("released");
            ended.send(()).expect("the test waits");
        }
        Ok(())
    }
    let (release, released) = mpsc::channel();
    let (ended, has_ended) = mpsc::channel();
    let channels: Channels = Arc::new(Mutex::new(Some((released, ended))));
    let client = Client::new(App::new().route(slow).state(channels));
    let reports = client.get("/").await.tasks().await;
    assert_eq!(reports[0].outcome, TaskState::TimedOut);
    release.send(()).expect("it goes on");
    has_ended.recv_timeout(PATIENCE).expect("it ends");
}

/// Every end of a view, and every condition.
#[tokio::test]
async fn conditions_depend_on_the_view_and_on_the_delivery() {
    #[route("/{end}")]
    async fn ends(_req: &mut Request, res: &mut Response, end: String) -> bocadillo::Result<()> {
        #[background]
        async fn always() {}
        #[background(add, when = "success")]
        async fn success() {}
        #[background(add, when = When::Delivered)]
        async fn delivered() {}
        match &*end {
            "ok" => {}
            "redirect" => res.redirect("/elsewhere"),
            "404" => res.status(404),
            "http-error" => return Err(HttpError::new(409).into()),
            "error" => return Err(io::Error::other("broken").into()),
            "cut" => res.stream(Broken),
            _ => panic!("as the test wants"),
        }
        Ok(())
    }
    /// A body that breaks.
    struct Broken;
    impl futures_core::Stream for Broken {
        type Item = Result<&'static str, io::Error>;
        fn poll_next(
            self: std::pin::Pin<&mut Self>,
            _cx: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Self::Item>> {
            std::task::Poll::Ready(Some(Err(io::Error::other("broken"))))
        }
    }
    let client = Client::new(App::new().route(ends));
    for (path, expected) in [
        ("/ok", &["always", "delivered", "success"][..]),
        ("/redirect", &["always", "delivered", "success"]),
        ("/404", &["always", "delivered"]),
        ("/http-error", &["always", "delivered"]),
        ("/error", &["always", "delivered"]),
        ("/panic", &["always", "delivered"]),
        ("/cut", &["always", "success"]),
    ] {
        let reports = client.get(path).await.tasks().await;
        assert_eq!(reports.len(), 3, "{path}");
        let ran = reports
            .iter()
            .filter(|it| it.outcome == TaskState::Completed);
        let mut ran: Vec<_> = ran.map(|report| &*report.name).collect();
        ran.sort_unstable();
        assert_eq!(ran, expected, "{path}");
        let skipped = reports.iter().filter(|it| it.outcome == TaskState::Skipped);
        assert_eq!(skipped.count(), 3 - expected.len(), "{path}");
    }
}

/// The same over sockets, where the client leaves in the middle of the body.
#[tokio::test]
async fn undelivered_on_both_protocols() {
    #[route("/")]
    async fn big(_req: &mut Request, res: &mut Response) {
        res.bytes(vec![0; 64 << 20]);
        #[background]
        async fn always() {
            let delivery = background::current().delivery();
            assert!(matches!(delivery, Delivery::Aborted { .. }), "{delivery:?}");
        }
        #[background(add, when = "delivered")]
        async fn delivered() {}
        #[background(add, when = "success")]
        async fn success() {}
    }
    let runner = Runner::default();
    let (addr, _) = start(App::new().route(big).background(runner.clone())).await;
    let mut client = Http1::connect(addr).await;
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    until(&runner, "the response", |it| it.waiting == 3).await;
    drop(client);
    until(&runner, "the ends", |it| {
        it.completed == 2 && it.skipped == 1
    })
    .await;

    let (mut send, driver) = http2(addr, &h2::client::Builder::new()).await;
    let response = http2_request(&mut send, "GET", "/").await;
    let response = soon("the head", response).await.expect("a response");
    // Resets the stream, whose window is full.
    drop(response);
    until(&runner, "the ends", |it| {
        it.completed == 4 && it.skipped == 2
    })
    .await;
    driver.abort();
    assert_eq!(sum(runner.stats()), 6);
}

/// The only thread of the requests answers while a task blocks its own.
#[tokio::test]
async fn a_task_that_blocks_does_not_keep_requests_waiting() {
    type Release = Arc<Mutex<Option<mpsc::Receiver<()>>>>;
    #[route("/block")]
    async fn block(req: &mut Request, res: &mut Response) -> bocadillo::Result<()> {
        let release = req.state::<Release>()?.lock().expect("no panic").take();
        #[background]
        async fn blocks() {
            let thread = thread::current();
            assert!(
                thread
                    .name()
                    .is_some_and(|name| name.starts_with("bocadillo-task"))
            );
            release
                .expect("called once")
                .recv_timeout(PATIENCE)
                .expect("released");
        }
        Ok(())
    }
    #[route("/")]
    async fn index(_req: &mut Request, _res: &mut Response) {}

    let (release, released) = mpsc::channel();
    // Its settings make other runners of it, which are dedicated too.
    let runner = Runner::dedicated(1).max_running(8).build();
    let app = App::new()
        .route(block)
        .route(index)
        .state::<Release>(Arc::new(Mutex::new(Some(released))));
    let (addr, _) = start(app.background(runner.clone())).await;
    let mut client = Http1::connect(addr).await;
    client.request("GET", "/block").await;
    until(&runner, "the task runs", |it| it.running == 1).await;
    for _ in 0..3 {
        assert_eq!(client.request("GET", "/").await.status(), 200);
        assert_eq!(
            Http1::connect(addr)
                .await
                .request("GET", "/")
                .await
                .status(),
            200
        );
    }
    assert_eq!(runner.stats().running, 1);
    release.send(()).expect("the task waits");
    until(&runner, "the task's end", |it| it.completed == 1).await;
}

/// What waits for a place to block has not begun: its time does not run.
#[tokio::test]
async fn a_function_that_waits_for_its_place_does_not_time_out() {
    #[route("/")]
    async fn two(_req: &mut Request, res: &mut Response) {
        for name in ["first", "second"] {
            let task = Task::blocking(|| thread::sleep(Duration::from_millis(60)));
            res.add_background(task.name(name).timeout(Duration::from_millis(100)));
        }
    }
    let runner = Runner::current().max_blocking(1).build();
    let client = Client::with_runner(App::new().route(two), runner);
    let reports = client.get("/").await.tasks().await;
    assert_eq!(reports.len(), 2);
    for report in &reports {
        assert_eq!(report.outcome, TaskState::Completed, "{report:?}");
    }
    let began = |at: usize| reports[at].started_at.expect("it was called");
    assert!(
        began(1) - began(0) >= Duration::from_millis(50),
        "{reports:?}"
    );
}

#[tokio::test]
async fn blocking_functions_are_bounded_and_know_where_they_are() {
    #[derive(Clone, Default)]
    struct Running {
        now: Arc<AtomicUsize>,
        most: Arc<AtomicUsize>,
    }
    #[route("/")]
    async fn six(req: &mut Request, res: &mut Response) -> bocadillo::Result<()> {
        for _ in 0..6 {
            let running = req.state::<Running>()?.clone();
            #[background(add, blocking)]
            fn computes() {
                let now = running.now.fetch_add(1, SeqCst) + 1;
                running.most.fetch_max(now, SeqCst);
                thread::sleep(Duration::from_millis(5));
                running.now.fetch_sub(1, SeqCst);
                background::current().spawn(async {});
            }
        }
        #[background(add, blocking)]
        fn panics() {
            panic!("within");
        }
        Ok(())
    }
    let running = Running::default();
    let runner = Runner::current().max_blocking(2).build();
    let app = App::new().route(six).state(running.clone());
    let reports = Client::with_runner(app, runner)
        .get("/")
        .await
        .tasks()
        .await;
    assert!(running.most.load(SeqCst) <= 2);
    let completed = reports
        .iter()
        .filter(|it| it.outcome == TaskState::Completed);
    assert_eq!(completed.count(), 12);
    let panicked: Vec<_> = reports
        .iter()
        .filter(|it| it.outcome == TaskState::Panicked)
        .collect();
    assert_eq!(panicked.len(), 1);
    assert_eq!(panicked[0].error.as_deref(), Some("within"));
}

#[tokio::test]
async fn a_report_says_everything() {
    #[route("/orders/{id}", methods = ["post"])]
    async fn create(_req: &mut Request, res: &mut Response, id: u32) {
        res.status(201);
        #[background]
        async fn confirm() -> Result<(), io::Error> {
            assert_eq!(id, 7);
            let context = background::current();
            assert_eq!(context.status().map(|status| status.as_u16()), Some(201));
            #[background(name = "follow-up")]
            async fn other() {}
            Err(io::Error::other("no mail server"))
        }
    }
    let reports = Reports::default();
    let runner = reports.of(Runner::builder());
    let (addr, _) = start(App::new().route(create).background(runner.clone())).await;
    Http1::connect(addr)
        .await
        .request("POST", "/orders/7")
        .await;
    until(&runner, "the ends", |it| {
        it.completed == 1 && it.failed == 1
    })
    .await;
    soon("the reports", async {
        while reports.all().len() < 2 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let mut reports = reports.all();
    reports.sort_by_key(|report| report.id);
    let [report, follow_up] = &*reports else {
        panic!("{reports:?}");
    };
    assert_eq!(report.name, "confirm");
    assert!(report.location.file().ends_with("tests/runner.rs"));
    assert_eq!(report.route.as_deref(), Some("/orders/{id}"));
    assert_eq!(report.status.map(|status| status.as_u16()), Some(201));
    assert_eq!(report.delivery, Some(Delivery::Sent));
    assert_eq!(report.outcome, TaskState::Failed);
    assert_eq!(report.error.as_deref(), Some("no mail server"));
    let (sent, started) = (
        report.sent_at.expect("sent"),
        report.started_at.expect("started"),
    );
    assert!(report.registered_at <= sent && sent <= started && started <= report.ended_at);
    assert_eq!(follow_up.name, "follow-up");
    assert_eq!(follow_up.route, report.route);
    assert!(follow_up.registered_at >= started);
}

#[tokio::test]
async fn a_report_that_panics_hurts_nothing() {
    #[route("/")]
    async fn index(_req: &mut Request, res: &mut Response) {
        res.background(async {});
        res.background(async {});
    }
    let runner = Runner::builder()
        .on_report(|_| panic!("as the test wants"))
        .build();
    let (addr, _) = start(App::new().route(index).background(runner.clone())).await;
    let mut client = Http1::connect(addr).await;
    for _ in 0..3 {
        assert_eq!(client.request("GET", "/").await.status(), 200);
    }
    until(&runner, "the ends", |it| {
        it.completed == 3 && it.replaced == 3
    })
    .await;
    assert_eq!(sum(runner.stats()), 6);
}

tokio::task_local! {
    static TENANT: &'static str;
}

#[tokio::test]
async fn a_wrapper_gives_tasks_what_is_local_to_their_request() {
    #[route("/")]
    async fn index(_req: &mut Request, res: &mut Response) {
        #[background]
        async fn task() -> Result<(), io::Error> {
            assert_eq!(background::current().name(), "task");
            Err(io::Error::other(TENANT.get()))
        }
    }
    let runner = Runner::dedicated(1)
        .wrap(|task| match TENANT.try_with(|it| *it) {
            Ok(tenant) => Box::pin(TENANT.scope(tenant, task)),
            Err(_) => task,
        })
        .build();
    let client = Client::with_runner(App::new().route(index), runner);
    let response = TENANT.scope("Acme", async { client.get("/").await }).await;
    let reports = response.tasks().await;
    assert_eq!(reports[0].error.as_deref(), Some("Acme"));
}

/// It is called where the response is handed over: its panic was the connection's, and the task
/// waited for ever.
#[tokio::test]
async fn a_wrapper_that_panics_costs_its_task_alone() {
    #[route("/")]
    async fn index(_req: &mut Request, res: &mut Response) {
        res.background(async {});
        res.text("hello");
    }
    let runner = Runner::dedicated(1)
        .wrap(|_| panic!("as the test wants"))
        .build();
    let (addr, _) = start(App::new().route(index).background(runner.clone())).await;
    let mut client = Http1::connect(addr).await;
    for _ in 0..2 {
        assert_eq!(client.request("GET", "/").await.body, "hello");
    }
    until(&runner, "the ends", |it| it.panicked == 2).await;
    assert!(runner.drain(PATIENCE).await.is_clean());
    assert_eq!(sum(runner.stats()), 2);
}

/// What subscribers write, for looking at.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl io::Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no panic").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// While there is one dispatcher alone, `tracing` takes what another thread logs first for never wanted
/// by anybody. So there is another one.
static OTHER: LazyLock<Dispatch> = LazyLock::new(|| Dispatch::new(tracing_subscriber::registry()));

impl Written {
    fn subscriber(&self) -> impl tracing::Subscriber + Send + Sync + use<> {
        LazyLock::force(&OTHER);
        let writer = self.clone();
        tracing_subscriber::fmt()
            .with_writer(move || writer.clone())
            .with_ansi(false)
            .with_max_level(tracing::Level::DEBUG)
            .finish()
    }

    fn line(&self, what: &str) -> String {
        let text = String::from_utf8(self.0.lock().expect("no panic").clone()).expect("text");
        let line = text.lines().find(|line| line.contains(what));
        line.unwrap_or_else(|| panic!("no `{what}` in:\n{text}"))
            .to_owned()
    }
}

/// Also on another thread, and although the dispatcher is that of one thread alone.
#[tokio::test]
async fn span_and_dispatcher_of_the_registration_are_those_of_the_task() {
    #[route("/")]
    async fn index(_req: &mut Request, res: &mut Response) {
        let request = tracing::info_span!("request", number = 7);
        let _entered = request.enter();
        #[background]
        async fn task() {
            tokio::task::yield_now().await;
            tracing::info!("from the task");
            #[background]
            async fn follow_up() {
                tracing::info!("from the follow-up");
            }
        }
    }
    let written = Written::default();
    let _default = tracing::subscriber::set_default(written.subscriber());
    let client = Client::with_runner(App::new().route(index), Runner::dedicated(1));
    client.get("/").await.tasks().await;
    for line in ["from the task", "from the follow-up"] {
        let line = written.line(line);
        // Its own span follows from the request's, and is no part of that.
        assert!(line.contains("background{task=\""), "{line}");
        assert!(!line.contains("request{"), "{line}");
    }
    let line = written.line("background task completed");
    assert!(
        line.contains("sent_us=") && line.contains("ended_us="),
        "{line}"
    );
}

#[tokio::test]
async fn a_task_that_blocks_its_thread_is_named_once() {
    #[route("/")]
    async fn index(_req: &mut Request, res: &mut Response) {
        #[background]
        async fn blocks() {
            for _ in 0..2 {
                thread::sleep(Duration::from_millis(20));
                tokio::task::yield_now().await;
            }
        }
    }
    let written = Written::default();
    let _default = tracing::subscriber::set_default(written.subscriber());
    let runner = Runner::current()
        .blocking_threshold(Duration::from_millis(10))
        .build();
    let client = Client::with_runner(App::new().route(index), runner);
    client.get("/").await.tasks().await;
    let line = written.line("blocked its thread");
    assert!(
        line.contains("task=\"blocks\"") && line.contains("took="),
        "{line}"
    );
    let text = written.0.lock().expect("no panic").clone();
    let text = String::from_utf8(text).expect("text");
    assert_eq!(text.matches("blocked its thread").count(), 1, "{text}");
}

/// The backtrace may take longer than a poll should.
#[tokio::test]
async fn a_panic_is_not_taken_for_a_task_that_blocks() {
    #[route("/")]
    async fn index(_req: &mut Request, res: &mut Response) {
        #[background]
        async fn panics() {
            panic!("as the test wants");
        }
    }
    let written = Written::default();
    let _default = tracing::subscriber::set_default(written.subscriber());
    // Every poll takes longer.
    let runner = Runner::current().blocking_threshold(Duration::ZERO).build();
    let client = Client::with_runner(App::new().route(index), runner);
    client.get("/").await.tasks().await;
    let line = written.line("background task panicked");
    assert!(line.contains("status=200"), "{line}");
    let text = written.0.lock().expect("no panic").clone();
    let text = String::from_utf8(text).expect("text");
    assert!(!text.contains("blocked its thread"), "{text}");
}

/// A task that spawns itself is one of a chain; one that spawns two of itself is stopped.
#[tokio::test]
async fn runaway_recursion_is_bounded() {
    fn doubles() -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(async {
            for _ in 0..2 {
                background::current().spawn(doubles());
            }
        })
    }
    #[route("/")]
    async fn index(_req: &mut Request, res: &mut Response) {
        res.background(doubles());
    }
    let runner = Runner::current().max_running(4).max_waiting(100).build();
    let client = Client::with_runner(App::new().route(index), runner.clone());
    client.get("/").await;
    until(&runner, "a refusal", |it| it.refused > 100).await;
    let stats = runner.stats();
    assert!(stats.running <= 4 && stats.waiting <= 100, "{stats:?}");
    assert!(!runner.drain(Duration::ZERO).await.is_clean() || runner.stats().cancelled > 0);
    let stats = runner.stats();
    assert_eq!((stats.running, stats.waiting), (0, 0));
    assert_eq!(sum(stats), stats.registered);
}

/// Looked at from another thread, under load, and while it ends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numbers_add_up_at_every_instant() {
    #[route("/")]
    async fn index(_req: &mut Request, res: &mut Response) {
        res.background(async {});
        res.background(async { tokio::task::yield_now().await });
        res.add_background(Task::new(async {}).when(When::Delivered));
        res.add_background(async { Err::<(), _>("as the test wants") });
    }
    let runner = Runner::dedicated(2).max_running(2).build();
    let client = Client::with_runner(App::new().route(index), runner.clone());
    let (looking, done) = (runner.clone(), Arc::new(AtomicBool::new(false)));
    let ends = Arc::clone(&done);
    let looker = thread::spawn(move || {
        let mut looks = 0_u64;
        while !ends.load(SeqCst) {
            let stats = looking.stats();
            assert_eq!(sum(stats), stats.registered, "{stats:?}");
            looks += 1;
        }
        looks
    });
    let clients = (0..4).map(|_| {
        let client = client.clone();
        tokio::spawn(async move {
            for _ in 0..500 {
                client.get("/").await;
            }
        })
    });
    for client in clients.collect::<Vec<_>>() {
        client.await.expect("no panic");
    }
    let report = runner.drain(PATIENCE).await;
    done.store(true, SeqCst);
    let looks = looker.join().expect("the numbers added up");
    assert!(looks > 100, "only {looks} looks");
    assert!(report.is_clean());
    let stats = runner.stats();
    assert_eq!((stats.registered, stats.replaced), (8000, 2000));
    assert_eq!((stats.completed, stats.failed), (4000, 2000));
}

/// The last handle of a runtime may go within async code, and within a task of its own.
#[tokio::test]
async fn a_runner_may_be_dropped_anywhere() {
    let runner = Runner::dedicated(1).build();
    #[route("/")]
    async fn index(_req: &mut Request, res: &mut Response) {
        res.background(async { sleep(Duration::from_millis(20)).await });
    }
    let client = Client::with_runner(App::new().route(index), runner.clone());
    let response = client.get("/").await;
    drop((client, runner));
    assert_eq!(response.tasks().await[0].outcome, TaskState::Completed);
}
