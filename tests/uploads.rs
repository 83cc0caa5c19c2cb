//! Uploads that a task reads after the response, and uploads that nobody reads beside others.

mod support;

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll},
    time::Duration,
};

use bocadillo::{App, Limits, Request, Response, route};
use bytes::Bytes;
use support::{Http1, http2, soon, start};
use tokio::sync::{Notify, mpsc};

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

/// hyper calls the service for the second request while the first response waits to be written, and
/// forgets it then.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn request_behind_an_unread_upload_and_a_slow_reader_is_answered() {
    #[route("/large", methods = ["post"])]
    async fn large(req: &mut Request, res: &mut Response) {
        // It keeps the upload until the response is sent.
        let upload = req.stream();
        res.background(async move { drop(upload) });
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
    soon("the views", async {
        while state.0.load(SeqCst) < UNREAD {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    let response = soon("the small one", upload(&send, "/count", 100).await)
        .await
        .expect("one");
    assert_eq!(response.status(), 200);
    // And those that waited lose nothing.
    state.1.notify_one();
    drop(waiting);
    driver.abort();
}
