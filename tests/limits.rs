//! Every limit with its smallest and its largest values: no panic, and a server that lives.

mod support;

use std::{
    panic,
    sync::atomic::{AtomicUsize, Ordering::SeqCst},
    time::Duration,
};

use bocadillo::{App, Limits, Request, Response, route};
use bytes::Bytes;
use support::{Http1, http2, http2_request, soon};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::oneshot,
};

#[route("/", methods = ["get", "post"])]
async fn index(req: &mut Request, res: &mut Response) -> bocadillo::Result<()> {
    let length = req.body().await?.len();
    res.background(async {});
    res.text(length.to_string());
    Ok(())
}

/// Panics of threads that are no test's: the server's watch and its runtime.
static PANICS: AtomicUsize = AtomicUsize::new(0);

fn count_panics() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            PANICS.fetch_add(1, SeqCst);
            before(info);
        }));
    });
}

struct Server {
    addr: std::net::SocketAddr,
    stop: oneshot::Sender<()>,
    served: tokio::task::JoinHandle<bocadillo::Result<()>>,
}

impl Server {
    async fn start(limits: Limits) -> Self {
        count_panics();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let addr = listener.local_addr().expect("an address");
        let (stop, stopped) = oneshot::channel();
        let app = App::new()
            .route(index)
            .limits(limits)
            .with_graceful_shutdown(async { drop(stopped.await) });
        let served = tokio::spawn(app.serve_with(listener));
        Self { addr, stop, served }
    }

    /// Ends it: that takes no longer, and nothing has panicked, whatever the limits are.
    async fn end(self, what: &str) {
        self.stop.send(()).expect("it serves");
        let end = soon(&format!("the end of {what}"), self.served).await;
        end.expect("no panic")
            .unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(PANICS.load(SeqCst), 0, "{what}");
    }

    /// A request with a body, by HTTP/1; what came back.
    async fn post(&self) -> Vec<u8> {
        let mut stream = TcpStream::connect(self.addr).await.expect("it accepts");
        let request =
            "POST / HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 5\r\n\r\nabcde";
        // Either may fail where the limit is that the connection is closed.
        let _ = stream.write_all(request.as_bytes()).await;
        let mut answer = Vec::new();
        let _ = soon("the answer", stream.read_to_end(&mut answer)).await;
        answer
    }

    /// A request with a body, by HTTP/2; its status, if one came.
    async fn post_by_http2(&self) -> Option<u16> {
        let stream = TcpStream::connect(self.addr).await.ok()?;
        let (send, connection) = h2::client::handshake(stream).await.ok()?;
        let driver = tokio::spawn(connection);
        let mut send = soon("the connection", send.ready()).await.ok()?;
        let request = http::Request::post("http://a/")
            .body(())
            .expect("a request");
        let (response, mut upload) = send.send_request(request, false).ok()?;
        let _ = upload.send_data(Bytes::from_static(b"abcde"), true);
        let response = soon("the response", response).await;
        driver.abort();
        Some(response.ok()?.status().as_u16())
    }
}

/// These must be answered by both protocols.
async fn is_answered(what: &str, limits: Limits) {
    let server = Server::start(limits).await;
    let answer = server.post().await;
    assert!(answer.starts_with(b"HTTP/1.1 200 "), "{what}: {answer:?}");
    assert_eq!(server.post_by_http2().await, Some(200), "{what}");
    server.end(what).await;
}

/// These may be answered by anything; the server lives.
async fn is_endured(what: &str, limits: Limits) {
    let server = Server::start(limits).await;
    let _ = server.post().await;
    let _ = server.post_by_http2().await;
    server.end(what).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn largest_values_are_no_limits() {
    let all = |new: Limits| {
        [
            ("connections", new.clone().connections(usize::MAX)),
            ("header_timeout", new.clone().header_timeout(Duration::MAX)),
            ("idle_timeout", new.clone().idle_timeout(Duration::MAX)),
            ("send_timeout", new.clone().send_timeout(Duration::MAX)),
            ("keep_alive", new.clone().keep_alive(Duration::MAX)),
            (
                "keep_alive_timeout",
                new.clone().keep_alive_timeout(Duration::MAX),
            ),
            ("linger_bytes", new.clone().linger_bytes(usize::MAX)),
            ("linger_timeout", new.clone().linger_timeout(Duration::MAX)),
            ("max_headers", new.clone().max_headers(usize::MAX)),
            ("header_bytes", new.clone().header_bytes(usize::MAX)),
            ("max_streams", new.clone().max_streams(u32::MAX)),
            ("stream_window", new.clone().stream_window(usize::MAX)),
            ("body", new.clone().body(usize::MAX)),
            ("body_timeout", new.clone().body_timeout(Duration::MAX)),
            ("max_detached", new.clone().max_detached(usize::MAX)),
            (
                "max_detached_per_connection",
                new.clone().max_detached_per_connection(usize::MAX),
            ),
            (
                "detached_timeout",
                new.clone().detached_timeout(Duration::MAX),
            ),
            ("half_close", new.half_close(true)),
        ]
    };
    for (what, limits) in all(Limits::new()) {
        is_answered(what, limits).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn smallest_values_that_concern_no_ordinary_request() {
    let new = Limits::new;
    for n in [0, 1] {
        let time = Duration::from_nanos(n);
        let count = usize::try_from(n).expect("small");
        let all = [
            ("connections", new().connections(count)),
            ("keep_alive", new().keep_alive(time)),
            ("keep_alive_timeout", new().keep_alive_timeout(time)),
            ("linger_bytes", new().linger_bytes(count)),
            ("linger_timeout", new().linger_timeout(time)),
            ("header_bytes", new().header_bytes(count)),
            ("max_streams", new().max_streams(count as u32)),
            ("stream_window", new().stream_window(count)),
            ("max_detached", new().max_detached(count)),
            (
                "max_detached_per_connection",
                new().max_detached_per_connection(count),
            ),
            ("detached_timeout", new().detached_timeout(time)),
        ];
        for (what, limits) in all {
            is_answered(&format!("{what}({n})"), limits).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn smallest_values_that_leave_no_room() {
    let new = Limits::new;
    for n in [0, 1] {
        let time = Duration::from_nanos(n);
        let count = usize::try_from(n).expect("small");
        let all = [
            ("header_timeout", new().header_timeout(time)),
            ("idle_timeout", new().idle_timeout(time)),
            ("send_timeout", new().send_timeout(time)),
            ("max_headers", new().max_headers(count)),
            ("body", new().body(count)),
            ("body_timeout", new().body_timeout(time)),
        ];
        for (what, limits) in all {
            is_endured(&format!("{what}({n})"), limits).await;
        }
    }
}

/// The watch had panicked by then, and nothing that stalled was aborted any more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn endless_time_for_a_head_leaves_the_watch_alive() {
    let limits = Limits::new()
        .header_timeout(Duration::MAX)
        .idle_timeout(Duration::from_millis(300));
    let server = Server::start(limits).await;
    let (mut send, driver) = http2(server.addr, &h2::client::Builder::new()).await;
    let response = http2_request(&mut send, "GET", "/").await;
    assert_eq!(
        soon("a response", response).await.expect("one").status(),
        200
    );
    soon("the end of the connection", driver)
        .await
        .expect("no panic");
    server.end("the watch").await;
}

/// A shutdown waited for no connection at all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shutdown_waits_for_connections_without_a_limit() {
    let server = Server::start(Limits::new().connections(usize::MAX)).await;
    let mut client = Http1::connect(server.addr).await;
    client
        .send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nab")
        .await;
    // The view runs when the next request is answered.
    let _ = server.post().await;
    server.stop.send(()).expect("it serves");
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!server.served.is_finished());
    client.send("cde").await;
    assert_eq!(client.reply(false).await.body, "5");
    soon("the end", server.served)
        .await
        .expect("no panic")
        .expect("in peace");
}

/// What would not fit into a `HeaderMap` is refused in order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn headers_without_a_limit_are_refused_in_order() {
    let limits = Limits::new()
        .max_headers(usize::MAX)
        .header_bytes(usize::MAX);
    let server = Server::start(limits).await;
    for count in [20_000, 24_000, 25_000, 40_000] {
        let headers: String = (0..count).map(|n| format!("x{n}: y\r\n")).collect();
        let mut client = Http1::connect(server.addr).await;
        let request = format!("GET / HTTP/1.1\r\nhost: a\r\n{headers}\r\n");
        let _ = client.stream.write_all(request.as_bytes()).await;
        let status = client.reply(false).await.status();
        assert_eq!(status, if count < 24_576 { 200 } else { 431 }, "{count}");
    }
    server.end("headers").await;
}
