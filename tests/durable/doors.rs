//! The commit before the response, at every door.

use std::{
    convert::Infallible,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
};

use bocadillo::{
    App, BackgroundLayer, Body, HttpError, Request, Response, Runner,
    background::{Background, TaskState, When},
    durable::{Memory, Store as _},
    route, task,
    testing::Client,
};
use tokio::{net::TcpListener, sync::mpsc};
use tower_layer::Layer as _;
use tower_service::Service;

use crate::support::{Http1, Reply, soon, start};

#[task(name = "doors.send")]
async fn send(number: u32) -> bocadillo::Result<()> {
    let sender = bocadillo::background::current().state::<mpsc::UnboundedSender<u32>>()?;
    let _ = sender.send(number);
    Ok(())
}

#[route("/created")]
async fn created(_req: &mut Request, res: &mut Response) {
    res.background(send(1));
    res.status(201);
}

#[route("/failing")]
async fn failing(_req: &mut Request, res: &mut Response) -> bocadillo::Result<()> {
    res.background(send(2));
    res.add_background(send(3).when(When::Success));
    Err(HttpError::new(400).into())
}

#[route("/later")]
async fn later(_req: &mut Request, res: &mut Response) {
    res.background(send(4).run_in(std::time::Duration::from_secs(3600)));
}

#[route("/replaced")]
async fn replaced(_req: &mut Request, res: &mut Response) {
    res.background(send(5));
    res.background(send(6));
    res.add_background(async {});
}

async fn get(addr: SocketAddr, path: &str) -> Reply {
    Http1::connect(addr).await.request("GET", path).await
}

struct Fixture {
    store: Memory,
    sent: mpsc::UnboundedReceiver<u32>,
    app: App,
}

impl Fixture {
    fn new() -> Self {
        let store = Memory::new();
        let (sender, sent) = mpsc::unbounded_channel::<u32>();
        let app = App::new()
            .route(created)
            .route(failing)
            .route(later)
            .route(replaced);
        let app = app
            .state(sender)
            .background(Runner::builder().store(store.clone()));
        Self { store, sent, app }
    }

    async fn count(&self) -> u64 {
        let counts = self.store.counts().await.expect("counts");
        counts.iter().map(|it| it.queued + it.held + it.dead).sum()
    }
}

#[tokio::test]
async fn committed_and_run_by_an_app() {
    let fixture = Fixture::new();
    let (store, mut sent) = (fixture.store, fixture.sent);
    let (addr, _) = start(fixture.app).await;
    let response = get(addr, "/created").await;
    assert_eq!(response.status(), 201);
    assert_eq!(soon("the task", sent.recv()).await, Some(1));
    assert_eq!(store.enqueued()[0].args["number"], 1);
}

#[tokio::test]
async fn a_commit_that_fails_is_a_503_and_no_task() {
    let fixture = Fixture::new();
    fixture.store.refuse(Some("the disk is full"));
    let store = fixture.store.clone();
    let (addr, _) = start(fixture.app).await;
    let response = get(addr, "/created").await;
    assert_eq!(response.status(), 503);
    assert!(response.has("retry-after: 1"), "{}", response.head);
    assert_eq!(store.enqueued(), []);
    store.refuse(None);
    let response = get(addr, "/created").await;
    assert_eq!(response.status(), 201);
    let mut sent = fixture.sent;
    assert_eq!(soon("the task", sent.recv()).await, Some(1));
    assert_eq!(store.enqueued().len(), 1);
}

#[tokio::test]
async fn success_is_decided_before_the_commit() {
    let fixture = Fixture::new();
    let store = fixture.store.clone();
    let client = Client::new(fixture.app);
    let response = client.get("/failing").await;
    assert_eq!(response.status(), 400);
    let numbers: Vec<_> = store.enqueued().into_iter().map(|it| it.args).collect();
    assert_eq!(numbers, [serde_json::json!({"number": 2})]);
    let outcomes = response.tasks().await.into_iter().map(|it| it.outcome);
    let outcomes: Vec<_> = outcomes.collect();
    assert_eq!(outcomes, [TaskState::Skipped, TaskState::Completed]);
}

#[tokio::test]
async fn what_was_replaced_is_never_committed() {
    let fixture = Fixture::new();
    let store = fixture.store.clone();
    let client = Client::new(fixture.app);
    client.get("/replaced").await.tasks().await;
    let numbers: Vec<_> = store.enqueued().into_iter().map(|it| it.args).collect();
    assert_eq!(numbers, [serde_json::json!({"number": 6})]);
}

#[tokio::test]
async fn a_delayed_task_is_committed_and_stays_queued() {
    let mut fixture = Fixture::new();
    let client = Client::new(std::mem::take(&mut fixture.app));
    let response = client.get("/later").await;
    assert_eq!(response.status(), 200);
    response.tasks().await;
    assert_eq!(fixture.count().await, 1);
    assert!(fixture.sent.try_recv().is_err());
}

#[tokio::test]
async fn without_a_store_it_is_a_500() {
    let client = Client::new(App::new().route(created));
    let response = client.get("/created").await;
    assert_eq!(response.status(), 500);
    assert_eq!(response.tasks().await[0].outcome, TaskState::Refused);
}

/// A service that is no app.
#[derive(Clone)]
struct Plain;

impl Service<http::Request<Body>> for Plain {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let background = request.extensions().get::<Background>();
        let background = background.expect("the door puts it there").clone();
        Box::pin(async move {
            background.background(send(7));
            let mut response = http::Response::new(Body::from("created"));
            *response.status_mut() = http::StatusCode::CREATED;
            Ok(response)
        })
    }
}

#[tokio::test]
async fn committed_and_run_by_a_tower_service_on_our_server() {
    let store = Memory::new();
    let (sender, mut sent) = mpsc::unbounded_channel::<u32>();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let addr = listener.local_addr().expect("an address");
    let runner = Runner::builder().store(store.clone()).state(sender);
    tokio::spawn(
        bocadillo::serve(listener, Plain)
            .background(runner)
            .into_future(),
    );
    let response = get(addr, "/").await;
    assert_eq!(response.status(), 201);
    assert_eq!(soon("the task", sent.recv()).await, Some(7));
    assert_eq!(store.enqueued().len(), 1);

    store.refuse(Some("the disk is full"));
    let response = get(addr, "/").await;
    assert_eq!(response.status(), 503);
    assert!(response.has("retry-after: 1"), "{}", response.head);
    assert_eq!(store.enqueued().len(), 1);
}

#[tokio::test]
async fn committed_and_run_by_a_mounted_service() {
    let store = Memory::new();
    let (sender, mut sent) = mpsc::unbounded_channel::<u32>();
    let app = App::new().mount("/plain", Plain).state(sender);
    let (addr, _) = start(app.background(Runner::builder().store(store.clone()))).await;
    let response = get(addr, "/plain").await;
    assert_eq!(response.status(), 201);
    assert_eq!(soon("the task", sent.recv()).await, Some(7));
    store.refuse(Some("the disk is full"));
    let response = get(addr, "/plain").await;
    assert_eq!(response.status(), 503);
    assert_eq!(store.enqueued().len(), 1);
}

#[tokio::test]
async fn committed_and_run_by_a_service_in_the_test_client() {
    let store = Memory::new();
    let (sender, mut sent) = mpsc::unbounded_channel::<u32>();
    let runner = Runner::current().store(store.clone()).state(sender);
    let client = Client::with_runner(Plain, runner);
    let response = client.get("/").await;
    assert_eq!(response.status(), 201);
    response.tasks().await;
    assert_eq!(sent.try_recv().ok(), Some(7));
    store.refuse(Some("the disk is full"));
    let response = client.get("/").await;
    assert_eq!(response.status(), 503);
    assert_eq!(response.tasks().await[0].outcome, TaskState::Refused);
}

#[tokio::test]
async fn committed_by_an_app_within_a_foreign_server() {
    let mut fixture = Fixture::new();
    let mut service = std::mem::take(&mut fixture.app).into_service();
    let request = http::Request::builder().uri("/created").body(Body::empty());
    let responding = service.call(request.expect("a request"));
    let response = responding.await.expect("never fails");
    assert_eq!(response.status(), 201);
    // Committed, and not run: its body was not read.
    assert_eq!(fixture.count().await, 1);
    drop(response);
    assert_eq!(soon("the task", fixture.sent.recv()).await, Some(1));
}

#[tokio::test]
async fn committed_and_run_by_the_layer_in_a_foreign_server() {
    let store = Memory::new();
    let (sender, mut sent) = mpsc::unbounded_channel::<u32>();
    let runner = Runner::builder().store(store.clone()).state(sender);
    let layer = BackgroundLayer::new(runner);
    let call = || async {
        let mut service = layer.layer(Plain);
        let response = service.call(http::Request::new(Body::empty())).await;
        response.expect("never fails").status()
    };
    assert_eq!(call().await, 201);
    assert_eq!(soon("the task", sent.recv()).await, Some(7));
    assert_eq!(store.enqueued().len(), 1);
    store.refuse(Some("the disk is full"));
    assert_eq!(call().await, 503);
    assert_eq!(store.enqueued().len(), 1);
}
