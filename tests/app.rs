//! What an app is made of: routes, groups, mounts, layers, handlers of errors, and its ends.

mod support;

use std::{
    convert::Infallible,
    io,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};

use bocadillo::{
    App, Body, HttpError, Request, Response, Runner, background,
    background::{Report, TaskState},
    route,
    sent::Delivery,
    testing::Client,
};
use http::Method;
use http_body_util::BodyExt as _;
use support::{Http1, http2, http2_request, soon, start};
use tokio::sync::{mpsc, oneshot};
use tower_http::{
    compression::CompressionLayer, cors::CorsLayer, limit::RequestBodyLimitLayer,
    services::ServeDir, timeout::TimeoutLayer, trace::TraceLayer,
};

async fn hello(_req: &mut Request, res: &mut Response) {
    res.text("hello");
}

async fn path(req: &mut Request, res: &mut Response) {
    res.text(req.path().to_owned());
}

#[tokio::test]
async fn options_and_methods() {
    async fn own(_req: &mut Request, res: &mut Response) {
        res.text("own options");
    }
    let app = App::new()
        .add("/get", &["get"], hello)
        .add("/post", &["post"], hello)
        .add("/own", &["options"], own)
        .add("/all", &["*", "get"], hello)
        .add("/all", &["put"], own);
    let client = Client::new(app);
    for (path, allow) in [("/get", "GET, HEAD, OPTIONS"), ("/post", "POST, OPTIONS")] {
        let response = client.request(Method::OPTIONS, path).await;
        assert_eq!(response.status(), 204, "{path}");
        assert_eq!(response.headers()["allow"], allow);
        let response = client.request(Method::DELETE, path).await;
        assert_eq!(response.status(), 405, "{path}");
        assert_eq!(response.headers()["allow"], allow);
    }
    assert_eq!(
        client.request(Method::OPTIONS, "/own").await.text(),
        "own options"
    );
    assert_eq!(client.request(Method::HEAD, "/get").await.status(), 200);
    for method in [
        Method::GET,
        Method::POST,
        Method::OPTIONS,
        Method::from_bytes(b"BREW").expect("one"),
    ] {
        assert_eq!(client.request(method, "/all").await.text(), "hello");
    }
    assert_eq!(
        client.request(Method::PUT, "/all").await.text(),
        "own options"
    );
    assert_eq!(client.request(Method::OPTIONS, "/none").await.status(), 404);
}

#[tokio::test]
async fn a_missing_slash_is_redirected_and_never_elsewhere() {
    let app = App::new()
        .add("/orders/", &["get"], hello)
        .add("/of/{name}/", &["get"], hello)
        .add("/{rest:path}", &["put"], hello);
    let client = Client::new(app);
    for (from, to) in [("/of/me", "/of/me/"), ("/of/me?a=b", "/of/me/?a=b")] {
        let response = client.get(from).await;
        // The path that matches the rest is for another method: it is there all the same.
        assert_eq!(response.status(), 405, "{from} {to}");
    }
    let app = App::new()
        .add("/orders/", &["get"], hello)
        .add("/of/{name}/", &["get"], hello);
    let client = Client::new(app);
    for (from, to) in [
        ("/orders", "./orders/"),
        ("/of/me?a=b", "./me/?a=b"),
        // None of these is another host to a browser, which takes `\\` for `/`.
        ("/of/%2F%2Fevil", "./%2F%2Fevil/"),
        ("/of/\\\\evil.example", "./%5C%5Cevil.example/"),
    ] {
        let response = client.get(from).await;
        assert_eq!(response.status(), 302, "{from}");
        assert_eq!(response.headers()["location"], to);
    }
    let mounted = App::new().mount(
        "/api",
        App::new().add("/o/", &["get"], hello).into_service(),
    );
    let response = Client::new(mounted).get("/api/o").await;
    assert_eq!(response.headers()["location"], "./o/", "beneath the prefix");
    let app = App::new().add("//{evil}/", &["get"], hello);
    let response = Client::new(app).get("//evil.example").await;
    assert_eq!(response.headers()["location"], "./evil.example/");
}

#[tokio::test]
async fn what_is_no_path_is_answered_too() {
    let (addr, _) = start(App::new().add("/", &["get"], hello)).await;
    let mut client = Http1::connect(addr).await;
    let all = client.request("OPTIONS", "*").await;
    assert_eq!(all.status(), 204, "{all:?}");
    let connect = Http1::connect(addr).await.request("CONNECT", "a:80").await;
    assert_eq!(connect.status(), 404, "{connect:?}");
}

#[tokio::test]
async fn groups_have_a_prefix() {
    let app = App::new().add("/", &["get"], hello).group("v1/", |v1| {
        v1.add("/path", &["get"], path)
            .group("/deep", |deep| deep.add("{name}", &["get"], path))
    });
    let app = app.group("/{tenant}", |tenant| {
        tenant.mount("/svc", Mounted).state(7_u8)
    });
    let client = Client::new(app);
    assert_eq!(client.get("/ada/svc/a/b").await.text(), "/a/b");
    assert_eq!(client.get("/longer/svc").await.text(), "/");
    assert_eq!(client.get("/").await.text(), "hello");
    assert_eq!(client.get("/v1/path").await.text(), "/v1/path");
    assert_eq!(client.get("/v1/deep/x").await.text(), "/v1/deep/x");
    assert_eq!(client.get("/path").await.status(), 404);
}

#[tokio::test]
async fn an_address_in_use_is_an_error_of_that_kind() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
    let listener = listener.expect("a port");
    let addr = listener.local_addr().expect("its address");
    let served = soon("the error", App::new().serve(addr)).await;
    let error = served.expect_err("the port is taken");
    let kind = error.downcast_ref().map(io::Error::kind);
    assert_eq!(kind, Some(io::ErrorKind::AddrInUse), "{error}");
    let text = error.to_string();
    assert!(text.contains(&addr.to_string()), "{text}");
}

#[tokio::test]
async fn what_is_added_after_a_call_is_there_for_the_next_one() {
    async fn state(req: &mut Request, res: &mut Response) -> bocadillo::Result<()> {
        res.text(req.state::<String>()?.clone());
        Ok(())
    }
    async fn get(app: &mut App, path: &str) -> (u16, String) {
        let request = http::Request::get(path).body(Body::empty());
        let request = request.expect("a request");
        let Ok(response) = tower_service::Service::call(app, request).await;
        let (head, body) = response.into_parts();
        let bytes = body.collect().await.expect("a whole body").to_bytes();
        let text = String::from_utf8(bytes.into()).expect("a text");
        (head.status.as_u16(), text)
    }
    let mut app = App::new()
        .add("/hello", &["get"], hello)
        .on_any_error(|_req, res, error| res.text(format!("first: {error}")));
    assert_eq!(get(&mut app, "/hello").await, (200, "hello".into()));
    assert_eq!(
        get(&mut app, "/").await,
        (404, "first: 404 Not Found".into())
    );
    let mut app = app
        .add("/state", &["get"], state)
        .state("shared".to_owned())
        .mount(
            "/within",
            App::new().add("/path", &["get"], path).into_service(),
        )
        .on_any_error(|_req, res, error| res.text(format!("second: {error}")));
    assert_eq!(get(&mut app, "/hello").await, (200, "hello".into()));
    assert_eq!(get(&mut app, "/state").await, (200, "shared".into()));
    assert_eq!(get(&mut app, "/within/path").await, (200, "/path".into()));
    assert_eq!(
        get(&mut app, "/").await,
        (404, "second: 404 Not Found".into())
    );
}

#[tokio::test]
async fn what_cannot_be_served_is_an_error_that_says_where() {
    let listener = || tokio::net::TcpListener::bind("127.0.0.1:0");
    for (app, words) in [
        (
            App::new().add("/", &["no method"], hello),
            "invalid method `no method` at tests/app.rs:",
        ),
        (App::new().add("/", &[], hello), "has no method"),
        (
            App::new().add("/", &["*"], hello).add("/", &["*"], path),
            "registered twice",
        ),
        (
            App::new().mount("/{a}", App::new().into_service()),
            "without parameters",
        ),
        (
            App::new().group("/a", |a| a.layer(tower_layer::layer_fn(|inner| inner))),
            "sets `layer`",
        ),
        (
            App::new()
                .mount("/a", App::new().into_service())
                .mount("/a/", App::new().into_service()),
            "registered twice",
        ),
    ] {
        let listener = listener().await.expect("a port");
        let served = soon("the error", app.serve_with(listener)).await;
        let error = served.expect_err(words).to_string();
        assert!(error.contains(words), "{error}");
        assert!(error.contains("tests/app.rs:"), "{error}");
    }
}

/// Answers with the path that it sees, and registers a task.
#[derive(Clone)]
struct Mounted;

impl tower_service::Service<http::Request<Body>> for Mounted {
    type Response = http::Response<Body>;
    type Error = HttpError;
    type Future = std::future::Ready<Result<Self::Response, HttpError>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), HttpError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        if let Some(res) = request.extensions().get::<background::Background>() {
            async fn of_a_service() {}
            res.background(of_a_service());
        }
        assert_ne!(request.uri().path(), "/panics", "as a service may");
        std::future::ready(match request.uri().path() {
            "/teapot" => Err(HttpError::new(418)),
            path => Ok(http::Response::new(Body::from(path.to_owned()))),
        })
    }
}

#[derive(Clone, Default)]
struct Reports(Arc<Mutex<Vec<Report>>>);

impl Reports {
    fn runner(&self) -> Runner {
        let kept = Arc::clone(&self.0);
        Runner::current()
            .on_report(move |report| kept.lock().expect("no panic").push(report.clone()))
            .build()
    }

    /// Waits for one more.
    async fn next(&self) -> Report {
        soon("a report", async {
            loop {
                if let Some(report) = self.0.lock().expect("no panic").pop() {
                    return report;
                }
                tokio::task::yield_now().await;
            }
        })
        .await
    }
}

#[tokio::test]
async fn a_mounted_folder_redirects_beneath_its_prefix() {
    let folder = ServeDir::new(env!("CARGO_MANIFEST_DIR")).redirect_path_prefix("/files");
    let client = Client::new(App::new().mount("/files", folder));
    let response = client.get("/files/tests").await;
    assert_eq!(response.status(), 307);
    assert_eq!(response.headers()["location"], "/files/tests/");
    let response = client.get("/files/tests/app.rs").await;
    assert_eq!(response.status(), 200);
}

#[tokio::test]
async fn services_are_mounted_beneath_a_prefix() {
    #[route("/view/{id}")]
    async fn view(req: &mut Request, res: &mut Response, id: u32) {
        res.text(format!("{} {id} {}", req.path(), req.client().is_some()));
        #[background]
        async fn of_an_app() {}
    }
    let reports = Reports::default();
    let app = App::new()
        .add("/own", &["get"], path)
        .mount("/svc", Mounted)
        .mount("app", App::new().route(view).into_service())
        .background(reports.runner());
    let (addr, _) = start(app).await;
    let mut client = Http1::connect(addr).await;
    assert_eq!(client.request("GET", "/own").await.body, "/own");
    for (path, seen) in [
        ("/svc", "/"),
        ("/svc/", "/"),
        ("/svc/a/b?c=d", "/a/b"),
        ("/svc/%2e%2e/x", "/%2e%2e/x"),
    ] {
        assert_eq!(client.request("DELETE", path).await.body, seen, "{path}");
        let report = reports.next().await;
        assert_eq!(report.name, "of_a_service");
        assert_eq!(report.delivery, Some(Delivery::Sent));
    }
    assert_eq!(client.request("GET", "/svc/teapot").await.status(), 418);
    reports.next().await;
    assert_eq!(client.request("GET", "/svcx").await.status(), 404);
    assert_eq!(
        client.request("GET", "/app/view/7").await.body,
        "/view/7 7 true"
    );
    let report = reports.next().await;
    assert_eq!(
        (&*report.name, report.delivery),
        ("of_an_app", Some(Delivery::Sent))
    );
    assert_eq!(report.route.as_deref(), Some("/app/view/{id}"));
    let (mut send, _driver) = http2(addr, &h2::client::Builder::new()).await;
    let response = http2_request(&mut send, "GET", "/app/view/7").await;
    assert_eq!(
        soon("a response", response).await.expect("one").status(),
        200
    );
    assert_eq!(reports.next().await.delivery, Some(Delivery::Sent));
    // In a test the tasks of what is mounted are those of the response.
    let client = Client::new(App::new().mount("/svc", Mounted));
    assert_eq!(
        client.get("/svc/x").await.tasks().await[0].name,
        "of_a_service"
    );
}

/// A service that panics is a 500, and costs neither its connection nor its task.
#[tokio::test]
async fn a_service_that_panics_is_contained() {
    let reports = Reports::default();
    let app = App::new()
        .add("/own", &["get"], path)
        .mount("/svc", Mounted)
        .background(reports.runner());
    let (addr, _) = start(app).await;
    let mut client = Http1::connect(addr).await;
    client
        .send("GET /svc/panics HTTP/1.1\r\nhost: a\r\n\r\nGET /own HTTP/1.1\r\nhost: a\r\n\r\n")
        .await;
    assert_eq!(client.reply(false).await.status(), 500);
    assert_eq!(client.reply(false).await.body, "/own", "the one behind it");
    let report = reports.next().await;
    assert_eq!(
        (&*report.name, report.outcome),
        ("of_a_service", TaskState::Completed)
    );
    let (mut send, _driver) = http2(addr, &h2::client::Builder::new()).await;
    let response = http2_request(&mut send, "GET", "/svc/panics").await;
    let response = soon("a response", response).await.expect("one");
    assert_eq!(response.status(), 500);
}

/// HTTP/2 has no content where HTTP has none, whoever answers.
#[tokio::test]
async fn what_services_answer_is_framed() {
    #[derive(Clone)]
    struct Answers;
    impl tower_service::Service<http::Request<Body>> for Answers {
        type Response = http::Response<Body>;
        type Error = Infallible;
        type Future = std::future::Ready<Result<Self::Response, Infallible>>;

        fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, request: http::Request<Body>) -> Self::Future {
            let mut response = http::Response::new(Body::from("content"));
            let status: u16 = request.uri().path()[1..].parse().expect("a number");
            *response.status_mut() = http::StatusCode::from_u16(status).expect("a status");
            std::future::ready(Ok(response))
        }
    }
    let (addr, _) = start(App::new().mount("/", Answers)).await;
    let (mut send, _driver) = http2(addr, &h2::client::Builder::new()).await;
    for (method, path, length) in [
        ("GET", "/200", 7),
        ("HEAD", "/200", 0),
        ("GET", "/204", 0),
        ("GET", "/304", 0),
        ("GET", "/205", 0),
        ("HEAD", "/500", 0),
    ] {
        let response = http2_request(&mut send, method, path).await;
        let response = soon("a response", response)
            .await
            .expect("no protocol error");
        if method == "HEAD" {
            assert_eq!(response.headers()["content-length"], "7");
        }
        let mut body = response.into_body();
        let mut seen = 0;
        while let Some(data) = soon("the body", body.data()).await {
            seen += data.expect("no protocol error").len();
        }
        assert_eq!(seen, length, "{method} {path}");
    }
}

/// A view that runs on without its client counts in the app that serves, wherever it is mounted.
#[tokio::test]
async fn views_of_mounted_apps_are_waited_for_and_limited() {
    use bocadillo::Limits;
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

    async fn slow(req: &mut Request, res: &mut Response) -> bocadillo::Result<()> {
        let ended = req.state::<Arc<AtomicUsize>>()?.clone();
        tokio::time::sleep(Duration::from_millis(400)).await;
        ended.fetch_add(1, SeqCst);
        res.background(async {});
        Ok(())
    }
    let ended = Arc::new(AtomicUsize::new(0));
    let inner = App::new()
        .add("/slow", &["get"], slow)
        .state(Arc::clone(&ended))
        .layer(TimeoutLayer::with_status_code(
            http::StatusCode::GATEWAY_TIMEOUT,
            Duration::from_millis(50),
        ));
    let (stop, stopped) = oneshot::channel::<()>();
    let runner = Runner::current().build();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let addr = listener.local_addr().expect("an address");
    let app = App::new()
        .mount("/inner", inner.into_service())
        .limits(Limits::new().max_detached_per_connection(2))
        .background(runner.clone())
        .with_graceful_shutdown(async { drop(stopped.await) });
    let served = tokio::spawn(app.serve_with(listener));
    let mut client = Http1::connect(addr).await;
    client
        .send(&"GET /inner/slow HTTP/1.1\r\nhost: a\r\n\r\n".repeat(5))
        .await;
    for _ in 0..5 {
        assert_eq!(client.reply(false).await.status(), 504);
    }
    stop.send(()).expect("the app waits");
    soon("the end", served)
        .await
        .expect("no panic")
        .expect("a clean end");
    assert_eq!(
        ended.load(SeqCst),
        2,
        "two of one connection run on, to their end"
    );
    assert_eq!(runner.stats().completed, 2);
}

fn layered(reports: &Reports) -> App {
    async fn large(_req: &mut Request, res: &mut Response) {
        res.text("0123456789".repeat(100_000));
        #[background]
        async fn after_large() {}
    }
    async fn slow(_req: &mut Request, res: &mut Response) -> bocadillo::Result<()> {
        tokio::time::sleep(Duration::from_millis(300)).await;
        res.text("late");
        #[background]
        async fn after_slow() {}
        Ok(())
    }
    async fn reads(req: &mut Request, res: &mut Response) -> bocadillo::Result<()> {
        #[background(when = "success")]
        async fn after_reads() {}
        let length = req.body().await?.len();
        res.text(length.to_string());
        Ok(())
    }
    App::new()
        .add("/large", &["get"], large)
        .add("/slow", &["get"], slow)
        .add("/reads", &["post"], reads)
        .background(reports.runner())
        .layer(RequestBodyLimitLayer::new(1000))
        .layer(CompressionLayer::new())
        .layer(TimeoutLayer::with_status_code(
            http::StatusCode::GATEWAY_TIMEOUT,
            Duration::from_millis(100),
        ))
        .layer(CorsLayer::permissive())
        .layer(TraceLayer::new_for_http())
}

#[tokio::test]
async fn layers_keep_the_promises() {
    let reports = Reports::default();
    let (addr, accepted) = start(layered(&reports)).await;
    let mut client = Http1::connect(addr).await;

    // Compressed: it is sent when the compressed bytes are.
    client.send("GET /large HTTP/1.1\r\nhost: a\r\naccept-encoding: gzip\r\norigin: http://b\r\nconnection: close\r\n\r\n").await;
    let bytes = client.rest().await;
    let end = support::find(&bytes, b"\r\n\r\n").expect("a head");
    let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
    assert!(head.contains("content-encoding: gzip"), "{head}");
    assert!(head.contains("access-control-allow-origin: *"), "{head}");
    assert!(bytes.len() < 100_000, "it is not compressed");
    let report = reports.next().await;
    assert_eq!(
        (&*report.name, report.delivery),
        ("after_large", Some(Delivery::Sent))
    );
    assert_eq!(report.route.as_deref(), Some("/large"));
    assert_eq!(report.status.map(|status| status.as_u16()), Some(200));
    assert_eq!(
        accepted.load(std::sync::atomic::Ordering::SeqCst) as usize,
        bytes.len()
    );

    // A layer that answers first: the view runs on without its client.
    let mut client = Http1::connect(addr).await;
    assert_eq!(client.request("GET", "/slow").await.status(), 504);
    let report = reports.next().await;
    assert_eq!(
        (&*report.name, report.outcome),
        ("after_slow", TaskState::Completed)
    );
    assert!(
        matches!(report.delivery, Some(Delivery::Aborted { .. })),
        "{report:?}"
    );

    // What a layer refuses to read is an error of the view's.
    client
        .send("POST /reads HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhello")
        .await;
    assert_eq!(client.reply(false).await.body, "5");
    assert_eq!(reports.next().await.outcome, TaskState::Completed);
    let long = "x".repeat(1001);
    client.send(&format!("POST /reads HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3e9\r\n{long}\r\n0\r\n\r\n")).await;
    assert!(client.reply(false).await.status() >= 400);
    assert_eq!(reports.next().await.outcome, TaskState::Skipped);

    // Preflight: the app is not asked.
    client.send("OPTIONS /large HTTP/1.1\r\nhost: a\r\norigin: http://b\r\naccess-control-request-method: GET\r\n\r\n").await;
    let preflight = client.reply(false).await;
    assert!(
        preflight.has("access-control-allow-methods: *"),
        "{preflight:?}"
    );

    let (mut send, _driver) = http2(addr, &h2::client::Builder::new()).await;
    let response = http2_request(&mut send, "GET", "/large").await;
    let mut body = soon("a response", response).await.expect("one").into_body();
    let mut length = 0;
    while let Some(data) = soon("the body", body.data()).await {
        let data = data.expect("it is whole");
        length += data.len();
        let _ = body.flow_control().release_capacity(data.len());
    }
    assert_eq!(length, 1_000_000);
    let report = reports.next().await;
    assert_eq!(
        (&*report.name, report.delivery),
        ("after_large", Some(Delivery::Sent))
    );
}

#[tokio::test]
async fn the_last_layer_is_the_outermost() {
    #[derive(Clone)]
    struct Tag<S>(S, &'static str);

    impl<S> tower_service::Service<http::Request<Body>> for Tag<S>
    where
        S: tower_service::Service<http::Request<Body>, Error = Infallible>,
    {
        type Response = S::Response;
        type Error = Infallible;
        type Future = S::Future;

        fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            self.0.poll_ready(cx)
        }

        fn call(&mut self, mut request: http::Request<Body>) -> S::Future {
            let value = http::HeaderValue::from_static(self.1);
            request.headers_mut().append("x-tag", value);
            self.0.call(request)
        }
    }
    async fn tags(req: &mut Request, res: &mut Response) {
        let tags = req.headers().get_all("x-tag").iter();
        let tags: Vec<_> = tags.map(|tag| tag.to_str().expect("text")).collect();
        res.text(tags.join(" "));
    }
    let app = App::new()
        .layer(tower_layer::layer_fn(|inner| Tag(inner, "inner")))
        .add("/", &["get"], tags)
        .layer(tower_layer::layer_fn(|inner| Tag(inner, "outer")));
    let client = Client::new(app);
    assert_eq!(client.get("/").await.text(), "outer inner");
    // A path that is not there goes through them too, and the app can be mounted with them.
    assert_eq!(client.get("/none").await.status(), 404);
}

#[derive(Debug)]
struct OutOfStock(u32);

impl std::fmt::Display for OutOfStock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "only {} left", self.0)
    }
}

impl std::error::Error for OutOfStock {}

#[tokio::test]
async fn errors_are_answered_by_their_type() {
    async fn order(_req: &mut Request, res: &mut Response) -> bocadillo::Result<()> {
        res.header("x-kept", "yes");
        // What was wrong with the view's own answer is not the handler's.
        res.header("x-wrong", "a\nb");
        #[background]
        async fn all_the_same() {}
        Err(OutOfStock(3))?;
        Ok(())
    }
    async fn other(_req: &mut Request, _res: &mut Response) -> bocadillo::Result<()> {
        Err(std::fmt::Error)?;
        Ok(())
    }
    let app = App::new()
        .add("/order", &["post"], order)
        .add("/other", &["get"], other)
        .on_error(|req: &Request, res: &mut Response, error: &OutOfStock| {
            assert_ne!(error.0, 0, "a handler may panic");
            res.status(409);
            res.text(format!("{}: {error}", req.path()));
        })
        .on_error(|_req: &Request, _res: &mut Response, _error: &std::fmt::Error| panic!("within"))
        .on_error(|_req: &Request, res: &mut Response, error: &HttpError| {
            res.status(error.status());
            res.html("<h1>Sorry</h1>");
        });
    let client = Client::new(app);
    let response = client.post("/order").await;
    assert_eq!(
        (response.status().as_u16(), response.text()),
        (409, "/order: only 3 left")
    );
    assert_eq!(response.headers()["x-kept"], "yes");
    assert_eq!(response.tasks().await.len(), 1);
    let panicked = client.get("/other").await;
    assert_eq!(
        (panicked.status().as_u16(), panicked.text()),
        (500, "500 Internal Server Error")
    );
    assert_eq!(client.get("/none").await.text(), "<h1>Sorry</h1>");
    let wrong = client.get("/order").await;
    assert_eq!(
        (wrong.status().as_u16(), wrong.text()),
        (405, "<h1>Sorry</h1>")
    );
    assert_eq!(wrong.headers()["allow"], "POST, OPTIONS");

    let app = App::new().add("/other", &["get"], other).on_any_error(
        |_req: &Request, res: &mut Response, error: &bocadillo::Error| {
            res.text(format!("{} {error}", error.status()));
        },
    );
    let client = Client::new(app);
    let any = client.get("/other").await;
    assert_eq!(any.status(), 500);
    assert!(any.text().starts_with("500 "), "{}", any.text());
    assert_eq!(
        client.get("/none").await.text(),
        "404 Not Found 404 Not Found"
    );
}

#[tokio::test]
async fn functions_before_and_after_everything() {
    let (say, mut said) = mpsc::unbounded_channel();
    let (stop, stopped) = oneshot::channel::<()>();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let addr = listener.local_addr().expect("an address");
    let hook = |word: &'static str| {
        let say = say.clone();
        move || async move {
            say.send(word)?;
            Ok(())
        }
    };
    let in_task = say.clone();
    let app = App::new()
        .state(in_task)
        .add(
            "/",
            &["get"],
            async |req: &mut Request, res: &mut Response| {
                let say = req
                    .state::<mpsc::UnboundedSender<&'static str>>()
                    .expect("set")
                    .clone();
                res.background(async move { say.send("task").expect("somebody listens") });
            },
        )
        .on_startup(hook("first"))
        .on_startup(hook("second"))
        .on_shutdown(hook("last"))
        .with_graceful_shutdown(async { drop(stopped.await) });
    let served = tokio::spawn(app.serve_with(listener));
    assert_eq!(
        Http1::connect(addr)
            .await
            .request("GET", "/")
            .await
            .status(),
        200
    );
    stop.send(()).expect("the app waits");
    soon("the end", served)
        .await
        .expect("no panic")
        .expect("a clean end");
    let mut all = Vec::new();
    while let Ok(word) = said.try_recv() {
        all.push(word);
    }
    assert_eq!(all, ["first", "second", "task", "last"]);

    let (closed, mut is_closed) = mpsc::unbounded_channel();
    let close = closed.clone();
    let app = App::new()
        .on_startup(|| async { Err(OutOfStock(0).into()) })
        .on_shutdown(|| async { Err(OutOfStock(1).into()) })
        .on_shutdown(move || async move {
            close.send(())?;
            Ok(())
        });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let error = soon("the error", app.serve_with(listener))
        .await
        .expect_err("it fails");
    assert_eq!(error.to_string(), "only 0 left");
    is_closed
        .try_recv()
        .expect("it is closed, whatever failed before");
}

#[cfg(unix)]
#[tokio::test]
async fn a_unix_socket_is_served() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"));
    let path = folder.join(format!("socket-{}", std::process::id()));
    let listener = tokio::net::UnixListener::bind(&path).expect("a socket");
    let reports = Reports::default();
    async fn view(req: &mut Request, res: &mut Response) {
        res.text(format!("{:?}", req.client()));
        res.background(async {});
    }
    let app = App::new()
        .add("/", &["get"], view)
        .background(reports.runner());
    tokio::spawn(app.serve_with(listener));
    let mut stream = tokio::net::UnixStream::connect(&path)
        .await
        .expect("it accepts");
    stream
        .write_all(b"GET / HTTP/1.0\r\n\r\n")
        .await
        .expect("it reads");
    let mut text = String::new();
    soon("the response", stream.read_to_string(&mut text))
        .await
        .expect("text");
    assert!(text.ends_with("None"), "{text}");
    assert_eq!(reports.next().await.delivery, Some(Delivery::Sent));
    std::fs::remove_file(&path).expect("it is there");
}

/// The next server can listen there; unless it does already.
#[cfg(unix)]
#[tokio::test]
async fn the_file_of_a_unix_socket_goes_with_its_server() {
    use tokio::net::UnixListener;

    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"));
    let path = folder.join(format!("socket-of-a-server-{}", std::process::id()));
    let bind = || UnixListener::bind(&path).expect("nobody listens there");
    let app = || App::new().add("/", &["get"], hello);

    let stopped = app().with_graceful_shutdown(async {});
    soon("the end", stopped.serve_with(bind()))
        .await
        .expect("it ends");
    assert!(!path.exists(), "after a shutdown");

    let fails = app().on_startup(async || Err(bocadillo::Error::msg("no database")));
    let served = soon("the error", fails.serve_with(bind())).await;
    served.expect_err("it does not begin");
    assert!(!path.exists(), "after a start that failed");

    let conflict = app().add("/", &["get"], hello);
    conflict.serve_with(bind()).await.expect_err("it conflicts");
    assert!(!path.exists(), "after a conflict");

    let dropped = tokio::spawn(app().serve_with(bind()));
    tokio::task::yield_now().await;
    dropped.abort();
    let _ = soon("the abort", dropped).await;
    assert!(!path.exists(), "after its future was dropped");

    soon("the end", async {
        bocadillo::serve(bind(), Mounted)
            .with_graceful_shutdown(async {})
            .await
    })
    .await
    .expect("it ends");
    assert!(!path.exists(), "after `serve`");

    // Another server has taken the place meanwhile.
    let (stop, stopped) = oneshot::channel::<()>();
    let old = app().with_graceful_shutdown(async { drop(stopped.await) });
    let old = tokio::spawn(old.serve_with(bind()));
    tokio::task::yield_now().await;
    std::fs::remove_file(&path).expect("it is there");
    let _new = bind();
    drop(stop);
    soon("the end", old)
        .await
        .expect("no panic")
        .expect("it ends");
    assert!(path.exists(), "it is the other's");
    std::fs::remove_file(&path).expect("it is there");
}

/// Whose limit it was is said: the layer's own number is not known.
#[cfg(feature = "multipart")]
#[tokio::test]
async fn the_limit_of_a_layer_is_told_as_such() {
    async fn whole(req: &mut Request, _res: &mut Response) -> bocadillo::Result<()> {
        req.body().await?;
        Ok(())
    }
    async fn stream(req: &mut Request, _res: &mut Response) -> bocadillo::Result<()> {
        let mut stream = req.stream();
        while stream.chunk().await?.is_some() {}
        Ok(())
    }
    async fn form(req: &mut Request, _res: &mut Response) -> bocadillo::Result<()> {
        let mut form = req.multipart()?;
        while let Some(mut field) = form.next_field().await? {
            while field.chunk().await?.is_some() {}
        }
        Ok(())
    }
    let app = App::new()
        .add("/whole", &["post"], whole)
        .add("/stream", &["post"], stream)
        .add("/form", &["post"], form)
        .layer(RequestBodyLimitLayer::new(100));
    let (addr, _) = start(app).await;
    for path in ["/whole", "/stream", "/form"] {
        let mut client = Http1::connect(addr).await;
        let head = "--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n";
        let body = format!("{head}{}", "x".repeat(200));
        client
            .send(&format!(
                "POST {path} HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\
                 content-type: multipart/form-data; boundary=b\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
                body.len()
            ))
            .await;
        let reply = client.reply(false).await;
        assert_eq!(reply.status(), 413, "{path}");
        assert!(
            reply
                .body
                .contains("longer than a layer around the app allows"),
            "{path}: {}",
            reply.body
        );
    }
}

/// A stream of events would go on for ever: nobody waits for it at the end, and its client sees an end.
#[tokio::test]
async fn a_stream_of_events_ends_with_the_server() {
    struct Never;
    impl futures_core::Stream for Never {
        type Item = Result<bocadillo::Event, Infallible>;

        fn poll_next(
            self: std::pin::Pin<&mut Self>,
            _cx: &mut Context<'_>,
        ) -> Poll<Option<Self::Item>> {
            Poll::Pending
        }
    }
    async fn events(_req: &mut Request, res: &mut Response) {
        res.event_stream(Never);
        res.background(async {});
    }
    let (stop, stopped) = oneshot::channel::<()>();
    let runner = Runner::current()
        .drain_timeout(2 * support::PATIENCE)
        .build();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let addr = listener.local_addr().expect("an address");
    let app = App::new()
        .add("/", &["get"], events)
        .background(runner.clone())
        .with_graceful_shutdown(async { drop(stopped.await) });
    let served = tokio::spawn(app.serve_with(listener));
    let mut client = Http1::connect(addr).await;
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let (mut send, _driver) = http2(addr, &h2::client::Builder::new()).await;
    let response = http2_request(&mut send, "GET", "/").await;
    let mut body = soon("a response", response).await.expect("one").into_body();
    stop.send(()).expect("the app waits");
    while let Some(data) = soon("the end", body.data()).await {
        assert!(data.expect("it ends, and is not reset").is_empty());
    }
    let text = String::from_utf8(client.rest().await).expect("text");
    assert!(
        text.ends_with("\r\n0\r\n\r\n"),
        "the last chunk has come: {text:?}"
    );
    soon("the end", served)
        .await
        .expect("no panic")
        .expect("a clean end");
    assert_eq!(runner.stats().completed, 2);
}

/// An app that was called as a service can still be served.
#[tokio::test]
async fn an_app_that_was_called_is_served_as_it_is() {
    let mut app = App::new().add("/", &["get"], hello);
    let request = http::Request::new(Body::empty());
    let called = tower_service::Service::call(&mut app, request).await;
    assert_eq!(called.expect("it never fails").status(), 200);
    let (addr, _) = start(app).await;
    assert_eq!(
        Http1::connect(addr).await.request("GET", "/").await.body,
        "hello"
    );
}

/// However deep an app is mounted, its tasks are told by the whole route.
#[tokio::test]
async fn routes_of_mounted_apps_are_told_whole() {
    #[route("/orders/{id}")]
    async fn order(_req: &mut Request, res: &mut Response, id: u32) {
        res.text(id.to_string());
        #[background]
        async fn confirm() {}
    }
    let orders = App::new().route(order).into_service();
    let shop = App::new().mount("/", orders).into_service();
    let app = App::new().group("/tenants/{tenant}", |group| group.mount("shop", shop));
    let response = Client::new(app).get("/tenants/7/shop/orders/1").await;
    assert_eq!(response.status(), 200);
    let reports = response.tasks().await;
    assert_eq!(
        reports[0].route.as_deref(),
        Some("/tenants/{tenant}/shop/orders/{id}")
    );
}

/// What converts a path parameter, or makes a view's future, is a user's code too.
#[tokio::test]
async fn a_panic_before_the_view_is_a_500() {
    struct Never;
    impl bocadillo::FromParam for Never {
        fn from_param(_text: &str) -> Result<Self, String> {
            panic!("as the test wants")
        }
    }
    #[route("/param/{never}")]
    async fn param(_req: &mut Request, _res: &mut Response, never: Never) {
        let Never = never;
    }
    fn plain<'a>(
        _req: &'a mut Request,
        _res: &'a mut Response,
    ) -> impl Future<Output = ()> + Send + 'a {
        if true {
            panic!("as the test wants");
        }
        std::future::ready(())
    }
    let app = App::new().route(param).add("/plain", &["get"], plain);
    let (addr, _) = start(app).await;
    let mut client = Http1::connect(addr).await;
    for path in ["/param/x", "/plain", "/param/y"] {
        assert_eq!(client.request("GET", path).await.status(), 500, "{path}");
    }
}

/// As browsers send what stands in the address bar.
#[tokio::test]
async fn a_route_is_found_whatever_of_it_is_encoded() {
    async fn index(_req: &mut Request, res: &mut Response) {
        res.text("index");
    }
    #[route("/é{x}/z")]
    async fn param(_req: &mut Request, res: &mut Response, x: String) {
        res.text(x);
    }
    #[route("/über/{rest:path}")]
    async fn rest(_req: &mut Request, res: &mut Response, rest: String) {
        res.text(rest);
    }
    let app = App::new()
        .add("/café", &["get"], index)
        .add("/a b", &["get"], index)
        .add("/f/x", &["get"], index)
        .add("/caf%C3%A9/%e2%82%ac", &["get"], index)
        .add("/a%2Fb", &["get"], index)
        .add("/50%", &["get"], index)
        .add("/%7Bbraces%7D", &["get"], index)
        .add("/.well-known/x", &["get"], index)
        .add("/%25literal", &["get"], index)
        .route(param)
        .route(rest)
        .group("/größe", |group| group.add("/ß", &["get"], index))
        .mount("/mount é", Mounted);
    let (addr, _) = start(app).await;
    let mut client = Http1::connect(addr).await;
    let (mut send, _driver) = support::http2(addr, &h2::client::Builder::new()).await;
    for (path, status, body) in [
        ("/caf%C3%A9", 200, "index"),
        ("/caf%c3%a9", 200, "index"),
        ("/%63af%C3%A9", 200, "index"),
        ("/caf%C3%A9/%E2%82%AC", 200, "index"),
        ("/caf%E9", 404, ""),
        ("/cafe%CC%81", 404, ""),
        ("/a%20b", 200, "index"),
        ("/a+b", 404, ""),
        ("/%66/x", 200, "index"),
        ("/f%2Fx", 404, ""),
        ("/%66%2fx", 404, ""),
        ("/a%2Fb", 200, "index"),
        ("/a%2fb", 200, "index"),
        ("/a/b", 404, ""),
        // Decoded once: this is `%2F`, and no slash.
        ("/a%252Fb", 404, ""),
        ("/%2563afe", 404, ""),
        ("/50%25", 200, "index"),
        ("/50%", 200, "index"),
        ("/%7Bbraces%7D", 200, "index"),
        ("/%2Ewell-known/x", 200, "index"),
        ("/%25literal", 200, "index"),
        ("/%literal", 200, "index"),
        ("/%2525literal", 404, ""),
        ("/gr%C3%B6%C3%9Fe/%C3%9F", 200, "index"),
        ("/%C3%A9%C3%A8%2F%2541/z", 200, "è/%41"),
        ("/%C3%A9a/%7A", 200, "a"),
        ("/%C3%BCber/a%2Fb/%25", 200, "a/b/%"),
        ("/%C3%BCber/%ff", 400, ""),
        ("/%C3%BCber/a%zz", 400, ""),
        ("/mount%20%C3%A9/%61/b%2Fc", 200, "/%61/b%2Fc"),
        ("/mount%20%C3%A9", 200, "/"),
        ("/mount%20%C3%A9%2Fa", 404, ""),
    ] {
        let reply = client.request("GET", path).await;
        assert_eq!(reply.status(), status, "{path}: {}", reply.body);
        if status == 200 {
            assert_eq!(reply.body, body, "{path}");
        }
        let response = support::http2_request(&mut send, "GET", path).await;
        let response = soon("a response", response).await.expect("one");
        assert_eq!(response.status(), status, "{path} by HTTP/2");
    }
}

#[tokio::test]
async fn routes_that_are_the_same_when_decoded_conflict() {
    for (one, other) in [
        ("/café", "/caf%C3%A9"),
        ("/a b", "/a%20b"),
        ("/f", "/%66"),
        ("/a%2fb", "/a%2Fb"),
        ("/50%", "/50%25"),
        ("/é/{x}", "/%C3%A9/{x}"),
        ("/é/{x}", "/%C3%A9/{y}"),
    ] {
        let app = App::new()
            .add(one, &["get"], hello)
            .add(other, &["get"], hello);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port");
        let served = soon("the error", app.serve_with(listener)).await;
        let error = served.expect_err(other).to_string();
        assert!(error.contains("tests/app.rs:"), "{one} {other}: {error}");
    }
    for (one, other) in [("/a%2Fb", "/a/b"), ("/%7Bx%7D", "/{x}"), ("/%25", "/%2525")] {
        let app = App::new()
            .add(one, &["get"], hello)
            .add(other, &["post"], path)
            .with_graceful_shutdown(async {});
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port");
        let served = soon("the end", app.serve_with(listener)).await;
        served.unwrap_or_else(|error| panic!("{one} {other}: {error}"));
    }
}

/// What is encoded is the folder's to decode, which refuses what leads out of it.
#[tokio::test]
async fn nothing_escapes_a_mounted_folder() {
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join(format!("folder-{}", std::process::id()));
    std::fs::create_dir_all(folder.join("a b")).expect("a folder");
    std::fs::write(folder.join("a b/in.txt"), "inside").expect("a file");
    std::fs::write(folder.with_extension("secret"), "outside").expect("a file");
    let secret = folder.with_extension("secret");
    let secret = secret
        .file_name()
        .and_then(|it| it.to_str())
        .expect("a name");
    let app = App::new().mount("/fi les", tower_http::services::ServeDir::new(&folder));
    let (addr, _) = start(app).await;
    let mut client = Http1::connect(addr).await;
    let inside = client.request("GET", "/fi%20les/a%20b/in.txt").await;
    assert_eq!((inside.status(), &*inside.body), (200, "inside"));
    for dots in [
        "..",
        "%2e%2e",
        ".%2E",
        "%252e%252e",
        "a%20b/../..",
        "a%20b%2F..%2F..",
    ] {
        for slash in ["/", "%2F", "%2f", "%5C", "\\"] {
            for prefix in ["/fi%20les/", "/fi%20les%2F", "/%66i%20les/"] {
                let path = format!("{prefix}{dots}{slash}{secret}");
                let reply = client.request("GET", &path).await;
                assert_ne!(reply.status(), 200, "{path}");
                assert!(!reply.body.contains("outside"), "{path}");
            }
        }
    }
}

/// 302 makes browsers forget method and body.
#[tokio::test]
async fn a_redirect_for_a_slash_keeps_the_method() {
    let inner = App::new()
        .add("/o", &["*"], hello)
        .add("/ü/", &["*"], hello);
    let app = App::new()
        .add("/orders/", &["*"], hello)
        .add("/of/{name}", &["*"], hello)
        .add("/café", &["*"], hello)
        .mount("/api", inner.into_service());
    let client = Client::new(app);
    for (from, to) in [
        ("/orders", "./orders/"),
        ("/orders?a=b", "./orders/?a=b"),
        ("/of/me/", "../me"),
        ("/of/me/?a=b", "../me?a=b"),
        ("/of/%2F%2Fevil/", "../%2F%2Fevil"),
        ("/of/\\\\evil.example/", "../%5C%5Cevil.example"),
        ("/of/a:b/", "../a:b"),
        ("/caf%C3%A9/", "../caf%C3%A9"),
        ("/api/o/", "../o"),
        ("/api/%C3%BC", "./%C3%BC/"),
    ] {
        for (method, status) in [
            (Method::GET, 302),
            (Method::HEAD, 302),
            (Method::POST, 307),
            (Method::PUT, 307),
            (Method::PATCH, 307),
            (Method::DELETE, 307),
        ] {
            let response = client.request(method.clone(), from).await;
            assert_eq!(response.status(), status, "{method} {from}");
            assert_eq!(response.headers()["location"], to, "{method} {from}");
        }
    }
    for path in ["/none/", "/none", "/orders//", "//", "/of//"] {
        assert_eq!(client.post(path).await.status(), 404, "{path}");
    }
    let app = App::new().add("//{evil}", &["get"], hello);
    let response = Client::new(app).get("//evil.example/").await;
    assert_eq!(response.headers()["location"], "../evil.example");
}

/// With its detail, in its own form.
#[tokio::test]
async fn a_handler_of_errors_reads_what_the_client_would_get() {
    async fn fails(_req: &mut Request, _res: &mut Response) -> bocadillo::Result<()> {
        let detail = serde_json::json!({ "name": "is taken" });
        Err(HttpError::new(409).detail(detail).into())
    }
    let app = App::new().add("/", &["get"], fails).on_error(
        |_req: &Request, res: &mut Response, error: &HttpError| {
            let detail = error.get_detail().and_then(|it| it["name"].as_str());
            res.header("x-detail", detail.unwrap_or("none"));
            res.status(error.status());
            res.json(error);
        },
    );
    let client = Client::new(app);
    let response = client.get("/").await;
    assert_eq!(response.status(), 409);
    assert_eq!(response.headers()["x-detail"], "is taken");
    assert_eq!(
        response.text(),
        r#"{"error":"409 Conflict","status":409,"detail":{"name":"is taken"}}"#
    );
    let response = client.get("/none").await;
    assert_eq!(response.headers()["x-detail"], "none");
    assert_eq!(response.text(), r#"{"error":"404 Not Found","status":404}"#);
}
