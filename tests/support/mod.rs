//! Starts apps on real sockets, and talks to them.

#![allow(dead_code, reason = "not every test needs all of it")]
#![allow(unreachable_pub, reason = "a test has no outside")]

pub mod counts;
pub mod doors;

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use bocadillo::{App, Listener};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf},
    net::{TcpListener, TcpStream},
    time::timeout,
};

/// Far longer than anything takes.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Awaits, but not for ever.
pub async fn soon<F: Future>(what: &str, future: F) -> F::Output {
    match timeout(PATIENCE, future).await {
        Ok(output) => output,
        Err(_) => panic!("{what} did not happen within {PATIENCE:?}"),
    }
}

/// Serves the app on a port of its own; returns its address, and how many bytes the kernel took.
pub async fn start(app: App) -> (SocketAddr, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let addr = listener.local_addr().expect("an address");
    let accepted = Arc::new(AtomicU64::new(0));
    let listener = Counting::new(listener, Arc::clone(&accepted));
    tokio::spawn(async move { app.serve_with(listener).await.expect("the app serves") });
    (addr, accepted)
}

/// A listener whose connections count what the kernel accepts.
pub struct Counting {
    listener: TcpListener,
    accepted: Arc<AtomicU64>,
}

impl Counting {
    pub fn new(listener: TcpListener, accepted: Arc<AtomicU64>) -> Self {
        Self { listener, accepted }
    }
}

impl Listener for Counting {
    type Io = CountingStream;

    async fn accept(&mut self) -> io::Result<(CountingStream, Option<SocketAddr>)> {
        let (stream, addr) = Listener::accept(&mut self.listener).await?;
        Ok((
            CountingStream {
                stream,
                accepted: Arc::clone(&self.accepted),
            },
            addr,
        ))
    }
}

pub struct CountingStream {
    stream: TcpStream,
    accepted: Arc<AtomicU64>,
}

type Polled<T> = std::task::Poll<io::Result<T>>;
type Cx<'a, 'b> = &'a mut std::task::Context<'b>;
type Me<'a> = std::pin::Pin<&'a mut CountingStream>;

impl CountingStream {
    fn count(&self, polled: Polled<usize>) -> Polled<usize> {
        if let std::task::Poll::Ready(Ok(bytes)) = &polled {
            self.accepted.fetch_add(*bytes as u64, SeqCst);
        }
        polled
    }
}

impl AsyncRead for CountingStream {
    fn poll_read(mut self: Me<'_>, cx: Cx<'_, '_>, buf: &mut ReadBuf<'_>) -> Polled<()> {
        std::pin::Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for CountingStream {
    fn poll_write(mut self: Me<'_>, cx: Cx<'_, '_>, buf: &[u8]) -> Polled<usize> {
        let polled = std::pin::Pin::new(&mut self.stream).poll_write(cx, buf);
        self.count(polled)
    }

    fn poll_write_vectored(
        mut self: Me<'_>,
        cx: Cx<'_, '_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Polled<usize> {
        let polled = std::pin::Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.count(polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Me<'_>, cx: Cx<'_, '_>) -> Polled<()> {
        std::pin::Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Me<'_>, cx: Cx<'_, '_>) -> Polled<()> {
        std::pin::Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// An HTTP/1 connection, spoken by hand.
pub struct Http1 {
    pub stream: TcpStream,
    unread: Vec<u8>,
}

impl Http1 {
    pub async fn connect(addr: SocketAddr) -> Self {
        let stream = TcpStream::connect(addr).await.expect("the server accepts");
        Self::over(stream)
    }

    pub fn over(stream: TcpStream) -> Self {
        Self {
            stream,
            unread: Vec::new(),
        }
    }

    pub async fn send(&mut self, text: &str) {
        self.stream
            .write_all(text.as_bytes())
            .await
            .expect("the server reads");
    }

    /// Sends a request without a body, and reads its response.
    pub async fn request(&mut self, method: &str, path: &str) -> Reply {
        self.send(&format!("{method} {path} HTTP/1.1\r\nhost: a\r\n\r\n"))
            .await;
        self.reply(method == "HEAD").await
    }

    /// Reads one response with a content-length, or none for `HEAD`.
    pub async fn reply(&mut self, is_head: bool) -> Reply {
        soon("the response", async {
            let end = loop {
                if let Some(end) = find(&self.unread, b"\r\n\r\n") {
                    break end + 4;
                }
                assert!(self.fill().await, "closed within a head: {:?}", self.unread);
            };
            let head = String::from_utf8(self.unread.drain(..end).collect()).expect("text");
            let head = head.to_lowercase();
            let length = head
                .split("content-length: ")
                .nth(1)
                .and_then(|rest| rest.split('\r').next());
            let mut length = length.map_or(0, |length| length.parse().expect("a number"));
            if is_head {
                length = 0;
            }
            while self.unread.len() < length {
                assert!(self.fill().await, "closed within a body");
            }
            let body = String::from_utf8_lossy(&self.unread[..length]).into_owned();
            self.unread.drain(..length);
            Reply { head, body }
        })
        .await
    }

    /// Reads until the server closes.
    pub async fn rest(&mut self) -> Vec<u8> {
        soon("the end", async {
            while self.fill().await {}
            std::mem::take(&mut self.unread)
        })
        .await
    }

    /// Reads what comes next of a response that has no end.
    pub async fn some(&mut self) -> Vec<u8> {
        assert!(self.fill().await, "closed within a response");
        std::mem::take(&mut self.unread)
    }

    /// Reads a chunked response to its end.
    pub async fn rest_of_chunks(&mut self) {
        soon("the last chunk", async {
            while find(&self.unread, b"0\r\n\r\n").is_none() {
                assert!(self.fill().await, "closed within a body");
            }
        })
        .await;
    }

    async fn fill(&mut self) -> bool {
        let mut buffer = [0; 16 * 1024];
        let bytes = self.stream.read(&mut buffer).await.unwrap_or(0);
        self.unread.extend_from_slice(&buffer[..bytes]);
        bytes > 0
    }
}

pub fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

#[derive(Debug)]
pub struct Reply {
    /// In lower case.
    pub head: String,
    pub body: String,
}

impl Reply {
    pub fn status(&self) -> u16 {
        self.head[9..12].parse().expect("a status")
    }

    pub fn has(&self, header: &str) -> bool {
        self.head.contains(&format!("\r\n{header}"))
    }
}

/// Connects by HTTP/2; the connection is driven by a task, which is returned.
pub async fn http2(
    addr: SocketAddr,
    builder: &h2::client::Builder,
) -> (
    h2::client::SendRequest<bytes::Bytes>,
    tokio::task::JoinHandle<()>,
) {
    let stream = TcpStream::connect(addr).await.expect("the server accepts");
    let (send, connection) = builder.handshake(stream).await.expect("a handshake");
    let driver = tokio::spawn(async move {
        let _ = connection.await;
    });
    (send, driver)
}

/// Sends a request without a body by HTTP/2.
pub async fn http2_request(
    send: &mut h2::client::SendRequest<bytes::Bytes>,
    method: &str,
    path: &str,
) -> h2::client::ResponseFuture {
    let ready = soon("the connection", send.clone().ready()).await;
    *send = ready.expect("the connection lives");
    let uri = format!("http://a{path}");
    let request = http::Request::builder()
        .method(method)
        .uri(uri)
        .body(())
        .expect("a request");
    send.send_request(request, true)
        .expect("the request is sent")
        .0
}

/// A stream of nothing, which ends when it is notified.
pub fn gated(
    gate: Arc<tokio::sync::Notify>,
) -> impl futures_core::Stream<Item = io::Result<&'static str>> + Send {
    struct Gated<F>(std::pin::Pin<Box<F>>);
    impl<F: Future<Output = ()>> futures_core::Stream for Gated<F> {
        type Item = io::Result<&'static str>;
        fn poll_next(
            mut self: std::pin::Pin<&mut Self>,
            cx: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Self::Item>> {
            self.0.as_mut().poll(cx).map(|()| None)
        }
    }
    Gated(Box::pin(async move { gate.notified().await }))
}

/// A service that calls the one within again if its first answer is a server's error.
#[derive(Clone)]
pub struct Twice(pub bocadillo::BoxedService);

impl tower_service::Service<http::Request<bocadillo::Body>> for Twice {
    type Response = http::Response<bocadillo::Body>;
    type Error = std::convert::Infallible;
    type Future = std::pin::Pin<
        Box<dyn Future<Output = Result<Self::Response, std::convert::Infallible>> + Send>,
    >;

    fn poll_ready(
        &mut self,
        _cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), Self::Error>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, req: http::Request<bocadillo::Body>) -> Self::Future {
        let mut inner = self.0.clone();
        let (head, _) = req.into_parts();
        let again = http::Request::from_parts(head.clone(), bocadillo::Body::empty());
        Box::pin(async move {
            let first = http::Request::from_parts(head, bocadillo::Body::empty());
            let first = inner.call(first).await?;
            if !first.status().is_server_error() {
                return Ok(first);
            }
            inner.call(again).await
        })
    }
}

/// What functions on threads wait for.
#[derive(Default)]
pub struct Gate(std::sync::Mutex<bool>, std::sync::Condvar);

impl Gate {
    pub fn wait(&self) {
        let is_open = self.0.lock().expect("no panic");
        let opened = self.1.wait_while(is_open, |is_open| !*is_open);
        drop(opened.expect("no panic"));
    }

    pub fn open(&self) {
        *self.0.lock().expect("no panic") = true;
        self.1.notify_all();
    }
}
