//! Uploads that a task reads after the response, and uploads that nobody reads beside others.

mod support;

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use bocadillo::{App, Limits, Listener, Request, Response, route};
use bytes::Bytes;
use support::{Http1, http2, soon, start};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{Notify, mpsc},
};

type Read = Result<usize, String>;

/// A task reads what the client sends, to its end.
#[route("/read", methods = ["post"])]
async fn read(req: &mut Request, res: &mut Response) -> bocadillo::Result<()> {
    let read = req.state::<mpsc::UnboundedSender<Read>>()?.clone();
    let mut upload = req.stream();
    res.background(async move {
        let mut length = 0;
        let end = loop {
            match upload.chunk().await {
                Ok(Some(chunk)) => length += chunk.len(),
                Ok(None) => break Ok(length),
                Err(error) => break Err(error.to_string()),
            }
        };
        let _ = read.send(end);
    });
    res.text("later");
    Ok(())
}

fn reading() -> (App, mpsc::UnboundedReceiver<Read>) {
    let (tx, rx) = mpsc::unbounded_channel::<Read>();
    let inner = App::new().route(read).state(tx.clone()).into_service();
    let app = App::new().route(read).mount("/in", inner).state(tx);
    (
        app.limits(Limits::new().body_timeout(Duration::from_secs(600))),
        rx,
    )
}

/// As hyper holds the sender, the end came with the next request, or as an error with the end of the
/// connection; or not within the time that a body has.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn task_sees_the_end_of_an_upload_with_a_length_on_http1() {
    let (app, mut ends) = reading();
    let (addr, _) = start(app).await;
    for path in ["/read", "/in/read"] {
        for length in [1, 10, 100_000, 3_000_000] {
            let mut client = Http1::connect(addr).await;
            let head =
                format!("POST {path} HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n\r\n");
            client.send(&head).await;
            // The response comes before the upload.
            assert_eq!(client.reply(false).await.status(), 200);
            client.send(&"x".repeat(length)).await;
            let end = soon("the end", ends.recv()).await.expect("the task");
            assert_eq!(end, Ok(length), "{path}");
            // The connection goes on.
            client.send(&head).await;
            assert_eq!(client.reply(false).await.status(), 200);
            client.send(&"x".repeat(length)).await;
            let end = soon("the end", ends.recv()).await.expect("the task");
            assert_eq!(end, Ok(length), "{path}, again");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn task_sees_the_end_of_a_chunked_upload_on_http1() {
    let (app, mut ends) = reading();
    let (addr, _) = start(app).await;
    for parts in [
        &["3\r\nabc\r\n0\r\n\r\n"][..],
        &["3\r\nabc\r\n", "0\r\n\r\n"],
    ] {
        let mut client = Http1::connect(addr).await;
        client
            .send("POST /read HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n")
            .await;
        assert_eq!(client.reply(false).await.status(), 200);
        for part in parts {
            client.send(part).await;
        }
        let end = soon("the end", ends.recv()).await.expect("the task");
        assert_eq!(end, Ok(3), "{parts:?}");
        drop(client);
    }
}

/// What was cut off is an error all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn task_sees_that_an_upload_was_cut_on_http1() {
    let (app, mut ends) = reading();
    let (addr, _) = start(app).await;
    for head in ["content-length: 5", "transfer-encoding: chunked"] {
        let mut client = Http1::connect(addr).await;
        client
            .send(&format!(
                "POST /read HTTP/1.1\r\nhost: a\r\n{head}\r\n\r\n4"
            ))
            .await;
        assert_eq!(client.reply(false).await.status(), 200);
        drop(client);
        let end = soon("the end", ends.recv()).await.expect("the task");
        assert!(end.is_err(), "{end:?} by {head}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn task_sees_the_end_of_an_upload_on_http2() {
    let (app, mut ends) = reading();
    let (addr, _) = start(app).await;
    let (send, driver) = http2(addr, &h2::client::Builder::new()).await;
    for length in [Some(3), None] {
        let mut send = soon("the connection", send.clone().ready())
            .await
            .expect("it lives");
        let mut request = http::Request::post("http://a/read");
        if let Some(length) = length {
            request = request.header("content-length", length);
        }
        let request = request.body(()).expect("a request");
        let (response, mut upload) = send.send_request(request, false).expect("it is sent");
        let response = soon("the response", response).await.expect("one");
        let _body = response.into_body();
        upload
            .send_data(Bytes::from_static(b"abc"), true)
            .expect("it is sent");
        let end = soon("the end", ends.recv()).await.expect("the task");
        assert_eq!(end, Ok(3), "{length:?}");
    }
    driver.abort();
}

/// A socket whose writes wait until they may go on.
struct Gated {
    stream: TcpStream,
    gate: Arc<WriteGate>,
}

#[derive(Default)]
struct WriteGate {
    is_open: AtomicBool,
    waker: Mutex<Option<Waker>>,
    has_blocked: AtomicBool,
    read: AtomicUsize,
}

impl WriteGate {
    fn open(&self) {
        self.is_open.store(true, SeqCst);
        let waker = self.waker.lock().expect("no panic").take();
        waker.expect("a write waits").wake();
    }
}

impl AsyncRead for Gated {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        self.gate
            .read
            .fetch_add(buf.filled().len() - before, SeqCst);
        polled
    }
}

impl AsyncWrite for Gated {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        *self.gate.waker.lock().expect("no panic") = Some(cx.waker().clone());
        if !self.gate.is_open.load(SeqCst) {
            self.gate.has_blocked.store(true, SeqCst);
            return Poll::Pending;
        }
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    /// Only then hyper keeps the body apart from the head, and cannot write the next head before.
    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let all: Vec<u8> = bufs.iter().flat_map(|buf| buf.to_vec()).collect();
        self.poll_write(cx, &all)
    }
}

struct GatedListener(TcpListener, Arc<WriteGate>);

impl Listener for GatedListener {
    type Io = Gated;

    async fn accept(&mut self) -> io::Result<(Gated, Option<SocketAddr>)> {
        let (stream, addr) = Listener::accept(&mut self.0).await?;
        let gate = Arc::clone(&self.1);
        Ok((Gated { stream, gate }, addr))
    }
}

async fn until(what: &str, is_so: impl Fn() -> bool) {
    soon(what, async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
}

/// hyper calls the service for the second request while the first response waits to be written, and
/// forgets what it was given then.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn request_behind_an_unread_upload_and_a_slow_write_is_answered() {
    #[route("/first", methods = ["post"])]
    async fn first(req: &mut Request, res: &mut Response) {
        // Kept, and never read.
        let upload = req.stream();
        res.background(async move {
            std::future::pending::<()>().await;
            drop(upload);
        });
        res.text("first");
    }

    #[route("/second")]
    async fn second(_req: &mut Request, res: &mut Response) {
        res.text("second");
    }

    let gate = Arc::new(WriteGate::default());
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let addr = listener.local_addr().expect("an address");
    let app = App::new().route(first).route(second);
    tokio::spawn(app.serve_with(GatedListener(listener, Arc::clone(&gate))));
    let mut client = Http1::connect(addr).await;
    let head = "POST /first HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\n";
    client.send(head).await;
    until("a write", || gate.has_blocked.load(SeqCst)).await;
    let rest = "0123456789GET /second HTTP/1.1\r\nhost: a\r\n\r\n";
    client.send(rest).await;
    let length = head.len() + rest.len();
    until("the read", || gate.read.load(SeqCst) == length).await;
    gate.open();
    assert_eq!(client.reply(false).await.body, "first");
    assert_eq!(client.reply(false).await.body, "second");
}

/// The same with a response that is longer than what hyper copies.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn request_behind_an_unread_upload_and_a_slow_reader_is_answered() {
    #[route("/large", methods = ["post"])]
    async fn large(req: &mut Request, res: &mut Response) {
        // Kept, and never read.
        let upload = req.stream();
        res.background(async move {
            std::future::pending::<()>().await;
            drop(upload);
        });
        res.bytes(vec![b'x'; 8 << 20]);
    }

    #[route("/small")]
    async fn small(_req: &mut Request, res: &mut Response) {
        res.text("small");
    }

    for _ in 0..5 {
        let (addr, _) = start(App::new().route(large).route(small)).await;
        let mut client = Http1::connect(addr).await;
        client
            .send("POST /large HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\n")
            .await;
        // The server has begun to write, and cannot write more.
        client.stream.readable().await.expect("a response");
        tokio::time::sleep(Duration::from_millis(50)).await;
        client
            .send("0123456789GET /small HTTP/1.1\r\nhost: a\r\n\r\n")
            .await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(client.reply(false).await.body.len(), 8 << 20);
        assert_eq!(client.reply(false).await.body, "small");
    }
}

/// Does not read its upload.
#[route("/unread", methods = ["post"])]
async fn unread(req: &mut Request, res: &mut Response) -> bocadillo::Result<()> {
    let (entered, gate) = req.state::<(Arc<AtomicUsize>, Arc<Notify>)>()?.clone();
    entered.fetch_add(1, SeqCst);
    gate.notified().await;
    res.text(req.body().await?.len().to_string());
    Ok(())
}

#[route("/count", methods = ["post"])]
async fn count(req: &mut Request, res: &mut Response) -> bocadillo::Result<()> {
    res.text(req.body().await?.len().to_string());
    Ok(())
}

/// Sends an upload as fast as the window lets it.
struct Sending {
    stream: h2::SendStream<Bytes>,
    left: usize,
}

impl Future for Sending {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        while self.left > 0 {
            let left = self.left;
            self.stream.reserve_capacity(left);
            match self.stream.poll_capacity(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Some(Ok(capacity))) => {
                    self.left -= capacity;
                    let is_last = self.left == 0;
                    let data = Bytes::from(vec![b'x'; capacity]);
                    self.stream.send_data(data, is_last).expect("it is sent");
                }
                Poll::Ready(_) => return Poll::Ready(()),
            }
        }
        Poll::Ready(())
    }
}

async fn upload(
    send: &h2::client::SendRequest<Bytes>,
    path: &str,
    length: usize,
) -> h2::client::ResponseFuture {
    let mut send = soon("the connection", send.clone().ready())
        .await
        .expect("it lives");
    let request = http::Request::post(format!("http://a{path}")).body(());
    let request = request.expect("a request");
    let (response, stream) = send.send_request(request, false).expect("it is sent");
    tokio::spawn(Sending {
        stream,
        left: length,
    });
    response
}

/// Each took the whole connection's window, and stopped all others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn uploads_that_nobody_reads_do_not_stop_another_on_http2() {
    const UNREAD: usize = 150;
    let state = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
    let app = App::new()
        .route(unread)
        .route(count)
        .state(state.clone())
        .limits(
            Limits::new()
                .body(usize::MAX)
                .body_timeout(support::PATIENCE),
        );
    let (addr, _) = start(app).await;
    let mut builder = h2::client::Builder::new();
    builder.max_send_buffer_size(4 << 20);
    let (send, driver) = http2(addr, &builder).await;
    let mut waiting = Vec::new();
    for _ in 0..UNREAD {
        waiting.push(upload(&send, "/unread", 2 << 20).await);
    }
    until("the views", || state.0.load(SeqCst) == UNREAD).await;
    let response = soon("the small one", upload(&send, "/count", 100).await)
        .await
        .expect("one");
    assert_eq!(response.status(), 200);
    // And those that waited lose nothing.
    state.1.notify_one();
    drop(waiting);
    driver.abort();
}
