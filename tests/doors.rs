//! The same promises through every door, on both protocols. The table in `docs/doors.md` comes from here.

mod support;

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Router, extract::Request as AxumRequest};
use bocadillo::{
    App, BackgroundLayer, Body, Request, Response, Runner, Task, background,
    background::{Background, TaskState, When},
    sent::Delivery,
    serve,
};
use bytes::Bytes;
use hyper_util::{
    rt::TokioExecutor, rt::TokioIo, server::conn::auto, service::TowerToHyperService,
};
use support::{Http1, counts::Reports, gated, http2, http2_request, soon};
use tokio::{
    io::AsyncWriteExt as _,
    net::TcpListener,
    sync::{Notify, mpsc},
    time::timeout,
};
use tower_layer::Layer as _;

/// More than the buffers of a socket take.
const LARGE: usize = 20 * 1024 * 1024;

/// What a handler and its task tell the test.
#[derive(Clone)]
struct Probe {
    told: mpsc::UnboundedSender<(&'static str, Option<Delivery>)>,
    gate: Arc<Notify>,
}

/// How a handler ends.
enum Ending {
    Answers(u16, Vec<u8>),
    Streams,
    Panics,
}

/// What a handler of this path registers, before anything else.
fn tasks(path: &str, probe: &Probe) -> Vec<Task> {
    let task = |name: &'static str, when| {
        let told = probe.told.clone();
        Task::new(async move {
            let delivery = background::current().delivery();
            let _ = told.send((name, Some(delivery)));
        })
        .name(name)
        .when(when)
    };
    match path {
        "/fails" => vec![
            task("task", When::Always),
            task("for success", When::Success),
        ],
        "/delivered" => vec![task("task", When::Delivered)],
        _ => vec![task("task", When::Always)],
    }
}

async fn handle(path: &str, probe: &Probe) -> Ending {
    let _ = probe.told.send(("entered", None));
    match path {
        "/large" => Ending::Answers(200, vec![b'a'; LARGE]),
        "/fails" => Ending::Answers(500, b"failed".to_vec()),
        "/empty" => Ending::Answers(204, Vec::new()),
        "/panics" => Ending::Panics,
        "/streams" => Ending::Streams,
        "/leaves" => {
            probe.gate.notified().await;
            let _ = probe.told.send(("ended", None));
            Ending::Answers(200, b"late".to_vec())
        }
        _ => Ending::Answers(200, b"hello".to_vec()),
    }
}

/// One chunk, and then nothing.
fn endless() -> Body {
    Body::from_stream(gated(Arc::default()))
}

async fn view(req: &mut Request, res: &mut Response) -> bocadillo::Result<()> {
    let probe = req.state::<Probe>()?.clone();
    let path = req.path().to_owned();
    for task in tasks(&path, &probe) {
        res.add_background(task);
    }
    match handle(&path, &probe).await {
        Ending::Answers(status, body) => {
            res.status(status);
            res.bytes(body);
        }
        Ending::Streams => res.stream(gated(Arc::default())),
        Ending::Panics => panic!("a handler of the test"),
    }
    Ok(())
}

fn app(probe: &Probe, runner: &Runner) -> App {
    let app = App::new().state(probe.clone()).background(runner.clone());
    app.add("/{path}", &["get", "head"], view)
}

fn router(probe: &Probe) -> Router {
    let probe = probe.clone();
    Router::new().fallback(async move |res: Background, request: AxumRequest| {
        let path = request.uri().path();
        for task in tasks(path, &probe) {
            res.background(task);
        }
        let (status, body) = match handle(path, &probe).await {
            Ending::Answers(status, body) => (status, Body::from(body)),
            Ending::Streams => (200, endless()),
            Ending::Panics => panic!("a handler of the test"),
        };
        let mut response = http::Response::new(axum::body::Body::new(body));
        *response.status_mut() = status.try_into().expect("a status");
        response
    })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Door {
    App,
    ServeApp,
    ServeAxum,
    LayerInAxum,
    LayerInHyper,
    AppInAxum,
}

const DOORS: [(Door, &str); 6] = [
    (Door::App, "`App::serve`"),
    (Door::ServeApp, "`serve(listener, app)`"),
    (Door::ServeAxum, "`serve(listener, axum_router)`"),
    (Door::LayerInAxum, "`BackgroundLayer` in `axum::serve`"),
    (Door::LayerInHyper, "`BackgroundLayer` in hyper-util"),
    (Door::AppInAxum, "`App` in `axum::serve`"),
];

impl Door {
    fn is_exact(self) -> bool {
        matches!(self, Self::App | Self::ServeApp | Self::ServeAxum)
    }

    async fn open(self) -> Open {
        let (told, events) = mpsc::unbounded_channel();
        let probe = Probe {
            told,
            gate: Arc::default(),
        };
        let reports = Reports::default();
        let runner = reports.of(Runner::current());
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let addr = listener.local_addr().expect("an address");
        let layer = BackgroundLayer::new(runner.clone());
        match self {
            Self::App => {
                tokio::spawn(app(&probe, &runner).serve_with(listener));
            }
            Self::ServeApp => {
                let app = app(&probe, &runner).into_service();
                tokio::spawn(
                    serve(listener, app)
                        .background(runner.clone())
                        .into_future(),
                );
            }
            Self::ServeAxum => {
                let server = serve(listener, router(&probe)).background(runner.clone());
                tokio::spawn(server.into_future());
            }
            Self::LayerInAxum => {
                let router = router(&probe).layer(layer);
                tokio::spawn(axum::serve(listener, router).into_future());
            }
            Self::LayerInHyper => {
                tokio::spawn(hyper_loop(listener, layer.layer(router(&probe))));
            }
            Self::AppInAxum => {
                let app = app(&probe, &runner).into_service();
                let router = Router::new().fallback_service(app);
                tokio::spawn(axum::serve(listener, router).into_future());
            }
        }
        let gate = probe.gate;
        Open {
            addr,
            gate,
            events,
            runner,
            reports,
        }
    }
}

async fn hyper_loop(listener: TcpListener, service: bocadillo::BackgroundService<Router>) {
    loop {
        let (stream, _) = listener.accept().await.expect("a connection");
        let service = TowerToHyperService::new(service.clone());
        tokio::spawn(async move {
            let builder = auto::Builder::new(TokioExecutor::new());
            let _ = builder
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

/// A door with a server behind it.
struct Open {
    addr: SocketAddr,
    gate: Arc<Notify>,
    events: mpsc::UnboundedReceiver<(&'static str, Option<Delivery>)>,
    runner: Runner,
    reports: Reports,
}

impl Open {
    /// Waits for the next that is told of this name; returns the delivery of a task.
    async fn told(&mut self, name: &'static str) -> Option<Delivery> {
        let (found, delivery) = soon(name, self.events.recv()).await.expect("a door");
        assert_eq!(found, name);
        delivery
    }

    /// The label of the next task, without its number.
    async fn label(&mut self) -> &'static str {
        match self.told("task").await {
            Some(Delivery::Sent) => "sent",
            Some(Delivery::Aborted { .. }) => "aborted",
            Some(Delivery::Unknown) => "unknown",
            _ => "another",
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Protocol {
    Http1,
    Http2,
}

/// A client that has sent one request.
enum Asked {
    Http1(Http1, bool),
    Http2(
        h2::client::ResponseFuture,
        h2::client::SendRequest<Bytes>,
        tokio::task::JoinHandle<()>,
    ),
}

impl Asked {
    async fn new(protocol: Protocol, addr: SocketAddr, method: &str, path: &str) -> Self {
        match protocol {
            Protocol::Http1 => {
                let mut client = Http1::connect(addr).await;
                let head = format!("{method} {path} HTTP/1.1\r\nhost: a\r\n\r\n");
                client.send(&head).await;
                Self::Http1(client, method == "HEAD")
            }
            Protocol::Http2 => {
                let (mut send, driver) = http2(addr, &h2::client::Builder::new()).await;
                let response = http2_request(&mut send, method, path).await;
                Self::Http2(response, send, driver)
            }
        }
    }

    /// Reads the whole response; returns its status, and how long its body is.
    async fn read(self) -> (u16, usize) {
        match self {
            Self::Http1(mut client, is_head) => {
                let reply = client.reply(is_head).await;
                (reply.status(), reply.body.len())
            }
            Self::Http2(response, _send, _driver) => {
                let response = soon("a response", response).await.expect("one");
                let status = response.status().as_u16();
                let (mut body, mut len) = (response.into_body(), 0);
                while let Some(data) = soon("data", body.data()).await {
                    let data = data.expect("a whole body");
                    len += data.len();
                    let control = body.flow_control();
                    control.release_capacity(data.len()).expect("it was read");
                }
                (status, len)
            }
        }
    }

    async fn leave(self) {
        match self {
            Self::Http1(mut client, _) => {
                client.stream.shutdown().await.expect("it is open");
                // The server closes when it has seen that.
                client.rest().await;
            }
            Self::Http2(response, send, driver) => {
                drop((response, send));
                driver.abort();
                let _ = driver.await;
            }
        }
    }
}

/// A promise: what is observed of it through one door.
async fn observe(promise: &str, door: Door, protocol: Protocol) -> String {
    let mut open = door.open().await;
    let ask = |method, path| Asked::new(protocol, open.addr, method, path);
    match promise {
        "a task starts after its response" => {
            assert_eq!(ask("GET", "/hello").await.read().await, (200, 5));
            open.told("entered").await;
            open.label().await.to_owned()
        }
        "20 MB that nobody reads" => {
            let asked = ask("GET", "/large").await;
            open.told("entered").await;
            // Far longer than it takes where it does not wait.
            let early = timeout(Duration::from_millis(500), open.label()).await;
            assert_eq!(asked.read().await, (200, LARGE));
            match early {
                Ok(_) => "the task starts at once".to_owned(),
                Err(_) => {
                    assert_eq!(open.label().await, "sent");
                    "the task waits".to_owned()
                }
            }
        }
        "HEAD, and a response without content" => {
            assert_eq!(ask("HEAD", "/hello").await.read().await, (200, 0));
            open.told("entered").await;
            let head = open.label().await;
            let asked = Asked::new(protocol, open.addr, "GET", "/empty").await;
            assert_eq!(asked.read().await, (204, 0));
            open.told("entered").await;
            assert_eq!(open.label().await, head);
            head.to_owned()
        }
        "the handler fails after registering" => {
            assert_eq!(ask("GET", "/fails").await.read().await.0, 500);
            open.told("entered").await;
            open.label().await;
            support::counts::settled(&open.runner, 2).await;
            assert_eq!(open.runner.stats().skipped, 1, "that for success");
            "the task runs".to_owned()
        }
        "the handler panics after registering" => {
            assert_eq!(ask("GET", "/panics").await.read().await.0, 500);
            open.told("entered").await;
            open.label().await;
            "500, and the task runs".to_owned()
        }
        "the client leaves before the response" => {
            let asked = ask("GET", "/leaves").await;
            open.told("entered").await;
            asked.leave().await;
            open.gate.notify_one();
            open.told("ended").await;
            open.label().await;
            "the handler runs to its end, and the task runs".to_owned()
        }
        "the client leaves within the response" => {
            let asked = ask("GET", "/streams").await;
            open.told("entered").await;
            asked.leave().await;
            open.label().await.to_owned()
        }
        "`when = \"delivered\"`" => {
            assert_eq!(ask("GET", "/delivered").await.read().await, (200, 5));
            open.told("entered").await;
            support::counts::settled(&open.runner, 1).await;
            soon("the report", async {
                while open.reports.all().is_empty() {
                    tokio::task::yield_now().await;
                }
            })
            .await;
            match open.reports.all()[0].outcome {
                TaskState::Completed => "runs".to_owned(),
                TaskState::Refused => "refused".to_owned(),
                other => panic!("{other:?}"),
            }
        }
        other => panic!("no promise `{other}`"),
    }
}

const PROMISES: [&str; 8] = [
    "a task starts after its response",
    "20 MB that nobody reads",
    "HEAD, and a response without content",
    "the handler fails after registering",
    "the handler panics after registering",
    "the client leaves before the response",
    "the client leaves within the response",
    "`when = \"delivered\"`",
];

#[tokio::test]
async fn every_door_keeps_the_promises_of_the_table() {
    let observed = Arc::new(Mutex::new(HashMap::new()));
    for promise in PROMISES {
        let mut all = Vec::new();
        for (door, _) in DOORS {
            let observed = Arc::clone(&observed);
            all.push(tokio::spawn(async move {
                let one = observe(promise, door, Protocol::Http1).await;
                let two = observe(promise, door, Protocol::Http2).await;
                assert_eq!(one, two, "{promise} on HTTP/1 and HTTP/2, {door:?}");
                let door = DOORS.iter().position(|(it, _)| *it == door);
                let mut observed = observed.lock().expect("no panic");
                observed.insert((promise, door.expect("listed")), one);
            }));
        }
        for one in all {
            one.await
                .unwrap_or_else(|error| panic!("{promise}: {error}"));
        }
    }
    let observed = observed.lock().expect("no panic");
    for (at, (door, _)) in DOORS.iter().enumerate() {
        let label = &observed[&(PROMISES[0], at)];
        assert_eq!(label == "sent", door.is_exact(), "{door:?}");
    }
    compare_with_docs(&table(&observed));
}

fn table(observed: &HashMap<(&str, usize), String>) -> String {
    let names = DOORS.map(|(_, name)| name).join(" | ");
    let mut table = format!(
        "| promise | {names} |\n|{}\n",
        " --- |".repeat(DOORS.len() + 1)
    );
    for promise in PROMISES {
        let cells: Vec<_> = (0..DOORS.len())
            .map(|door| observed[&(promise, door)].as_str())
            .collect();
        table += &format!("| {promise} | {} |\n", cells.join(" | "));
    }
    table
}

/// `BOCADILLO_BLESS=1` writes the table into the docs.
fn compare_with_docs(table: &str) {
    const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/doors.md");
    const BEGIN: &str = "<!-- table -->\n";
    const END: &str = "<!-- end -->";
    let docs = std::fs::read_to_string(PATH).expect("the docs");
    let (before, rest) = docs.split_once(BEGIN).expect("where the table begins");
    let (found, after) = rest.split_once(END).expect("where the table ends");
    if std::env::var_os("BOCADILLO_BLESS").is_some() {
        let docs = format!("{before}{BEGIN}{table}{END}{after}");
        std::fs::write(PATH, docs).expect("the docs");
        return;
    }
    assert_eq!(found, table, "`BOCADILLO_BLESS=1` writes it");
}

/// Without any door a handler with the extractor answers 500; the log says why.
#[tokio::test]
async fn the_extractor_needs_a_door() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let addr = listener.local_addr().expect("an address");
    let router = Router::new().fallback(async |_res: Background| "never");
    tokio::spawn(axum::serve(listener, router).into_future());
    let reply = Http1::connect(addr).await.request("GET", "/").await;
    assert_eq!(reply.status(), 500);
}

/// The layer within `serve`: tasks are registered once, with the label of `serve`.
#[tokio::test]
async fn a_layer_within_another_door_is_passive() {
    let (told, mut events) = mpsc::unbounded_channel();
    let probe = Probe {
        told,
        gate: Arc::default(),
    };
    let (inner, outer) = (Runner::current().build(), Runner::current().build());
    let router = router(&probe).layer(BackgroundLayer::new(inner.clone()));
    let router = router.layer(BackgroundLayer::new(inner.clone()));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let addr = listener.local_addr().expect("an address");
    let server = serve(listener, router).background(outer.clone());
    tokio::spawn(server.into_future());
    Http1::connect(addr).await.request("GET", "/hello").await;
    assert_eq!(
        soon("entered", events.recv()).await,
        Some(("entered", None))
    );
    let task = soon("the task", events.recv()).await;
    assert_eq!(task, Some(("task", Some(Delivery::Sent))));
    assert_eq!((inner.stats().registered, outer.stats().registered), (0, 1));
}

/// What an app mounts has its `Background` in a server that is not ours, too.
#[tokio::test]
async fn a_service_mounted_in_an_app_in_another_server_has_its_background() {
    let (told, mut events) = mpsc::unbounded_channel();
    let probe = Probe {
        told,
        gate: Arc::default(),
    };
    let runner = Runner::current().build();
    let app = App::new().background(runner.clone());
    let app = app.mount("/in", router(&probe)).into_service();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let addr = listener.local_addr().expect("an address");
    let server = axum::serve(listener, Router::new().fallback_service(app));
    tokio::spawn(server.into_future());
    let reply = Http1::connect(addr).await.request("GET", "/in/hello").await;
    assert_eq!(reply.body, "hello");
    assert_eq!(
        soon("entered", events.recv()).await,
        Some(("entered", None))
    );
    let task = soon("the task", events.recv()).await;
    assert_eq!(task, Some(("task", Some(Delivery::Unknown))));
    assert_eq!(runner.stats().registered, 1);
}
