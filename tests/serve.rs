//! Any tower service on our server, and an app in a server that is not ours.

mod support;

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use bocadillo::{
    App, Body, Request, Response, Runner, background,
    background::{Background, Overflow},
    route,
    sent::Delivery,
    serve,
    testing::Client,
};
use http_body_util::BodyExt as _;
use support::{Http1, http2, http2_request, soon};
use tokio::sync::mpsc;
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
