//! What was once wrong, each with the test that failed.

mod support;

use std::{
    convert::Infallible,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};

use bocadillo::{
    App, Body, Limits, Listener, Request, Response, Runner,
    background::{self, Background},
    route,
    sent::Delivery,
    testing::Client,
};
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt as _;
use support::{Http1, PATIENCE, http2, http2_request, soon, start};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{Notify, mpsc},
};
use tower_service::Service;

const SHORT: Duration = Duration::from_millis(300);

type Deliveries = mpsc::UnboundedSender<Delivery>;

fn report(req: &Request) -> impl Future<Output = ()> + Send + use<> {
    let deliveries = req
        .state::<Deliveries>()
        .expect("the test gives one")
        .clone();
    async move {
        let _ = deliveries.send(background::current().delivery());
    }
}

/// A function as a tower service.
#[derive(Clone)]
struct ServiceFn<F>(F);

impl<F, Running> Service<http::Request<Body>> for ServiceFn<F>
where
    F: FnMut(http::Request<Body>) -> Running,
    Running: Future<Output = Result<http::Response<Body>, Infallible>>,
{
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Running;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Running {
        (self.0)(request)
    }
}

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let addr = listener.local_addr().expect("an address");
    (listener, addr)
}

/// The door around the app had closed when the view, without its client, came to its end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn app_within_a_door_keeps_the_tasks_of_clients_that_leave() {
    #[derive(Clone, Default)]
    struct Gate(Arc<(Notify, Notify)>);

    #[route("/slow")]
    async fn slow(req: &mut Request, res: &mut Response) {
        let gate = req.state::<Gate>().expect("given").clone();
        res.background(report(req));
        gate.0.0.notify_one();
        gate.0.1.notified().await;
    }

    let gate = Gate::default();
    let (tx, mut deliveries) = mpsc::unbounded_channel::<Delivery>();
    let app = App::new().state(gate.clone()).state(tx).route(slow);
    let app = Arc::new(Mutex::new(app));
    let service = ServiceFn(move |request| app.lock().expect("no panic").call(request));
    let (listener, addr) = listen().await;
    tokio::spawn(bocadillo::serve(listener, service).into_future());
    let (mut send, driver) = http2(addr, &h2::client::Builder::new()).await;
    drop(http2_request(&mut send, "GET", "/slow").await);
    soon("the view", gate.0.0.notified()).await;
    driver.abort();
    // The outer future is dropped when the server notices; whenever that is, nothing is lost.
    gate.0.1.notify_one();
    assert!(soon("the task", deliveries.recv()).await.is_some());
}

#[tokio::test]
async fn registration_after_the_response_starts_at_once() {
    let (tx, mut deliveries) = mpsc::unbounded_channel();
    let late = Arc::new(Notify::new());
    let go = Arc::clone(&late);
    let service = ServiceFn(move |request: http::Request<Body>| {
        let (tx, go) = (tx.clone(), Arc::clone(&go));
        async move {
            let res = request
                .extensions()
                .get::<Background>()
                .expect("given")
                .clone();
            tokio::spawn(async move {
                go.notified().await;
                res.background(async move {
                    let _ = tx.send(background::current().delivery());
                });
            });
            Ok(http::Response::new(Body::empty()))
        }
    });
    let (listener, addr) = listen().await;
    let runner = Runner::current().build();
    tokio::spawn(
        bocadillo::serve(listener, service)
            .background(runner.clone())
            .into_future(),
    );
    assert_eq!(
        Http1::connect(addr)
            .await
            .request("GET", "/")
            .await
            .status(),
        200
    );
    late.notify_one();
    assert_eq!(
        soon("the task", deliveries.recv()).await,
        Some(Delivery::Unknown)
    );
    assert_eq!(runner.stats().registered, 1);
}

/// It pauses for longer than a connection may be without a request, and says how long it is.
struct Pausing {
    parts: usize,
    pause: Pin<Box<tokio::time::Sleep>>,
}

impl http_body::Body for Pausing {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.parts == 0 {
            return Poll::Ready(None);
        }
        std::task::ready!(self.pause.as_mut().poll(cx));
        self.pause
            .as_mut()
            .reset(tokio::time::Instant::now() + SHORT * 2);
        self.parts -= 1;
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"0123456789")))))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(10 * self.parts as u64)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn body_of_known_length_that_pauses_is_not_idle() {
    #[route("/")]
    async fn index(_req: &mut Request, res: &mut Response) {
        let pause = Box::pin(tokio::time::sleep(Duration::ZERO));
        res.body(Body::new(Pausing { parts: 2, pause }));
    }

    let limits = Limits::new().header_timeout(SHORT / 2);
    let (addr, _) = start(App::new().route(index).limits(limits)).await;
    let mut http1 = Http1::connect(addr).await;
    http1
        .send("GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
        .await;
    assert!(http1.rest().await.ends_with(b"01234567890123456789"));
}

/// An IO without vectored writes: hyper copies the whole body at once.
struct Copying(TcpStream);

struct CopyingListener(TcpListener);

impl Listener for CopyingListener {
    type Io = Copying;

    async fn accept(&mut self) -> io::Result<(Copying, Option<SocketAddr>)> {
        let (stream, addr) = Listener::accept(&mut self.0).await?;
        Ok((Copying(stream), addr))
    }
}

impl AsyncRead for Copying {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Copying {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_reader_of_a_copied_body_makes_progress() {
    const LENGTH: usize = 24 * 1024 * 1024;

    #[route("/")]
    async fn index(_req: &mut Request, res: &mut Response) {
        res.background(async {});
        res.bytes(vec![b'x'; LENGTH]);
    }

    let (listener, addr) = listen().await;
    let app = App::new()
        .route(index)
        .limits(Limits::new().send_timeout(SHORT * 2));
    tokio::spawn(app.serve_with(CopyingListener(listener)));
    let mut stream = TcpStream::connect(addr).await.expect("the server accepts");
    let request = b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    stream.write_all(request).await.expect("the server reads");
    let mut buffer = vec![0; 64 * 1024];
    let mut total = 0;
    loop {
        let bytes = soon("more", stream.read(&mut buffer)).await.unwrap_or(0);
        if bytes == 0 {
            break;
        }
        total += bytes;
        // The reader's pace, not an order.
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(
        total > LENGTH,
        "cut off after {total} bytes, although the client read steadily"
    );
}

/// A task that captured the request's body was dropped within h2's lock, which that takes again.
#[test]
fn shutdown_of_the_runtime_does_not_deadlock() {
    let (ended, has_ended) = std::sync::mpsc::channel();
    let (addr, has_addr) = std::sync::mpsc::channel();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    std::thread::spawn(move || {
        let server = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let server = server.expect("a runtime");
        server.block_on(async move {
            let (listener, at) = listen().await;
            addr.send(at).expect("the test waits");
            let service = ServiceFn(|request: http::Request<Body>| async move {
                let res = request
                    .extensions()
                    .get::<Background>()
                    .expect("given")
                    .clone();
                let body = request.into_body();
                res.background(async move { drop(body.collect().await) });
                Ok(http::Response::new(Body::from(
                    "longer than the window".repeat(20),
                )))
            });
            tokio::spawn(bocadillo::serve(listener, service).into_future());
            let _ = stopped.await;
        });
        drop(server);
        ended.send(()).expect("the test waits");
    });
    let addr = has_addr.recv().expect("an address");
    let client = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let client = client.expect("a runtime");
    client.block_on(async move {
        let mut builder = h2::client::Builder::new();
        builder.initial_window_size(100);
        let (send, _driver) = http2(addr, &builder).await;
        let mut send = send.ready().await.expect("the connection lives");
        let request = http::Request::post("http://a/")
            .body(())
            .expect("a request");
        let (response, mut upload) = send.send_request(request, false).expect("sent");
        upload
            .send_data(Bytes::from_static(b"begun"), false)
            .expect("sent");
        let mut response = soon("the head", response).await.expect("a response");
        let _ = soon("what fits", response.body_mut().data()).await;
        stop.send(()).expect("the server runs");
        let wait = move || has_ended.recv_timeout(PATIENCE);
        let waited = tokio::task::spawn_blocking(wait).await.expect("no panic");
        assert!(waited.is_ok(), "dropping the runtime did not end");
    });
}

#[tokio::test]
async fn replacing_beyond_the_limit_keeps_the_latest_that_was_accepted() {
    #[route("/")]
    async fn index(_req: &mut Request, res: &mut Response) {
        for _ in 0..65 {
            res.background(async {});
        }
    }

    let client = Client::new(App::new().route(index));
    let reports = client.get("/").await.tasks().await;
    let ran = reports.iter().filter(|report| report.outcome.has_run());
    assert_eq!((reports.len(), ran.count()), (65, 1));
    let stats = client.runner().stats();
    assert_eq!((stats.replaced, stats.refused, stats.completed), (63, 1, 1));
}

/// What a replaced task had captured was dropped while the slot was locked.
#[test]
fn dropping_a_replaced_task_may_register_another() {
    struct Registers(Background);
    impl Drop for Registers {
        fn drop(&mut self) {
            self.0.add_background(async {});
        }
    }

    let (done, is_done) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let res = Background::default();
        let captured = Registers(res.clone());
        res.background(async move { drop(captured) });
        res.background(async {});
        done.send(()).expect("the test waits");
    });
    assert!(is_done.recv_timeout(PATIENCE).is_ok(), "deadlock");
}

/// The watch ended with the accept loop, and a client that had stopped reading kept its task.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stalled_response_is_aborted_although_the_accept_loop_has_ended() {
    #[route("/")]
    async fn index(req: &mut Request, res: &mut Response) {
        res.background(report(req));
        res.bytes(vec![b'x'; 32 * 1024 * 1024]);
    }

    let (tx, mut deliveries) = mpsc::unbounded_channel::<Delivery>();
    let (listener, addr) = listen().await;
    let app = App::new()
        .state(tx)
        .route(index)
        .limits(Limits::new().send_timeout(SHORT));
    let server = tokio::spawn(app.serve_with(listener));
    let mut http1 = Http1::connect(addr).await;
    http1.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let mut begun = [0; 1000];
    http1
        .stream
        .read_exact(&mut begun)
        .await
        .expect("it has begun");
    server.abort();
    let delivery = soon("the task", deliveries.recv()).await;
    assert!(
        matches!(delivery, Some(Delivery::Aborted { .. })),
        "{delivery:?}"
    );
}

/// The end was handed over when little enough was left, and with it the means to reset the stream.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stream_that_stalls_near_its_end_does_not_close_the_connection() {
    #[route("/stalls")]
    async fn stalls(req: &mut Request, res: &mut Response) {
        res.background(report(req));
        res.bytes(vec![b'x'; 70_000]);
    }
    #[route("/small")]
    async fn small(_req: &mut Request, res: &mut Response) {
        res.text("small");
    }

    let (tx, mut deliveries) = mpsc::unbounded_channel::<Delivery>();
    let app = App::new().state(tx).route(stalls).route(small);
    let (addr, _) = start(app.limits(Limits::new().send_timeout(SHORT))).await;
    let mut builder = h2::client::Builder::new();
    builder.initial_connection_window_size(1 << 24);
    let (mut send, driver) = http2(addr, &builder).await;
    let stalled = soon("the head", http2_request(&mut send, "GET", "/stalls").await).await;
    let delivery = soon("the task", deliveries.recv()).await;
    assert_eq!(delivery, Some(Delivery::Aborted { bytes: 65_535 }));
    let response = soon("another", http2_request(&mut send, "GET", "/small").await).await;
    assert_eq!(response.expect("the connection lives").status(), 200);
    drop(stalled);
    driver.abort();
}

/// A response of HTTP/2 that nobody asks about is aborted too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stalled_response_without_a_task_is_aborted_on_http2() {
    #[route("/")]
    async fn index(_req: &mut Request, res: &mut Response) {
        res.bytes(vec![b'x'; 1024 * 1024]);
    }

    let (addr, _) = start(
        App::new()
            .route(index)
            .limits(Limits::new().send_timeout(SHORT)),
    )
    .await;
    let mut builder = h2::client::Builder::new();
    builder.initial_window_size(1000);
    let (mut send, driver) = http2(addr, &builder).await;
    let response = soon("the head", http2_request(&mut send, "GET", "/").await).await;
    let mut body = response.expect("a response").into_body();
    let reset = soon("the reset", async {
        loop {
            match body.data().await {
                Some(Ok(_)) => {}
                ended => return ended,
            }
        }
    });
    assert!(reset.await.is_some_and(|data| data.is_err()));
    driver.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn quiet_websocket_lives() {
    #[route("/")]
    async fn index(req: &mut Request, res: &mut Response) {
        let upgrade = req
            .extensions()
            .get::<hyper::upgrade::OnUpgrade>()
            .expect("asked")
            .clone();
        tokio::spawn(async move {
            let upgraded = upgrade.await.expect("the 101 is sent");
            let mut io = hyper_util::rt::TokioIo::new(upgraded);
            // Longer than any limit.
            tokio::time::sleep(SHORT * 3).await;
            io.write_all(b"late").await.expect("the client reads");
        });
        res.header("connection", "upgrade");
        res.header("upgrade", "echo");
        res.status(101);
    }

    let limits = Limits::new()
        .header_timeout(SHORT / 2)
        .send_timeout(SHORT / 2);
    let (addr, _) = start(App::new().route(index).limits(limits)).await;
    let mut http1 = Http1::connect(addr).await;
    http1
        .send("GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n")
        .await;
    assert!(http1.rest().await.ends_with(b"late"));
}

/// It kept its place among the connections for ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_connection_of_http2_is_closed_in_the_end() {
    #[route("/")]
    async fn index(_req: &mut Request, res: &mut Response) {
        res.text("hello");
    }

    let limits = Limits::new().header_timeout(SHORT / 6);
    let (addr, _) = start(App::new().route(index).limits(limits)).await;
    let (mut send, driver) = http2(addr, &h2::client::Builder::new()).await;
    let response = soon("a response", http2_request(&mut send, "GET", "/").await).await;
    assert_eq!(response.expect("one").status(), 200);
    soon("the end of the connection", driver)
        .await
        .expect("no panic");
}

/// hyper sends a 500 of its own in place of such a response, which was reported as sent.
#[tokio::test]
async fn status_that_hyper_refuses_is_not_reported_as_sent() {
    let (tx, mut deliveries) = mpsc::unbounded_channel();
    let service = ServiceFn(move |request: http::Request<Body>| {
        let tx = tx.clone();
        async move {
            let res = request
                .extensions()
                .get::<Background>()
                .expect("given")
                .clone();
            res.background(async move {
                let _ = tx.send(background::current().delivery());
            });
            let mut response = http::Response::new(Body::empty());
            *response.status_mut() = http::StatusCode::EARLY_HINTS;
            Ok(response)
        }
    });
    let (listener, addr) = listen().await;
    tokio::spawn(bocadillo::serve(listener, service).into_future());
    assert_eq!(
        Http1::connect(addr)
            .await
            .request("GET", "/")
            .await
            .status(),
        500
    );
    let delivery = soon("the task", deliveries.recv()).await;
    assert_eq!(delivery, Some(Delivery::Aborted { bytes: 0 }));
}
