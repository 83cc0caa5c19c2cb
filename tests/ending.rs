//! Nothing that is under way is lost when a server or a runner ends.

mod support;

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use bocadillo::{
    App, HttpError, Limits, Request, Response, Runner, Task,
    background::{self, Builder, TaskState, When},
    testing::Client,
};
use support::{Gate, Http1, PATIENCE, http2, http2_request, soon};
use tokio::{
    net::TcpListener,
    runtime::Runtime,
    sync::{Notify, oneshot},
    task::JoinHandle,
    time::sleep,
};

const MS: Duration = Duration::from_millis(1);

fn runtime(workers: usize) -> Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers)
        .enable_all()
        .build()
        .expect("a runtime")
}

/// A server that ends when it is told.
struct Server {
    addr: std::net::SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    served: JoinHandle<bocadillo::Result<()>>,
}

impl Server {
    async fn start(app: App) -> Self {
        let (stop, stopped) = oneshot::channel::<()>();
        let app = app.with_graceful_shutdown(async { drop(stopped.await) });
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let addr = listener.local_addr().expect("an address");
        let served = tokio::spawn(app.serve_with(listener));
        let stop = Some(stop);
        Self { addr, stop, served }
    }

    async fn end(mut self) -> bocadillo::Result<()> {
        drop(self.stop.take());
        soon("the end", self.served).await.expect("no panic")
    }
}

/// Polls until this holds, but not for ever.
async fn until(what: &str, holds: impl Fn() -> bool) {
    soon(what, async {
        while !holds() {
            sleep(MS).await;
        }
    })
    .await;
}

/// The runtime polls the end of the server after each poll of a task: also between the end of a
/// connection of HTTP/2 and the polls of its streams, which hand their views over.
#[test]
fn views_whose_connection_a_shutdown_closed_are_waited_for() {
    #[derive(Clone, Default)]
    struct Views {
        begun: Arc<Notify>,
        may_end: Arc<Notify>,
        tasks: Arc<AtomicUsize>,
    }
    async fn view(req: &mut Request, res: &mut Response) -> bocadillo::Result<()> {
        let views = req.state::<Views>()?.clone();
        views.begun.notify_one();
        views.may_end.notified().await;
        res.background(async move {
            views.tasks.fetch_add(1, SeqCst);
        });
        Ok(())
    }
    let views = Views::default();
    let (stop, stopped) = oneshot::channel::<()>();
    let app = App::new()
        .add("/", &["get"], view)
        .state(views.clone())
        // Connections are closed when half of it is over, and their streams are reset before.
        .background(Runner::dedicated(1).drain_timeout(3000 * MS))
        .with_graceful_shutdown(async { drop(stopped.await) });
    let tasks = Arc::clone(&views.tasks);
    let client = |addr| async move {
        let (mut send, connection) = http2(addr, &h2::client::Builder::new()).await;
        let _response = http2_request(&mut send, "GET", "/").await;
        soon("the view", views.begun.notified()).await;
        drop(stop);
        let closed = soon("the end of the connection", connection).await;
        closed.expect("no panic");
        views.may_end.notify_one();
    };
    let server = tokio::runtime::Builder::new_current_thread()
        .event_interval(1)
        .enable_all()
        .build();
    server.expect("a runtime").block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let addr = listener.local_addr().expect("an address");
        let client = std::thread::spawn(move || runtime(1).block_on(client(addr)));
        let served = soon("the end of the server", app.serve_with(listener)).await;
        assert_eq!(tasks.load(SeqCst), 1, "{served:?}");
        served.expect("a clean end");
        client.join().expect("no panic");
    });
}

#[tokio::test]
async fn a_view_without_a_client_that_hangs_is_named_and_takes_no_notice_from_tasks() {
    async fn hangs(req: &mut Request, _res: &mut Response) -> bocadillo::Result<()> {
        req.state::<Arc<Notify>>()?.notify_one();
        std::future::pending().await
    }
    async fn task(req: &mut Request, res: &mut Response) -> bocadillo::Result<()> {
        let noticed = Arc::clone(req.state::<Arc<AtomicBool>>()?);
        res.background(async move {
            background::current().cancelled().await;
            noticed.store(true, SeqCst);
        });
        Ok(())
    }
    let (begun, noticed) = (Arc::new(Notify::new()), Arc::new(AtomicBool::new(false)));
    let runner = Runner::dedicated(1).drain_timeout(500 * MS).build();
    let app = App::new()
        .add("/hangs", &["get"], hangs)
        .add("/task", &["get"], task)
        .state(Arc::clone(&begun))
        .state(Arc::clone(&noticed))
        .background(runner.clone());
    let server = Server::start(app).await;
    let mut client = Http1::connect(server.addr).await;
    client.request("GET", "/task").await;
    client.send("GET /hangs HTTP/1.1\r\nhost: a\r\n\r\n").await;
    soon("the view", begun.notified()).await;
    drop(client);
    until("the task runs", || runner.stats().running == 1).await;
    let error = server.end().await.expect_err("something was cut off");
    assert!(error.to_string().contains("cut off `hangs`"), "{error}");
    assert!(noticed.load(SeqCst), "the task was asked to end");
}

/// A task is under way until its report is out.
#[test]
fn a_drain_returns_after_the_last_report() {
    async fn view(_req: &mut Request, res: &mut Response) {
        res.background(async {});
    }
    runtime(2).block_on(async {
        for _ in 0..500 {
            let told = Arc::new(AtomicUsize::new(0));
            let tells = Arc::clone(&told);
            let runner = Runner::dedicated(1).on_report(move |_| {
                tells.fetch_add(1, SeqCst);
            });
            let runner = runner.build();
            let app = App::new().add("/", &["get"], view);
            let client = Client::with_runner(app, runner.clone());
            client.get("/").await;
            assert!(runner.drain(PATIENCE).await.is_clean());
            assert_eq!(told.load(SeqCst), 1);
        }
    });
}

/// The function goes on when its task has timed out, and so does what it leaves behind.
#[tokio::test]
async fn follow_ups_of_a_function_that_outlived_its_task_are_drained() {
    let done = Arc::new(AtomicBool::new(false));
    let follow_up = Arc::clone(&done);
    let (runner, client) = one_task(Runner::dedicated(1), move || {
        let done = Arc::clone(&follow_up);
        Task::blocking(move || {
            std::thread::sleep(200 * MS);
            background::current().spawn(async move {
                sleep(200 * MS).await;
                done.store(true, SeqCst);
            });
        })
        .timeout(10 * MS)
    });
    client.get("/").await;
    let report = runner.drain(PATIENCE).await;
    assert!(report.is_clean(), "{report}");
    assert!(done.load(SeqCst), "the follow-up has ended");
    let stats = runner.stats();
    assert_eq!((stats.timed_out, stats.completed), (1, 1), "{stats:?}");
}

/// An app with one view, whose task is made so, and a client of it.
fn one_task(
    runner: Builder,
    make: impl Fn() -> Task + Clone + Send + Sync + 'static,
) -> (Runner, Client) {
    struct Make(Box<dyn Fn() -> Task + Send + Sync>);
    async fn view(req: &mut Request, res: &mut Response) -> bocadillo::Result<()> {
        let task = (req.state::<Make>()?.0)();
        res.add_background(task);
        Ok(())
    }
    let runner = runner.build();
    let app = App::new()
        .add("/", &["get"], view)
        .state(Make(Box::new(make)));
    let client = Client::with_runner(app, runner.clone());
    (runner, client)
}

#[tokio::test]
async fn a_function_that_was_not_called_before_its_timeout_never_is() {
    let (entered, gate) = (Arc::new(Notify::new()), Arc::new(Gate::default()));
    let called = Arc::new(AtomicUsize::new(0));
    // One thread for functions, of the runtime itself.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .max_blocking_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    let (locks, enters) = (Arc::clone(&gate), Arc::clone(&entered));
    runtime.spawn_blocking(move || {
        enters.notify_one();
        locks.wait();
    });
    soon("the thread is taken", entered.notified()).await;
    let calls = Arc::clone(&called);
    let (runner, client) = one_task(Runner::current(), move || {
        let calls = Arc::clone(&calls);
        let task = Task::blocking(move || {
            calls.fetch_add(1, SeqCst);
        });
        task.timeout(20 * MS)
    });
    let reports = runtime.spawn(async move { client.get("/").await.tasks().await });
    let reports = soon("the task", reports).await.expect("no panic");
    assert_eq!(reports[0].outcome, TaskState::TimedOut);
    gate.open();
    // Behind whatever waits for the thread.
    let last = runtime.spawn_blocking(|| {});
    soon("the thread is free", last).await.expect("no panic");
    assert_eq!(called.load(SeqCst), 0);
    assert!(runner.drain(PATIENCE).await.is_clean());
    runtime.shutdown_background();
}

#[tokio::test]
async fn a_task_that_found_no_room_to_start_is_named() {
    let (runner, client) = one_task(Runner::current().max_running(1), || {
        Task::new(std::future::pending::<()>()).name("waits")
    });
    client.get("/").await;
    client.get("/").await;
    let stats = runner.stats();
    assert_eq!((stats.running, stats.waiting), (1, 1), "{stats:?}");
    let report = runner.drain(50 * MS).await;
    assert_eq!(report.cut.len(), 2, "{report}");
}

/// A task whose response is under way at the deadline is cancelled after it.
#[tokio::test]
async fn a_task_that_waits_for_its_response_makes_no_clean_end() {
    async fn view(req: &mut Request, res: &mut Response) -> bocadillo::Result<()> {
        res.background(async {});
        let gate = Arc::clone(req.state::<Arc<Notify>>()?);
        res.stream(support::gated(gate));
        Ok(())
    }
    let gate = Arc::new(Notify::new());
    let runner = Runner::current().build();
    let app = App::new()
        .add("/", &["get"], view)
        .state(Arc::clone(&gate))
        .background(runner.clone());
    let server = Server::start(app).await;
    let mut client = Http1::connect(server.addr).await;
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    until("the task waits", || runner.stats().waiting == 1).await;
    let report = runner.drain(50 * MS).await;
    assert!(!report.is_clean());
    assert_eq!(report.waiting, 1);
    gate.notify_one();
    client.rest_of_chunks().await;
    until("it is cancelled", || runner.stats().cancelled == 1).await;
}

#[tokio::test]
async fn a_runner_that_two_apps_share_outlives_the_first() {
    async fn view(_req: &mut Request, res: &mut Response) {
        res.background(async {});
    }
    let runner = Runner::dedicated(1).build();
    let app = || {
        App::new()
            .add("/", &["get"], view)
            .background(runner.clone())
    };
    let (first, second) = (Server::start(app()).await, Server::start(app()).await);
    let mut client = Http1::connect(second.addr).await;
    client.request("GET", "/").await;
    first.end().await.expect("a clean end");
    client.request("GET", "/").await;
    until("both tasks", || runner.stats().completed == 2).await;
    drop(client);
    second.end().await.expect("a clean end");
}

/// What one server's requests have left behind is no business of the other's end.
#[tokio::test]
async fn the_end_of_one_app_neither_waits_for_the_tasks_of_another_nor_cuts_them_off() {
    async fn view(req: &mut Request, res: &mut Response) -> bocadillo::Result<()> {
        let gate = Arc::clone(req.state::<Arc<Notify>>()?);
        res.background(async move { gate.notified().await });
        Ok(())
    }
    let gate = Arc::new(Notify::new());
    let runner = Runner::dedicated(1).build();
    let app = || {
        let app = App::new().add("/", &["get"], view);
        app.state(Arc::clone(&gate)).background(runner.clone())
    };
    let (first, second) = (Server::start(app()).await, Server::start(app()).await);
    Http1::connect(second.addr).await.request("GET", "/").await;
    until("the task runs", || runner.stats().running == 1).await;
    let begun = Instant::now();
    first.end().await.expect("a clean end");
    assert!(begun.elapsed() < Duration::from_secs(10), "it has waited");
    assert_eq!(runner.stats().running, 1);
    gate.notify_one();
    second.end().await.expect("a clean end");
    assert_eq!(runner.stats().completed, 1);
}

/// The client of an idle connection need not answer anything.
#[tokio::test]
async fn connections_without_a_request_hold_no_shutdown() {
    async fn view(_req: &mut Request, _res: &mut Response) {}
    let app = App::new().add("/", &["get"], view);
    let server = Server::start(app).await;
    // A client of HTTP/2 that is not polled answers no PING.
    let (mut send, driver) = http2(server.addr, &h2::client::Builder::new()).await;
    let response = http2_request(&mut send, "GET", "/").await;
    soon("the response", response).await.expect("a response");
    driver.abort();
    let mut half = Http1::connect(server.addr).await;
    half.send("GET / HTT").await;
    let mut idle = Http1::connect(server.addr).await;
    idle.request("GET", "/").await;
    let begun = Instant::now();
    server.end().await.expect("a clean end");
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(5), "{took:?} of 25 s");
}

#[tokio::test]
async fn a_task_behind_a_layer_that_tries_again_runs() {
    async fn second_time(req: &mut Request, res: &mut Response) -> bocadillo::Result<()> {
        let tries = req.state::<AtomicUsize>()?.fetch_add(1, SeqCst);
        res.background(Task::new(async {}).name("mail").when(When::Success));
        if tries == 0 {
            return Err(HttpError::new(500).into());
        }
        res.text("ok");
        Ok(())
    }
    let runner = Runner::dedicated(1).build();
    let app = App::new()
        .add("/", &["get"], second_time)
        .state(AtomicUsize::new(0))
        .layer(tower_layer::layer_fn(support::Twice))
        .background(runner.clone());
    let server = Server::start(app).await;
    let reply = Http1::connect(server.addr).await.request("GET", "/").await;
    assert_eq!(reply.status(), 200);
    until("it ran", || runner.stats().completed == 1).await;
    let stats = runner.stats();
    assert_eq!((stats.registered, stats.skipped), (2, 1), "{stats:?}");
    server.end().await.expect("a clean end");
}

#[tokio::test]
async fn a_server_that_is_not_ready_any_more_goes_on_accepting_for_a_while() {
    async fn ready(req: &mut Request, res: &mut Response) {
        res.status(if req.is_shutting_down() { 503 } else { 204 });
    }
    let app = App::new()
        .add("/ready", &["get"], ready)
        .shutdown_delay(300 * MS);
    let mut server = Server::start(app).await;
    let mut before = Http1::connect(server.addr).await;
    assert_eq!(before.request("GET", "/ready").await.status(), 204);
    let begun = Instant::now();
    drop(server.stop.take());
    loop {
        // New connections, and the one that was there.
        let status = Http1::connect(server.addr)
            .await
            .request("GET", "/ready")
            .await
            .status();
        if status == 503 {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "it says that it is ready");
    }
    assert_eq!(before.request("GET", "/ready").await.status(), 503);
    server.end().await.expect("a clean end");
    assert!(begun.elapsed() >= 300 * MS, "it has not waited");
}

#[tokio::test]
async fn functions_of_startup_and_shutdown_that_panic_are_errors_and_the_others_are_called() {
    let closed = Arc::new(AtomicUsize::new(0));
    let closes = || {
        let closed = Arc::clone(&closed);
        move || async move {
            closed.fetch_add(1, SeqCst);
            Ok(())
        }
    };
    async fn panics() -> bocadillo::Result<()> {
        panic!("as the test wants")
    }
    for app in [
        App::new().on_startup(panics),
        App::new().on_startup(|| panic!("as the test wants") as std::future::Ready<_>),
        App::new().on_shutdown(panics),
    ] {
        closed.store(0, SeqCst);
        let app = app.on_shutdown(closes()).with_graceful_shutdown(async {});
        let error = soon("the end", app.serve("127.0.0.1:0")).await;
        let error = error.expect_err("a function has panicked").to_string();
        assert!(error.contains("panicked: as the test wants"), "{error}");
        assert_eq!(closed.load(SeqCst), 1);
    }
}

/// A setting that only an app has is not dropped silently.
#[tokio::test]
async fn what_a_group_cannot_set_is_an_error_of_serve() {
    for (setting, app) in [
        (
            "background",
            App::new().group("/a", |a| a.background(Runner::current())),
        ),
        (
            "limits",
            App::new().group("/a", |a| a.limits(Limits::new())),
        ),
        (
            "shutdown_delay",
            App::new().group("/a", |a| a.shutdown_delay(MS)),
        ),
        (
            "with_graceful_shutdown",
            App::new().group("/a", |a| a.with_graceful_shutdown(async {})),
        ),
    ] {
        let error = app
            .serve("127.0.0.1:0")
            .await
            .expect_err("an error")
            .to_string();
        assert!(error.contains(setting) && error.contains("`/a`"), "{error}");
    }
}

/// The view of an app beneath its layers, whose client left; the limit has no room for it.
#[tokio::test]
async fn the_report_of_a_task_of_a_layered_app_whose_client_left_has_its_route() {
    async fn hangs(req: &mut Request, res: &mut Response) -> bocadillo::Result<()> {
        res.background(async {});
        req.state::<Arc<Notify>>()?.notify_one();
        std::future::pending().await
    }
    for max_detached in [0, 16] {
        let routes = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&routes);
        let runner = Runner::dedicated(1).on_report(move |report| {
            let route = report.route.as_deref().map(str::to_owned);
            told.lock().expect("no panic").push(route);
        });
        let begun = Arc::new(Notify::new());
        let app = App::new()
            .add("/hangs", &["get"], hangs)
            .state(Arc::clone(&begun))
            .layer(tower_layer::layer_fn(|inner| inner))
            .limits(
                Limits::new()
                    .max_detached(max_detached)
                    .detached_timeout(50 * MS),
            )
            .background(runner);
        let server = Server::start(app).await;
        let mut client = Http1::connect(server.addr).await;
        client.send("GET /hangs HTTP/1.1\r\nhost: a\r\n\r\n").await;
        soon("the view", begun.notified()).await;
        drop(client);
        until("the report", || {
            !routes.lock().expect("no panic").is_empty()
        })
        .await;
        assert_eq!(
            *routes.lock().expect("no panic"),
            [Some("/hangs".to_owned())]
        );
        server.end().await.expect("a clean end");
    }
}

/// An upgraded connection is one that is under way: its end comes from those that speak on it.
#[tokio::test]
async fn an_upgraded_connection_is_not_cut_off_at_once() {
    async fn echo(req: &mut Request, res: &mut Response) {
        let upgrade = req
            .extensions()
            .get::<hyper::upgrade::OnUpgrade>()
            .expect("hyper offers it")
            .clone();
        tokio::spawn(async move {
            let upgraded = upgrade.await.expect("the 101 is sent");
            let mut io = hyper_util::rt::TokioIo::new(upgraded);
            let mut byte = [0];
            while let Ok(1) = tokio::io::AsyncReadExt::read(&mut io, &mut byte).await {
                let _ = tokio::io::AsyncWriteExt::write_all(&mut io, &byte).await;
            }
        });
        res.status(101);
        res.header("connection", "upgrade");
        res.header("upgrade", "echo");
    }
    let app = App::new().add("/", &["get"], echo);
    let mut server = Server::start(app).await;
    let mut client = Http1::connect(server.addr).await;
    client
        .send("GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n")
        .await;
    assert_eq!(client.reply(false).await.status(), 101);
    drop(server.stop.take());
    until("it stops to accept", || {
        std::net::TcpStream::connect(server.addr).is_err()
    })
    .await;
    // Longer than connections without a request have.
    sleep(500 * MS).await;
    assert!(!server.served.is_finished(), "it has not waited");
    client.send("x").await;
    let mut byte = [0];
    let read = tokio::io::AsyncReadExt::read_exact(&mut client.stream, &mut byte);
    soon("the echo", read).await.expect("it lives");
    drop(client);
    server.end().await.expect("a clean end");
}
