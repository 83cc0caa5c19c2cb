//! `sent` beneath hyper, as somebody else would use it.

mod support;

use std::{convert::Infallible, sync::mpsc, time::Duration};

use bocadillo::sent::{Connection, Delivery, Streams, TrackedIo};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto::Builder,
};
use support::{PATIENCE, soon};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// How a server may use it.
#[derive(Clone, Copy, Debug)]
struct Use {
    drives: bool,
    has_streams: bool,
}

/// Answers each request with 10 KiB; what is told of it drops the upload.
async fn serve(io: tokio::io::DuplexStream, how: Use, told: mpsc::Sender<Delivery>) {
    let (io, connection) = TrackedIo::new(io);
    let tracking = connection.clone();
    let service = service_fn(move |request: http::Request<Incoming>| {
        let response = respond(&tracking, request, told.clone());
        std::future::ready(Ok::<_, Infallible>(response))
    });
    let io = TokioIo::new(io);
    macro_rules! run {
        ($executor:expr) => {{
            let builder = Builder::new($executor);
            let served = builder.serve_connection(io, service);
            if how.drives {
                let _ = connection.drive(served).await;
            } else {
                let _ = served.await;
            }
        }};
    }
    if how.has_streams {
        run!(Streams::new());
    } else {
        run!(TokioExecutor::new());
    }
}

fn respond(
    connection: &Connection,
    request: http::Request<Incoming>,
    told: mpsc::Sender<Delivery>,
) -> http::Response<bocadillo::sent::SentBody<Full<Bytes>>> {
    let version = request.version();
    let upload = request.into_body();
    let body = Full::new(Bytes::from(vec![b'x'; 10 * 1024]));
    connection.track(http::Response::new(body), version, move |delivery| {
        // Takes a lock of the connection.
        drop(upload);
        let _ = told.send(delivery);
    })
}

/// The client takes one byte, and resets the stream: h2 drops the rest under its lock.
async fn reset_a_stream(io: tokio::io::DuplexStream) {
    let handshake = h2::client::Builder::new()
        .initial_window_size(1)
        .handshake::<_, Bytes>(io);
    let (mut send, connection) = handshake.await.expect("a handshake");
    tokio::spawn(async move {
        let _ = connection.await;
    });
    let request = http::Request::post("http://a/").body(()).expect("one");
    let (response, mut upload) = send.send_request(request, false).expect("sent");
    let mut response = soon("a head", response).await.expect("one");
    let first = soon("a byte", response.body_mut().data()).await;
    assert_eq!(first.expect("one").expect("one").len(), 1);
    upload.send_reset(h2::Reason::CANCEL);
    // The connection goes on.
    let mut ping = soon("the connection", send.ready())
        .await
        .expect("it lives");
    let request = http::Request::get("http://a/").body(()).expect("one");
    let (response, _) = ping.send_request(request, true).expect("sent");
    let response = soon("the next head", response).await.expect("one");
    assert_eq!(response.status(), 200);
}

fn check_that_reports_hold_no_lock(how: Use) {
    let (told, deliveries) = mpsc::channel();
    // A thread that is stuck cannot be waited for.
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build();
        runtime.expect("a runtime").block_on(async {
            let (client, server) = tokio::io::duplex(64 * 1024);
            tokio::spawn(serve(server, how, told));
            reset_a_stream(client).await;
            std::future::pending::<()>().await;
        });
    });
    let delivery = deliveries.recv_timeout(PATIENCE);
    let delivery = delivery.unwrap_or_else(|_| panic!("{how:?}: the connection is stuck"));
    assert!(matches!(delivery, Delivery::Aborted { .. }), "{how:?}");
}

#[test]
fn reports_hold_no_lock_of_h2_however_it_is_used() {
    for drives in [true, false] {
        for has_streams in [true, false] {
            check_that_reports_hold_no_lock(Use {
                drives,
                has_streams,
            });
        }
    }
}

/// hyper refuses the head, drops the body, and flushes what there is: nothing, or what came before.
async fn refuse_a_head(request: &str) -> (String, Vec<Delivery>) {
    let (mut client, io) = tokio::io::duplex(64 * 1024);
    let (io, connection) = TrackedIo::new(io);
    let (told, deliveries) = mpsc::channel();
    let tracking = connection.clone();
    let service = service_fn(move |request: http::Request<Incoming>| {
        let (connection, told) = (tracking.clone(), told.clone());
        async move {
            let version = request.version();
            let path = request.uri().path().to_owned();
            let _ = request.into_body().collect().await;
            let body = StreamBody::new(Once(Some("hello")));
            let mut response = connection.track(http::Response::new(body), version, move |it| {
                let _ = told.send(it);
            });
            if path == "/refused" {
                let headers = response.headers_mut();
                // Behind its back: it would remove the first.
                headers.insert(
                    "transfer-encoding",
                    http::HeaderValue::from_static("chunked"),
                );
                headers.insert("content-length", 5.into());
            }
            Ok::<_, Infallible>(response)
        }
    });
    let server = tokio::spawn(async move {
        let builder = Builder::new(Streams::new());
        let served = builder.serve_connection(TokioIo::new(io), service);
        let _ = connection.drive(served).await;
    });
    client.write_all(request.as_bytes()).await.expect("read");
    let mut all = Vec::new();
    let reading = tokio::time::timeout(Duration::from_secs(20), client.read_to_end(&mut all));
    reading.await.expect("the server closes").expect("an end");
    server.await.expect("no panic");
    let all = String::from_utf8(all).expect("text");
    (all, deliveries.try_iter().collect())
}

/// A stream of one chunk.
struct Once(Option<&'static str>);

impl futures_core::Stream for Once {
    type Item = Result<http_body::Frame<Bytes>, Infallible>;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        _cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        let chunk = self.0.take();
        std::task::Poll::Ready(chunk.map(|chunk| Ok(http_body::Frame::data(chunk.into()))))
    }
}

#[tokio::test]
async fn a_response_whose_head_was_refused_is_not_sent() {
    let (all, deliveries) = refuse_a_head("GET /refused HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert_eq!(all, "");
    assert_eq!(deliveries, [Delivery::Aborted { bytes: 0 }]);
}

#[tokio::test]
async fn neither_an_interim_response_nor_the_one_before_is_its_head() {
    let request = "GET / HTTP/1.1\r\nhost: a\r\n\r\n\
        POST /refused HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 1\r\n\r\nx";
    let (all, deliveries) = refuse_a_head(request).await;
    assert!(all.starts_with("HTTP/1.1 200"), "{all}");
    assert_eq!(deliveries, [Delivery::Sent, Delivery::Aborted { bytes: 0 }]);
}
