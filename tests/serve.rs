//! Any tower service on our server, and an app in a server that is not ours.

mod support;

use std::{
    cell::Cell,
    convert::Infallible,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bocadillo::{
    App, Body, HyperService, Request, Response, Runner, Served, after_response, background,
    background::{Background, Overflow},
    route,
    sent::{Delivery, Streams, TrackedIo},
    serve, service_fn,
    testing::Client,
};
use http_body_util::BodyExt as _;
use support::{Http1, http2, http2_request, soon};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::{Notify, mpsc},
};
use tower_service::Service;

/// A service that is no app: it answers with the path, and registers a task.
#[derive(Clone)]
struct Plain(mpsc::UnboundedSender<Delivery>);

impl Service<http::Request<Body>> for Plain {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let started = self.0.clone();
        Box::pin(async move {
            let res = request
                .extensions()
                .get::<Background>()
                .expect("the door puts it there");
            res.background(async move {
                let _ = started.send(background::current().delivery());
            });
            let path = request.uri().path().to_owned();
            Ok(http::Response::new(Body::from(path)))
        })
    }
}

#[tokio::test]
async fn any_tower_service_is_served_exactly() {
    let (tx, mut started) = mpsc::unbounded_channel();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let addr = listener.local_addr().expect("an address");
    let runner = Runner::current().build();
    tokio::spawn(
        serve(listener, Plain(tx))
            .background(runner.clone())
            .into_future(),
    );

    assert_eq!(
        Http1::connect(addr)
            .await
            .request("GET", "/path")
            .await
            .body,
        "/path"
    );
    assert_eq!(soon("the task", started.recv()).await, Some(Delivery::Sent));
    let (mut send, driver) = http2(addr, &h2::client::Builder::new()).await;
    let response = http2_request(&mut send, "GET", "/path").await;
    assert_eq!(
        soon("a response", response).await.expect("one").status(),
        200
    );
    assert_eq!(soon("the task", started.recv()).await, Some(Delivery::Sent));
    assert_eq!(runner.stats().registered, 2);
    driver.abort();
}

#[tokio::test]
async fn test_client_awaits_the_tasks_of_any_service() {
    let (tx, mut started) = mpsc::unbounded_channel();
    let response = Client::new(Plain(tx)).get("/x").await;
    assert_eq!(response.text(), "/x");
    assert_eq!(response.tasks().await.len(), 1);
    assert_eq!(started.recv().await, Some(Delivery::Sent));
}

#[route("/")]
async fn index(req: &mut Request, res: &mut Response) -> bocadillo::Result<()> {
    let started = req.state::<mpsc::UnboundedSender<Delivery>>()?.clone();
    #[background]
    async fn report() {
        let _ = started.send(background::current().delivery());
    }
    res.text("hello");
    Ok(())
}

/// Somebody else's server calls the app, and reads the body when it likes.
#[tokio::test]
async fn app_as_a_service_starts_tasks_when_the_body_is_gone() {
    let (tx, mut started) = mpsc::unbounded_channel::<Delivery>();
    let mut app = App::new().state(tx).route(index);
    let response = app
        .call(http::Request::new(Body::empty()))
        .await
        .expect("infallible");
    tokio::task::yield_now().await;
    assert!(
        started.try_recv().is_err(),
        "not before it was handed to the transport"
    );
    let body = response
        .into_body()
        .collect()
        .await
        .expect("a body")
        .to_bytes();
    assert_eq!(body, "hello");
    assert_eq!(
        soon("the task", started.recv()).await,
        Some(Delivery::Unknown)
    );
}

/// An app mounted in a service that has a door around it leaves the tasks to that door.
#[tokio::test]
async fn app_within_a_door_leaves_its_tasks_to_it() {
    let (tx, mut started) = mpsc::unbounded_channel::<Delivery>();
    let response = Client::new(App::new().state(tx).route(index))
        .get("/")
        .await;
    assert_eq!(response.tasks().await[0].name, "report");
    assert_eq!(started.recv().await, Some(Delivery::Sent));
}

#[tokio::test]
async fn conflicting_routes_name_both_places() {
    #[route("/orders/{id}")]
    async fn one(_req: &mut Request, _res: &mut Response, id: u64) {
        let _ = id;
    }
    #[route("/orders/{name}")]
    async fn other(_req: &mut Request, _res: &mut Response, name: String) {
        let _ = name;
    }

    for app in [
        App::new().route(one).route(other),
        App::new().route(index).route(index),
    ] {
        let error = app
            .serve("127.0.0.1:0")
            .await
            .expect_err("a conflict")
            .to_string();
        assert_eq!(error.matches("tests/serve.rs:").count(), 2, "{error}");
    }
    let error = App::new()
        .add("/", &["g t"], plain)
        .serve("127.0.0.1:0")
        .await;
    assert!(error.expect_err("no method").to_string().contains("`g t`"));
}

async fn plain(_req: &mut Request, res: &mut Response) {
    res.text("plain");
}

/// Its task waits until it may end.
#[derive(Clone)]
struct Gated(std::sync::Arc<tokio::sync::Notify>);

impl Service<http::Request<Body>> for Gated {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let gate = self.0.clone();
        let background = request.extensions().get::<Background>();
        let res = background.expect("the door puts it there");
        res.background(async move { gate.notified().await });
        std::future::ready(Ok(http::Response::new(Body::from("served"))))
    }
}

#[tokio::test]
async fn a_service_is_not_called_while_too_much_waits() {
    let gate = std::sync::Arc::new(tokio::sync::Notify::new());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let addr = listener.local_addr().expect("an address");
    let runner = Runner::current()
        .max_running(1)
        .max_waiting(1)
        .overflow(Overflow::HoldBack)
        .build();
    let server = serve(listener, Gated(gate.clone())).background(runner.clone());
    tokio::spawn(server.into_future());

    let mut client = Http1::connect(addr).await;
    for _ in 0..2 {
        assert_eq!(client.request("GET", "/").await.body, "served");
    }
    soon("one runs, one waits", async {
        while (runner.stats().running, runner.stats().waiting) != (1, 1) {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let held_back = client.request("GET", "/").await;
    assert_eq!(held_back.status(), 503);
    assert!(held_back.has("retry-after: 1"), "{held_back:?}");
    assert!(held_back.has("content-length: 0"), "{held_back:?}");
    let (mut send, _driver) = http2(addr, &h2::client::Builder::new()).await;
    let response = http2_request(&mut send, "GET", "/").await;
    let response = soon("a response", response).await.expect("one");
    assert_eq!(response.status(), 503);

    gate.notify_one();
    soon("there is room", async {
        while runner.stats().waiting > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(client.request("GET", "/").await.body, "served");
    assert_eq!(runner.stats().registered, 3);
}

#[tokio::test]
async fn a_request_for_no_host_is_refused() {
    let (tx, mut started) = mpsc::unbounded_channel();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let addr = listener.local_addr().expect("an address");
    tokio::spawn(async move { serve(listener, Plain(tx)).await });
    for (head, status) in [
        ("GET /x HTTP/1.1\r\n", 400),
        ("GET /x HTTP/1.1\r\nhost: a\r\nhost: b\r\n", 400),
        ("GET /x HTTP/1.1\r\nhost: a\r\n", 200),
        ("GET /x HTTP/1.0\r\n", 200),
    ] {
        let mut client = Http1::connect(addr).await;
        client.send(&format!("{head}\r\n")).await;
        assert_eq!(client.reply(false).await.status(), status, "{head}");
        if status == 200 {
            let delivery = soon("the task", started.recv()).await;
            assert_eq!(delivery, Some(Delivery::Sent), "{head}");
        }
    }
    assert!(
        started.try_recv().is_err(),
        "the others never came to the service"
    );
}

/// Serves on a port of its own, with tasks on the test's runtime.
async fn start(service: impl Served) -> (SocketAddr, Runner) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let addr = listener.local_addr().expect("an address");
    let runner = Runner::current().build();
    tokio::spawn(
        serve(listener, service)
            .background(runner.clone())
            .into_future(),
    );
    (addr, runner)
}

/// A handler that tells when it was entered, and when it has ended.
fn waits(
    gate: Arc<Notify>,
    told: mpsc::UnboundedSender<&'static str>,
) -> impl Served + Service<http::Request<Body>> {
    service_fn(move |request: http::Request<Body>| {
        let (gate, told) = (gate.clone(), told.clone());
        async move {
            let res = request.extensions().get::<Background>().cloned();
            let res = res.expect("the door puts it there");
            let task = told.clone();
            res.background(async move {
                let delivery = background::current().delivery();
                assert_eq!(delivery, Delivery::Aborted { bytes: 0 });
                let _ = task.send("the task ran");
            });
            let _ = told.send("entered");
            gate.notified().await;
            let _ = told.send("the handler has ended");
            Ok::<_, Infallible>(http::Response::new(Body::from("for nobody")))
        }
    })
}

#[tokio::test]
async fn a_handler_whose_client_leaves_runs_to_its_end() {
    for is_http2 in [false, true] {
        let (gate, (tx, mut told)) = (Arc::new(Notify::new()), mpsc::unbounded_channel());
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let addr = listener.local_addr().expect("an address");
        // The connection has it, and each of its requests.
        let held = Arc::new(());
        let of_connection = Arc::clone(&held);
        let server = serve(listener, waits(gate.clone(), tx))
            .on_connect(move |_io, _addr| Arc::clone(&of_connection))
            .background(Runner::current());
        tokio::spawn(server.into_future());
        if is_http2 {
            let (mut send, driver) = http2(addr, &h2::client::Builder::new()).await;
            let response = http2_request(&mut send, "GET", "/").await;
            assert_eq!(soon("the handler", told.recv()).await, Some("entered"));
            drop(response);
            driver.abort();
            let _ = driver.await;
        } else {
            let mut client = Http1::connect(addr).await;
            client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
            assert_eq!(soon("the handler", told.recv()).await, Some("entered"));
            drop(client);
        }
        // That of the function, and the request's.
        soon("the end of the connection", async {
            while Arc::strong_count(&held) > 3 {
                tokio::task::yield_now().await;
            }
        })
        .await;
        gate.notify_one();
        let ended = soon("the end", told.recv()).await;
        assert_eq!(ended, Some("the handler has ended"), "{is_http2}");
        assert_eq!(soon("the task", told.recv()).await, Some("the task ran"));
    }
}

#[tokio::test]
async fn a_service_need_not_be_sync() {
    let count = Cell::new(0);
    let service = service_fn(move |_request: http::Request<Body>| {
        count.set(count.get() + 1);
        let text = count.get().to_string();
        async move { Ok::<_, Infallible>(http::Response::new(Body::from(text))) }
    });
    let (addr, _runner) = start(service).await;
    let reply = Http1::connect(addr).await.request("GET", "/").await;
    assert_eq!(reply.body, "1");
}

#[tokio::test]
async fn what_the_io_knows_is_in_the_extensions() {
    #[derive(Clone)]
    struct Local(SocketAddr);

    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let addr = listener.local_addr().expect("an address");
    let service = service_fn(|request: http::Request<Body>| async move {
        let local = request.extensions().get::<Local>().map(|local| local.0);
        let panicked = request.extensions().get::<u8>().is_none();
        let text = format!("{local:?} {panicked}");
        Ok::<_, Infallible>(http::Response::new(Body::from(text)))
    });
    let server = serve(listener, service)
        .on_connect(|io: &TcpStream, _addr| Local(io.local_addr().expect("an address")))
        .on_connect(|_io, _addr| -> u8 { panic!("of a user's") });
    tokio::spawn(server.into_future());
    let reply = Http1::connect(addr).await.request("GET", "/").await;
    assert_eq!(reply.body, format!("Some({addr}) true"));
}

/// A user's own loop: one call leads from the connection to the runner.
#[tokio::test]
async fn a_connection_loop_of_ones_own_has_the_same_promises() {
    let (tx, mut started) = mpsc::unbounded_channel();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let addr = listener.local_addr().expect("an address");
    let runner = Runner::current().build();
    let tasks = runner.clone();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.expect("a connection");
            let (io, connection) = TrackedIo::new(stream);
            let service = HyperService::new(Plain(tx.clone()), &connection, &tasks);
            let served = hyper_util::server::conn::auto::Builder::new(Streams::new())
                .serve_connection_with_upgrades(hyper_util::rt::TokioIo::new(io), service)
                .into_owned();
            tokio::spawn(connection.drive(served));
        }
    });

    let reply = Http1::connect(addr).await.request("GET", "/path").await;
    assert_eq!(reply.body, "/path");
    assert_eq!(soon("the task", started.recv()).await, Some(Delivery::Sent));
    let (mut send, _driver) = http2(addr, &h2::client::Builder::new()).await;
    let response = http2_request(&mut send, "GET", "/path").await;
    soon("a response", response).await.expect("one");
    assert_eq!(soon("the task", started.recv()).await, Some(Delivery::Sent));
    assert!(runner.drain(support::PATIENCE).await.is_clean());
}

/// A WebSocket of HTTP/2 is a CONNECT that names its protocol (RFC 8441).
#[tokio::test]
async fn http2_knows_connections_within_a_stream() {
    let service = service_fn(|mut request: http::Request<Body>| async move {
        let protocol = request.extensions().get::<hyper::ext::Protocol>();
        assert_eq!(protocol.map(|protocol| protocol.as_str()), Some("echo"));
        let upgrade = hyper::upgrade::on(&mut request);
        tokio::spawn(async move {
            let mut io = hyper_util::rt::TokioIo::new(upgrade.await.expect("an upgrade"));
            let mut text = [0; 4];
            io.read_exact(&mut text).await.expect("four bytes");
            io.write_all(&text).await.expect("it is open");
        });
        Ok::<_, Infallible>(http::Response::new(Body::empty()))
    });
    let (addr, _runner) = start(service).await;
    let (mut send, _driver) = http2(addr, &h2::client::Builder::new()).await;
    soon("the settings", async {
        while !send.is_extended_connect_protocol_enabled() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let request = http::Request::builder()
        .method("CONNECT")
        .uri("http://a/")
        .extension(h2::ext::Protocol::from_static("echo"))
        .body(())
        .expect("a request");
    let (response, mut stream) = send.send_request(request, false).expect("it is sent");
    let response = soon("a response", response).await.expect("one");
    assert_eq!(response.status(), 200);
    let data = bytes::Bytes::from_static(b"ping");
    stream.send_data(data, false).expect("it is open");
    let echo = soon("the echo", response.into_body().data()).await;
    assert_eq!(&echo.expect("data").expect("bytes")[..], b"ping");
}

/// Registers what tells its delivery, three times: before and after an `await`, and within another one.
async fn deep(tx: mpsc::UnboundedSender<Option<Delivery>>) {
    let tell = move || {
        let tx = tx.clone();
        after_response(async move {
            let _ = tx.send(background::try_current().map(|context| context.delivery()));
        });
    };
    tell();
    tokio::task::yield_now().await;
    tell();
    let again = tell.clone();
    async move { again() }.await;
}

#[route("/")]
async fn calls_deep(req: &mut Request, _res: &mut Response) -> bocadillo::Result<()> {
    #[background]
    async fn its_own() {}

    deep(
        req.state::<mpsc::UnboundedSender<Option<Delivery>>>()?
            .clone(),
    )
    .await;
    Ok(())
}

#[tokio::test]
async fn code_below_a_handler_registers_on_its_response() {
    let (tx, mut started) = mpsc::unbounded_channel();
    let app = || App::new().state(tx.clone()).route(calls_deep);
    let response = Client::new(app()).get("/").await;
    assert_eq!(response.tasks().await.len(), 4);
    let below = tx.clone();
    let plain = service_fn(move |_request: http::Request<Body>| {
        let below = below.clone();
        async move {
            deep(below).await;
            Ok::<_, Infallible>(http::Response::new(Body::empty()))
        }
    });
    let response = Client::new(plain.clone()).get("/").await;
    assert_eq!(response.tasks().await.len(), 3);
    for _ in 0..6 {
        soon("a task", started.recv()).await;
    }
    for addr in [start(plain).await.0, start(app().into_service()).await.0] {
        Http1::connect(addr).await.request("GET", "/").await;
        for _ in 0..3 {
            let delivery = soon("a task", started.recv()).await;
            assert_eq!(delivery, Some(Some(Delivery::Sent)));
        }
    }
}

#[tokio::test]
async fn outside_of_a_request_the_work_is_not_lost() {
    let (tx, mut started) = mpsc::unbounded_channel();
    tokio::spawn(deep(tx)).await.expect("no panic");
    for _ in 0..3 {
        let delivery = soon("a task", started.recv()).await;
        assert_eq!(delivery, Some(Some(Delivery::Unknown)));
    }
}
