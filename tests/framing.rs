//! What is on the wire: lengths that are kept or not, empty chunks, bodies that are always ready, and
//! headers that frame the message; from views, mounts, layers and services, on both protocols.

mod support;

use std::{
    convert::Infallible,
    future::{Ready, ready},
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll},
    time::Duration,
};

use bocadillo::{
    App, Body, BoxedService, Limits, Request, Response, background,
    background::{Background, Task, When},
    sent::Delivery,
};
use support::{Http1, http2, http2_request, soon, start};
use tokio::sync::mpsc;
use tower_service::Service;

type Deliveries = mpsc::UnboundedSender<(&'static str, Delivery)>;

/// Always ready, with these chunks.
struct Chunks<I>(I);

impl<I: Iterator<Item = &'static str> + Unpin> futures_core::Stream for Chunks<I> {
    type Item = Result<&'static str, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(self.0.next().map(Ok))
    }
}

fn chunks(
    all: &'static [&'static str],
) -> Chunks<impl Iterator<Item = &'static str> + Send + Unpin> {
    Chunks(all.iter().copied())
}

/// Tells what became of its response, and whether it counts as delivered.
fn register(req: &Request, res: &mut Response) {
    let told = req.state::<Deliveries>().expect("the test's").clone();
    let delivered = told.clone();
    res.background(async move {
        let _ = told.send(("always", background::current().delivery()));
    });
    let delivered = async move {
        let _ = delivered.send(("delivered", background::current().delivery()));
    };
    res.add_background(Task::new(delivered).when(When::Delivered));
}

async fn long(req: &mut Request, res: &mut Response) {
    register(req, res);
    res.stream(chunks(&["01234", "56789abcde"]));
    res.header("content-length", "10");
}

async fn long_after_all(req: &mut Request, res: &mut Response) {
    register(req, res);
    res.stream(chunks(&["0123456789", "", "abcde"]));
    res.header("content-length", "10");
}

async fn short(req: &mut Request, res: &mut Response) {
    register(req, res);
    res.stream(chunks(&["01234", "", "56"]));
    res.header("content-length", "10");
}

async fn exact(req: &mut Request, res: &mut Response) {
    register(req, res);
    res.stream(chunks(&["01234", "", "56789", ""]));
    res.header("content-length", "10");
}

/// Ends with its last frame, and says so.
struct Foretells(Option<&'static str>);

impl http_body::Body for Foretells {
    type Data = bytes::Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<bytes::Bytes>, Infallible>>> {
        let chunk = self.0.take();
        Poll::Ready(chunk.map(|chunk| Ok(http_body::Frame::data(chunk.into()))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_none()
    }
}

async fn foretold(req: &mut Request, res: &mut Response) {
    register(req, res);
    res.body(Body::new(Foretells(Some("0123456"))));
    res.header("content-length", "10");
}

async fn two_framings(req: &mut Request, res: &mut Response) {
    register(req, res);
    res.stream(chunks(&["hello"]));
    res.header("transfer-encoding", "chunked");
    res.header("keep-alive", "timeout=5");
    res.header("content-length", "5");
}

async fn empties(req: &mut Request, res: &mut Response) {
    register(req, res);
    res.stream(chunks(&["a", "", "", "c", ""]));
}

async fn plain(_req: &mut Request, res: &mut Response) {
    res.text("plain");
}

async fn nothing_for_ever(req: &mut Request, res: &mut Response) {
    register(req, res);
    res.stream(Chunks(std::iter::repeat("")));
}

/// As much as a frame holds: a client gives up where there are many small ones.
const MUCH: &str = match std::str::from_utf8(&[b'm'; 16 * 1024]) {
    Ok(text) => text,
    Err(_) => "",
};

async fn much_for_ever(req: &mut Request, res: &mut Response) {
    register(req, res);
    res.stream(Chunks(std::iter::repeat(MUCH)));
}

/// A service that answers by the path: what it declares, and what it has.
#[derive(Clone)]
struct Answers(Option<Deliveries>);

impl Service<http::Request<Body>> for Answers {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        if let Some(told) = self.0.clone() {
            let res = request
                .extensions()
                .get::<Background>()
                .expect("the door's");
            res.background(async move {
                let _ = told.send(("always", background::current().delivery()));
            });
        }
        let mut response = http::Response::new(Body::from("hello"));
        let query = request.uri().query().unwrap_or_default();
        for pair in query.split('&') {
            let (name, value) = pair.split_once('=').expect("a pair");
            match name {
                "status" => *response.status_mut() = value.parse().expect("a status"),
                "unknown" => {
                    let chunks = chunks(&["hel", "", "lo"]);
                    *response.body_mut() = Body::from_stream(chunks);
                }
                name => {
                    let name: http::HeaderName = name.parse().expect("a name");
                    let headers = response.headers_mut();
                    headers.append(name, value.parse().expect("a value"));
                }
            }
        }
        ready(Ok(response))
    }
}

fn app() -> (App, mpsc::UnboundedReceiver<(&'static str, Delivery)>) {
    let (told, deliveries) = mpsc::unbounded_channel();
    let app = App::new()
        .state::<Deliveries>(told.clone())
        .add("/long", &["get"], long)
        .add("/long_after_all", &["get"], long_after_all)
        .add("/short", &["get"], short)
        .add("/exact", &["get"], exact)
        .add("/foretold", &["get"], foretold)
        .add("/two_framings", &["get"], two_framings)
        .add("/empties", &["get"], empties)
        .add("/plain", &["get"], plain)
        .add("/nothing", &["get"], nothing_for_ever)
        .add("/much", &["get"], much_for_ever)
        .mount("/mount", Answers(Some(told)));
    (app, deliveries)
}

async fn serve_app() -> (
    SocketAddr,
    mpsc::UnboundedReceiver<(&'static str, Delivery)>,
) {
    let (app, deliveries) = app();
    (start(app).await.0, deliveries)
}

async fn http1_bytes(addr: SocketAddr, path: &str) -> String {
    let mut client = Http1::connect(addr).await;
    let request = format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n");
    client.send(&request).await;
    String::from_utf8(client.rest().await).expect("text")
}

/// The body, or the reason of its reset.
async fn http2_body(
    addr: SocketAddr,
    path: &str,
) -> Result<(http::response::Parts, Vec<u8>), h2::Reason> {
    let (mut send, _driver) = http2(addr, &h2::client::Builder::new()).await;
    let reason = |error: h2::Error| error.reason().expect("a reset");
    let response = http2_request(&mut send, "GET", path).await;
    let response = soon("a response", response).await.map_err(reason)?;
    let (head, mut body) = response.into_parts();
    let mut bytes = Vec::new();
    while let Some(data) = soon("the body", body.data()).await {
        bytes.extend_from_slice(&data.map_err(reason)?);
    }
    Ok((head, bytes))
}

async fn expect_aborted(
    path: &str,
    deliveries: &mut mpsc::UnboundedReceiver<(&'static str, Delivery)>,
) {
    let (which, delivery) = soon("a task", deliveries.recv()).await.expect("one");
    assert_eq!(which, "always", "{path}");
    assert!(
        matches!(delivery, Delivery::Aborted { .. }),
        "{path}: {delivery:?}"
    );
}

const BROKEN: [&str; 4] = ["/long", "/long_after_all", "/short", "/foretold"];

#[tokio::test]
async fn a_length_that_is_not_kept_cuts_the_connection_of_http1() {
    let (addr, mut deliveries) = serve_app().await;
    for path in BROKEN
        .into_iter()
        .chain(["/mount/x?content-length=100&unknown=1"])
    {
        let all = http1_bytes(addr, path).await;
        let (_, body) = all.split_once("\r\n\r\n").expect("a head");
        let declared = if path.contains("100") { 100 } else { 10 };
        assert!(body.len() < declared, "{path}: {all}");
        expect_aborted(path, &mut deliveries).await;
    }
    assert!(deliveries.try_recv().is_err(), "nothing was delivered");
}

#[tokio::test]
async fn a_length_that_is_not_kept_resets_the_stream_of_http2() {
    let (addr, mut deliveries) = serve_app().await;
    for path in BROKEN
        .into_iter()
        .chain(["/mount/x?content-length=100&unknown=1"])
    {
        let reason = http2_body(addr, path).await.expect_err(path);
        assert_eq!(reason, h2::Reason::INTERNAL_ERROR, "{path}");
        expect_aborted(path, &mut deliveries).await;
    }
    assert!(deliveries.try_recv().is_err(), "nothing was delivered");
}

async fn expect_sent(deliveries: &mut mpsc::UnboundedReceiver<(&'static str, Delivery)>) {
    for _ in 0..2 {
        let (_, delivery) = soon("a task", deliveries.recv()).await.expect("one");
        assert_eq!(delivery, Delivery::Sent);
    }
}

#[tokio::test]
async fn a_length_that_is_kept_is_sent() {
    let (addr, mut deliveries) = serve_app().await;
    let mut client = Http1::connect(addr).await;
    for _ in 0..2 {
        assert_eq!(client.request("GET", "/exact").await.body, "0123456789");
        expect_sent(&mut deliveries).await;
    }
    let (_, body) = http2_body(addr, "/exact").await.expect("no reset");
    assert_eq!(body, b"0123456789");
    expect_sent(&mut deliveries).await;
}

#[tokio::test]
async fn headers_that_frame_the_message_are_the_servers_own() {
    let (addr, mut deliveries) = serve_app().await;
    let mut client = Http1::connect(addr).await;
    for _ in 0..2 {
        let reply = client.request("GET", "/two_framings").await;
        assert_eq!((reply.status(), &*reply.body), (200, "hello"));
        assert!(!reply.has("transfer-encoding"), "{reply:?}");
        assert!(!reply.has("keep-alive"), "{reply:?}");
        expect_sent(&mut deliveries).await;
        let path = "/mount/x?transfer-encoding=chunked&te=trailers&content-length=5";
        let reply = client.request("GET", path).await;
        assert_eq!((reply.status(), &*reply.body), (200, "hello"));
        assert!(!reply.has("transfer-encoding"), "{reply:?}");
        let (_, delivery) = soon("a task", deliveries.recv()).await.expect("one");
        assert_eq!(delivery, Delivery::Sent);
    }
    for path in [
        "/two_framings",
        "/mount/x?transfer-encoding=chunked&content-length=5",
    ] {
        let (head, body) = http2_body(addr, path).await.expect("no reset");
        assert_eq!((head.status.as_u16(), &*body), (200, &b"hello"[..]));
    }
}

/// Lengths that disagree with what is known, of what a mount answers.
const DISAGREEING: [&str; 5] = [
    "content-length=100",
    "content-length=0",
    "content-length=3",
    "content-length=abc",
    "content-length=5&content-length=6",
];

/// The statuses are those of the app's own setters; the connection's next response is its own.
async fn check_disagreeing(addr: SocketAddr, prefix: &str) {
    let mut client = Http1::connect(addr).await;
    let (mut send, _driver) = http2(addr, &h2::client::Builder::new()).await;
    for query in DISAGREEING {
        for method in ["GET", "HEAD"] {
            for (more, status) in [("", 500), ("&status=204", 204), ("&status=304", 304)] {
                let path = format!("{prefix}?{query}{more}");
                client
                    .send(&format!("{method} {path} HTTP/1.1\r\nhost: a\r\n\r\n"))
                    .await;
                let reply = client.reply(method == "HEAD").await;
                assert_eq!(reply.status(), status, "{method} {path}: {reply:?}");
                if status != 500 {
                    assert!(!reply.has("content-length"), "{path}: {reply:?}");
                }
                let response = http2_request(&mut send, method, &path).await;
                let response = soon("a response", response).await.expect("no reset");
                assert_eq!(response.status(), status, "{method} {path}");
                let mut body = response.into_body();
                while let Some(data) = soon("the body", body.data()).await {
                    data.expect("no protocol error");
                }
            }
        }
        let next = client.request("GET", &format!("{prefix}?x-ok=1")).await;
        assert_eq!((next.status(), &*next.body), (200, "hello"));
    }
}

#[tokio::test]
async fn a_known_disagreement_of_a_mount_is_a_500() {
    let (addr, _deliveries) = serve_app().await;
    check_disagreeing(addr, "/mount/x").await;
}

#[tokio::test]
async fn a_known_disagreement_of_a_layer_is_a_500() {
    let layer = tower_layer::layer_fn(|_: BoxedService| Answers(None));
    let (app, _deliveries) = app();
    let (addr, _) = start(app.layer(layer)).await;
    check_disagreeing(addr, "/").await;
}

#[tokio::test]
async fn a_known_disagreement_of_a_service_is_a_500() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
    let listener = listener.expect("a port");
    let addr = listener.local_addr().expect("an address");
    tokio::spawn(bocadillo::serve(listener, Answers(None)).into_future());
    check_disagreeing(addr, "/").await;
}

#[tokio::test]
async fn empty_chunks_are_no_frames() {
    let (addr, _deliveries) = serve_app().await;
    let all = http1_bytes_closing(addr, "/empties").await;
    assert!(
        all.ends_with("\r\n\r\n1\r\na\r\n1\r\nc\r\n0\r\n\r\n"),
        "{all}"
    );
    // h2's client gives up after 100 small frames that are not the last.
    let (mut send, _driver) = http2(addr, &h2::client::Builder::new()).await;
    for n in 0..300 {
        let response = http2_request(&mut send, "GET", "/empties").await;
        let mut body = soon("a response", response).await.expect("one").into_body();
        let mut all = Vec::new();
        while let Some(data) = soon("the body", body.data()).await {
            let data = data.unwrap_or_else(|error| panic!("response {n}: {error}"));
            let _ = body.flow_control().release_capacity(data.len());
            all.extend_from_slice(&data);
        }
        assert_eq!(all, b"ac");
    }
}

async fn http1_bytes_closing(addr: SocketAddr, path: &str) -> String {
    let mut client = Http1::connect(addr).await;
    let request = format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    client.send(&request).await;
    String::from_utf8(client.rest().await).expect("text")
}

/// With one thread: a body that kept it would keep everything.
async fn check_always_ready(path: &'static str) {
    let (app, mut deliveries) = app();
    let limits = Limits::new().send_timeout(Duration::from_secs(60));
    let (addr, _) = start(app.limits(limits)).await;
    let mut client = Http1::connect(addr).await;
    client
        .send(&format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n"))
        .await;
    let (mut send, driver) = http2(addr, &h2::client::Builder::new()).await;
    let streaming = http2_request(&mut send, "GET", path).await;
    let streaming = soon("a head", streaming).await.expect("one");
    for _ in 0..10 {
        let reply = Http1::connect(addr).await.request("GET", "/plain").await;
        assert_eq!(reply.body, "plain");
        let other = http2_request(&mut send, "GET", "/plain").await;
        assert_eq!(soon("a response", other).await.expect("one").status(), 200);
    }
    drop(client);
    expect_aborted(path, &mut deliveries).await;
    drop((streaming, send));
    driver.abort();
    expect_aborted(path, &mut deliveries).await;
}

#[tokio::test]
async fn a_body_that_yields_nothing_for_ever_is_in_nobodys_way() {
    check_always_ready("/nothing").await;
}

#[tokio::test]
async fn a_body_that_is_always_ready_is_in_nobodys_way() {
    check_always_ready("/much").await;
}

/// However large its window, and whatever it reads.
#[tokio::test]
async fn a_body_that_is_always_ready_is_in_nobodys_way_of_a_fast_reader() {
    let (addr, mut deliveries) = serve_app().await;
    let read = Arc::new(AtomicUsize::new(0));
    let mut readers = Vec::new();
    for _ in 0..4 {
        let mut client = Http1::connect(addr).await;
        client.send("GET /much HTTP/1.1\r\nhost: a\r\n\r\n").await;
        let read = Arc::clone(&read);
        readers.push(tokio::spawn(async move {
            let mut buffer = vec![0; 64 * 1024];
            while let Ok(bytes @ 1..) =
                tokio::io::AsyncReadExt::read(&mut client.stream, &mut buffer).await
            {
                read.fetch_add(bytes, SeqCst);
            }
        }));
    }
    for _ in 0..10 {
        let reply = Http1::connect(addr).await.request("GET", "/plain").await;
        assert_eq!(reply.body, "plain");
    }
    soon("the readers have read", async {
        while read.load(SeqCst) < 1_000_000 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    for reader in readers {
        reader.abort();
        expect_aborted("/much", &mut deliveries).await;
    }
}

/// A shutdown closes its connection at half of the time, on both protocols, whether somebody reads it.
#[tokio::test]
async fn a_body_that_never_ends_does_not_keep_a_server_from_its_end() {
    for path in ["/nothing", "/much"] {
        let (app, mut deliveries) = app();
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let app = app
            .background(bocadillo::Runner::dedicated(1).drain_timeout(Duration::from_secs(2)))
            .with_graceful_shutdown(async { drop(stopped.await) });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port");
        let addr = listener.local_addr().expect("an address");
        let served = tokio::spawn(app.serve_with(listener));
        let mut client = Http1::connect(addr).await;
        client
            .send(&format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n"))
            .await;
        let (mut send, _driver) = http2(addr, &h2::client::Builder::new()).await;
        let streaming = http2_request(&mut send, "GET", path).await;
        let mut streaming = soon("a head", streaming).await.expect("one").into_body();
        let reader = tokio::spawn(async move {
            while let Some(Ok(data)) = streaming.data().await {
                let _ = streaming.flow_control().release_capacity(data.len());
            }
        });
        drop(stop);
        soon("the end", served)
            .await
            .expect("no panic")
            .expect("a clean end");
        for _ in 0..2 {
            expect_aborted(path, &mut deliveries).await;
        }
        reader.abort();
    }
}

/// A client that stops to read it cannot withhold the task.
#[tokio::test]
async fn a_body_that_is_always_ready_is_aborted_when_nobody_reads_it() {
    let (app, mut deliveries) = app();
    let limits = Limits::new().send_timeout(Duration::from_millis(300));
    let (addr, _) = start(app.limits(limits)).await;
    let mut client = Http1::connect(addr).await;
    client.send("GET /much HTTP/1.1\r\nhost: a\r\n\r\n").await;
    expect_aborted("/much", &mut deliveries).await;
    let (mut send, _driver) = http2(addr, &h2::client::Builder::new()).await;
    let streaming = http2_request(&mut send, "GET", "/much").await;
    let _streaming = soon("a head", streaming).await.expect("one");
    expect_aborted("/much", &mut deliveries).await;
}

#[cfg(feature = "file")]
mod files {
    use super::*;

    /// Changes a file after its length was declared, and before it is read.
    #[derive(Clone)]
    struct Changed(BoxedService, std::path::PathBuf);

    impl Service<http::Request<Body>> for Changed {
        type Response = http::Response<Body>;
        type Error = Infallible;
        type Future =
            Pin<Box<dyn Future<Output = Result<http::Response<Body>, Infallible>> + Send>>;

        fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, request: http::Request<Body>) -> Self::Future {
            let length = if request.uri().path().ends_with("grown") {
                2000
            } else {
                10
            };
            let path = self.1.clone();
            let answering = self.0.call(request);
            Box::pin(async move {
                let response = answering.await;
                let file = std::fs::OpenOptions::new().write(true).open(path);
                file.and_then(|file| file.set_len(length)).expect("a file");
                response
            })
        }
    }

    struct Path(std::path::PathBuf);

    async fn file(req: &mut Request, res: &mut Response) -> bocadillo::Result<()> {
        register(req, res);
        let path = req.state::<Path>()?.0.clone();
        res.file(req, path).await
    }

    async fn check(name: &'static str, is_kept: bool) {
        let (told, mut deliveries) = mpsc::unbounded_channel();
        let path = std::env::temp_dir().join(format!("bocadillo-{name}-{}", std::process::id()));
        let served = path.clone();
        let layer = tower_layer::layer_fn(move |inner| Changed(inner, served.clone()));
        let folder = tower_http::services::ServeFile::new(path.clone());
        let app = App::new()
            .state::<Deliveries>(told)
            .state(Path(path.clone()))
            .add("/view/{which}", &["get"], file)
            .mount("/mount", folder)
            .layer(layer);
        let (addr, _) = start(app).await;
        for door in ["view", "mount"] {
            let url = format!("/{door}/{name}");
            std::fs::write(&path, vec![b'x'; 1000]).expect("a file");
            let http1 = http1_bytes_closing(addr, &url).await;
            let (_, body) = http1.split_once("\r\n\r\n").expect("a head");
            assert_eq!(body.len() == 1000, is_kept, "{url}: {}", body.len());
            std::fs::write(&path, vec![b'x'; 1000]).expect("a file");
            let http2 = http2_body(addr, &url).await;
            match http2 {
                Ok((_, body)) => assert_eq!((is_kept, body.len()), (true, 1000), "{url}"),
                Err(reason) => {
                    assert_eq!(
                        (is_kept, reason),
                        (false, h2::Reason::INTERNAL_ERROR),
                        "{url}"
                    );
                }
            }
        }
        for _ in 0..2 {
            if is_kept {
                expect_sent(&mut deliveries).await;
            } else {
                expect_aborted(name, &mut deliveries).await;
            }
        }
        let _ = std::fs::remove_file(path);
    }

    #[tokio::test]
    async fn a_file_that_has_grown_ends_where_it_did() {
        check("grown", true).await;
    }

    #[tokio::test]
    async fn a_file_that_was_truncated_is_cut_off() {
        check("truncated", false).await;
    }
}

#[tokio::test]
async fn head_of_a_compressed_response_says_what_get_says() {
    async fn large(_req: &mut Request, res: &mut Response) {
        res.text("compressible ".repeat(1000));
    }
    let compression = tower_http::compression::CompressionLayer::new();
    let app = App::new().add("/", &["get"], large).layer(compression);
    let (addr, _) = start(app).await;
    let (send, _driver) = http2(addr, &h2::client::Builder::new()).await;
    let mut heads = Vec::new();
    for method in ["GET", "HEAD"] {
        let request = http::Request::builder()
            .method(method)
            .uri("http://a/")
            .header("accept-encoding", "gzip")
            .body(())
            .expect("a request");
        let mut send = soon("the connection", send.clone().ready())
            .await
            .expect("it lives");
        let (response, _) = send.send_request(request, true).expect("sent");
        let response = soon("a response", response).await.expect("one");
        let (mut head, mut body) = response.into_parts();
        let data = soon("the body", body.data()).await;
        assert_eq!(data.is_some(), method == "GET");
        head.headers.remove("date");
        heads.push(head.headers);
    }
    assert_eq!(heads[0]["content-encoding"], "gzip");
    assert_eq!(heads[0], heads[1]);
}

/// What was logged, on this thread.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Written {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("no panic").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The only test here that installs a subscriber: for all of them.
#[tokio::test]
async fn the_log_names_who_has_answered_and_both_numbers() {
    let written = Written::default();
    let writer = written.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_writer(move || writer.clone())
        .with_ansi(false)
        .finish();
    tracing::subscriber::set_global_default(subscriber).expect("the only one");
    let (addr, _deliveries) = serve_app().await;
    http1_bytes(addr, "/short").await;
    http1_bytes_closing(addr, "/mount/logged?content-length=100").await;
    http1_bytes_closing(addr, "/two_framings").await;
    let text = String::from_utf8(written.0.lock().expect("no panic").clone()).expect("text");
    let line = |parts: &[&str]| {
        let has_all = |line: &&str| parts.iter().all(|part| line.contains(part));
        assert!(
            text.lines().any(|line| has_all(&line)),
            "{parts:?} in:\n{text}"
        );
    };
    line(&["view=\"short\"", "declared=10", "sent=7"]);
    line(&["route=/mount/{rest:path}", "content-length"]);
    line(&["view=\"two_framings\"", "transfer-encoding"]);
}
