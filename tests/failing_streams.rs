//! A response's body that fails half-way: what it had yielded arrives, then the response is cut off, and
//! the log says whose it was.

mod support;

use std::{
    io::{self, Write},
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use bocadillo::{App, Body, Event, Request, Response, background, sent::Delivery, testing::Client};
use bytes::Bytes;
use futures_core::Stream;
use support::{Http1, http2, http2_request, soon, start};
use tokio::sync::mpsc;
use tracing::subscriber::DefaultGuard;

/// How a stream ends.
#[derive(Clone, Copy, Debug)]
enum End {
    Error,
    Panic,
    /// As it should, but its drop panics.
    Drop,
}

/// Yields so many chunks, all of them at once, and then ends in its way.
struct Chunks {
    left: usize,
    chunk: Bytes,
    end: End,
}

impl Stream for Chunks {
    type Item = Result<Bytes, io::Error>;

    fn poll_next(mut self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.left > 0 {
            self.left -= 1;
            return Poll::Ready(Some(Ok(self.chunk.clone())));
        }
        match self.end {
            End::Error => Poll::Ready(Some(Err(io::Error::other("the source is gone")))),
            End::Panic => panic!("in the middle"),
            End::Drop => Poll::Ready(None),
        }
    }
}

impl Drop for Chunks {
    fn drop(&mut self) {
        assert!(!matches!(self.end, End::Drop), "when it was dropped");
    }
}

fn chunks(req: &Request) -> Chunks {
    let end = match req.query_param("end").as_deref() {
        Some("error") => End::Error,
        Some("panic") => End::Panic,
        _ => End::Drop,
    };
    let size = req
        .query_param("size")
        .map_or(3, |it| it.parse().expect("a number"));
    let left = req
        .query_param("chunks")
        .map_or(2, |it| it.parse().expect("a number"));
    let chunk = Bytes::from(vec![b'x'; size]);
    Chunks { left, chunk, end }
}

type Deliveries = mpsc::UnboundedSender<Delivery>;

fn tell(req: &Request, res: &mut Response) {
    let deliveries = req.state::<Deliveries>().expect("it is there").clone();
    res.background(async move {
        let delivery = background::current().delivery();
        let _ = deliveries.send(delivery);
    });
}

async fn view_of_a_stream(req: &mut Request, res: &mut Response) {
    tell(req, res);
    res.stream(chunks(req));
}

async fn view_of_a_body(req: &mut Request, res: &mut Response) {
    tell(req, res);
    res.body(Body::from_stream(chunks(req)));
}

async fn view_of_events(req: &mut Request, res: &mut Response) {
    struct Events(Chunks);

    impl Stream for Events {
        type Item = Result<Event, io::Error>;

        fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
            let next = Pin::new(&mut self.0).poll_next(cx);
            // `: `, and two line breaks: as long as a chunk, and 4 more.
            next.map(|it| it.map(|it| it.map(|it| Event::comment(String::from_utf8_lossy(&it)))))
        }
    }

    tell(req, res);
    res.event_stream(Events(chunks(req)));
}

async fn view_that_fails_too(req: &mut Request, res: &mut Response) -> bocadillo::Result<()> {
    res.stream(chunks(req));
    Err(bocadillo::HttpError::new(409).into())
}

/// The log, as text.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn begin() -> (Self, DefaultGuard) {
        let log = Self::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish();
        (log, tracing::subscriber::set_default(subscriber))
    }

    fn take(&self) -> String {
        let bytes = std::mem::take(&mut *self.0.lock().expect("no panic"));
        String::from_utf8(bytes).expect("text")
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no panic").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn app() -> (App, mpsc::UnboundedReceiver<Delivery>) {
    let (tx, deliveries) = mpsc::unbounded_channel();
    let app = App::new()
        .add("/stream", &["get", "head"], view_of_a_stream)
        .add("/body", &["get"], view_of_a_body)
        .add("/events", &["get"], view_of_events)
        .add("/fails", &["get"], view_that_fails_too)
        .state::<Deliveries>(tx);
    (app, deliveries)
}

/// The content, as far as it came, and whether that was said to be the whole.
async fn by_http1(addr: SocketAddr, path: &str) -> (usize, bool) {
    let mut client = Http1::connect(addr).await;
    client
        .send(&format!(
            "GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"
        ))
        .await;
    let all = client.rest().await;
    let end = support::find(&all, b"\r\n\r\n").expect("a head") + 4;
    let mut rest = &all[end..];
    let mut content = 0;
    loop {
        let Some(line) = support::find(rest, b"\r\n") else {
            return (content, false);
        };
        let size = std::str::from_utf8(&rest[..line]).expect("text");
        let size = usize::from_str_radix(size, 16).expect("a size");
        if size == 0 {
            return (content, true);
        }
        rest = &rest[line + 2..];
        let come = size.min(rest.len());
        content += come;
        rest = rest.get(size + 2..).unwrap_or_default();
        if come < size {
            return (content, false);
        }
    }
}

async fn by_http2(addr: SocketAddr, path: &str) -> (usize, bool) {
    let (mut send, _driver) = http2(addr, &h2::client::Builder::new()).await;
    let response = http2_request(&mut send, "GET", path).await;
    let response = soon("the head", response).await.expect("a head");
    let mut body = response.into_body();
    let mut content = 0;
    while let Some(data) = soon("the body", body.data()).await {
        let Ok(data) = data else {
            return (content, false);
        };
        content += data.len();
        let _ = body.flow_control().release_capacity(data.len());
    }
    (content, true)
}

async fn what_was_yielded_arrives(path: &str, chunk: usize) {
    let (log, _guard) = Log::begin();
    let (app, mut deliveries) = app();
    let (addr, _) = start(app).await;
    let view = match path {
        "/stream" => "view_of_a_stream",
        "/body" => "view_of_a_body",
        _ => "view_of_events",
    };
    let extra = if path == "/events" { 4 } else { 0 };
    // The last is far more than any buffer holds.
    for (size, count) in [(3, 1), (chunk, 2), (chunk, 64)] {
        for end in ["error", "panic", "drop"] {
            let path = format!("{path}?end={end}&size={size}&chunks={count}");
            for protocol in [1, 2] {
                let (content, is_whole) = match protocol {
                    1 => by_http1(addr, &path).await,
                    _ => by_http2(addr, &path).await,
                };
                let what = format!("{path} by HTTP/{protocol}");
                assert_eq!(content, count * (size + extra), "{what}");
                assert_eq!(is_whole, end == "drop", "{what}");
                let delivery = soon("the task", deliveries.recv()).await;
                let is_sent = delivery.expect("it is told").is_sent();
                assert_eq!(is_sent, end == "drop", "{what}");
                let log = log.take();
                let words = match end {
                    "error" => "the source is gone",
                    "panic" => "panicked: in the middle",
                    _ => "when it was dropped",
                };
                assert!(log.contains(words), "{what}: {log}");
                assert!(log.contains(&format!("view=\"{view}\"")), "{what}: {log}");
                assert_eq!(log.matches("body of the response").count(), 1, "{log}");
            }
        }
    }
}

#[tokio::test]
async fn what_a_stream_has_yielded_arrives() {
    what_was_yielded_arrives("/stream", 64 * 1024).await;
}

#[tokio::test]
async fn what_a_body_of_ones_own_has_yielded_arrives() {
    what_was_yielded_arrives("/body", 64 * 1024).await;
}

#[tokio::test]
async fn what_a_stream_of_events_has_yielded_arrives() {
    what_was_yielded_arrives("/events", 16 * 1024).await;
}

#[tokio::test]
async fn a_failing_stream_beneath_a_prefix_and_in_a_layer_is_cut_too() {
    let (inner, mut deliveries) = app();
    let inner = inner.layer(tower_layer::layer_fn(|inner| inner));
    let (addr, _) = start(App::new().mount("/in", inner.into_service())).await;
    for end in ["error", "panic", "drop"] {
        let path = format!("/in/stream?end={end}&size=65536&chunks=64");
        for (content, is_whole) in [by_http1(addr, &path).await, by_http2(addr, &path).await] {
            assert_eq!((content, is_whole), (64 * 65536, end == "drop"), "{end}");
            let delivery = soon("the task", deliveries.recv()).await;
            assert_eq!(
                delivery.expect("it is told").is_sent(),
                end == "drop",
                "{end}"
            );
        }
    }
}

/// Whoever the stream is dropped for: an error in its place, or a HEAD.
#[tokio::test]
async fn a_drop_that_panics_costs_no_other_response() {
    let (log, _guard) = Log::begin();
    let (app, _deliveries) = app();
    let (addr, _) = start(app).await;
    let mut client = Http1::connect(addr).await;
    assert_eq!(client.request("GET", "/fails?end=drop").await.status(), 409);
    assert!(log.take().contains("when it was dropped"));
    assert_eq!(
        client.request("HEAD", "/stream?end=drop").await.status(),
        200
    );
    assert!(log.take().contains("when it was dropped"));
    assert_eq!(client.request("GET", "/none").await.status(), 404);
    let (mut send, _driver) = http2(addr, &h2::client::Builder::new()).await;
    for (method, path, status) in [
        ("GET", "/fails?end=drop", 409),
        ("HEAD", "/stream?end=drop", 200),
    ] {
        let response = http2_request(&mut send, method, path).await;
        let response = soon("the head", response).await.expect("a head");
        assert_eq!(response.status(), status);
    }
}

/// A layer that keeps the chunks until it has seen the end waits for nobody who waits for it.
#[tokio::test]
async fn who_collects_a_failing_stream_gets_its_error() {
    let (app, _deliveries) = app();
    let client = Client::new(app);
    let response = soon("the error", client.get("/stream?end=error").into_future()).await;
    assert!(response.body().is_err());
}
