//! Connections on which nothing happens: how long they live, and how they end.

mod support;

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bocadillo::{App, Limits, Request, Response, Runner, background, route, sent::Delivery};
use bytes::Bytes;
use support::{Http1, PATIENCE, http2, http2_request, soon, start};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::mpsc,
    time::sleep,
};

const SHORT: Duration = Duration::from_millis(300);

#[route("/")]
async fn index(_req: &mut Request, res: &mut Response) {
    res.text("hello");
}

fn app(limits: Limits) -> App {
    App::new().route(index).limits(limits)
}

/// A load balancer sends a request when it has kept its connection for as long as it does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connection_waits_for_its_next_request_longer_than_for_a_head() {
    let limits = Limits::new()
        .header_timeout(SHORT)
        .idle_timeout(PATIENCE * 4);
    let (addr, _) = start(app(limits)).await;
    let mut http1 = Http1::connect(addr).await;
    let (mut send, driver) = http2(addr, &h2::client::Builder::new()).await;
    for _ in 0..2 {
        assert_eq!(http1.request("GET", "/").await.body, "hello");
        let response = http2_request(&mut send, "GET", "/").await;
        assert_eq!(
            soon("a response", response).await.expect("one").status(),
            200
        );
        sleep(SHORT * 4).await;
    }
    driver.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn next_head_has_the_time_of_a_head() {
    let limits = Limits::new()
        .header_timeout(SHORT)
        .idle_timeout(Duration::MAX);
    let (addr, _) = start(app(limits)).await;
    let mut http1 = Http1::connect(addr).await;
    assert_eq!(http1.request("GET", "/").await.body, "hello");
    sleep(SHORT).await;
    // A byte at a time, so that something comes always.
    let trickle = async {
        loop {
            if http1.stream.write_all(b"x").await.is_err() {
                return;
            }
            sleep(SHORT / 10).await;
        }
    };
    soon("the end", trickle).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connection_without_a_request_ends_after_its_idle_time() {
    let limits = Limits::new()
        .header_timeout(Duration::MAX)
        .idle_timeout(SHORT);
    let (addr, _) = start(app(limits)).await;
    let mut http1 = Http1::connect(addr).await;
    assert_eq!(http1.request("GET", "/").await.body, "hello");
    assert_eq!(http1.rest().await, b"");
}

/// By GOAWAY, so that no request is lost that is on its way.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_connection_of_http2_ends_in_peace() {
    let limits = Limits::new().idle_timeout(SHORT);
    let (addr, _) = start(app(limits)).await;
    let stream = TcpStream::connect(addr).await.expect("it accepts");
    let (mut send, connection) = h2::client::handshake(stream).await.expect("a handshake");
    let driver = tokio::spawn(connection);
    let response = http2_request(&mut send, "GET", "/").await;
    assert_eq!(
        soon("a response", response).await.expect("one").status(),
        200
    );
    let end = soon("the end", driver).await.expect("no panic");
    assert!(end.is_ok(), "{end:?}");
    drop(send);
}

/// A PING is no request, before the first one and after it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn client_that_sends_only_pings_is_idle() {
    let limits = Limits::new().header_timeout(SHORT).idle_timeout(SHORT);
    let (addr, _) = start(app(limits)).await;
    for has_request in [false, true] {
        let stream = TcpStream::connect(addr).await.expect("it accepts");
        let (mut send, mut connection) = h2::client::handshake(stream).await.expect("a handshake");
        let mut pings = connection.ping_pong().expect("the only one");
        let driver = tokio::spawn(connection);
        if has_request {
            let response = http2_request(&mut send, "GET", "/").await;
            assert_eq!(
                soon("a response", response).await.expect("one").status(),
                200
            );
        }
        let pinging = async {
            while pings.ping(h2::Ping::opaque()).await.is_ok() {
                sleep(SHORT / 20).await;
            }
        };
        soon("the end", pinging).await;
        let _ = soon("the driver", driver).await;
        drop(send);
    }
}

/// A stream of events on which nothing happens.
struct Quiet;

impl futures_core::Stream for Quiet {
    type Item = Result<Bytes, std::convert::Infallible>;

    fn poll_next(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Pending
    }
}

#[route("/quiet")]
async fn quiet(req: &mut Request, res: &mut Response) -> bocadillo::Result<()> {
    let deliveries = req.state::<mpsc::UnboundedSender<Delivery>>()?.clone();
    #[background]
    async fn report() {
        let _ = deliveries.send(background::current().delivery());
    }
    res.stream(Quiet);
    Ok(())
}

fn quiet_app() -> (App, mpsc::UnboundedReceiver<Delivery>) {
    let (tx, rx) = mpsc::unbounded_channel::<Delivery>();
    let second = Duration::from_secs(1);
    let limits = Limits::new().keep_alive(second).keep_alive_timeout(second);
    let app = App::new().route(quiet).state(tx).limits(limits);
    (app.background(Runner::current()), rx)
}

/// Its kernel answers for it on TCP: by HTTP/2 it is asked itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn client_of_http2_that_answers_no_ping_is_gone() {
    let (app, mut deliveries) = quiet_app();
    let (addr, _) = start(app).await;
    let mut stream = TcpStream::connect(addr).await.expect("it accepts");
    // Preface, SETTINGS, and a GET of `/quiet` on stream 1.
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend([0, 0, 0, 4, 0, 0, 0, 0, 0]);
    let mut block = vec![0x82, 0x86, 0x04, 6];
    block.extend(b"/quiet");
    block.extend([0x01, 1, b'a']);
    bytes.extend([0, 0, block.len() as u8, 1, 5, 0, 0, 0, 1]);
    bytes.extend(block);
    stream.write_all(&bytes).await.expect("it reads");
    let delivery = soon("the task", deliveries.recv()).await;
    assert!(
        matches!(delivery, Some(Delivery::Aborted { .. })),
        "{delivery:?}"
    );
    let mut rest = Vec::new();
    let _ = soon("the end", stream.read_to_end(&mut rest)).await;
    assert!(
        support::find(&rest, &[0, 0, 8, 6, 0]).is_some(),
        "it was asked by a PING"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn quiet_client_that_answers_pings_lives() {
    let (app, mut deliveries) = quiet_app();
    let (addr, _) = start(app).await;
    let (mut send, driver) = http2(addr, &h2::client::Builder::new()).await;
    let response = http2_request(&mut send, "GET", "/quiet").await;
    let body = soon("the head", response)
        .await
        .expect("a response")
        .into_body();
    let mut http1 = Http1::connect(addr).await;
    http1.send("GET /quiet HTTP/1.1\r\nhost: a\r\n\r\n").await;
    sleep(Duration::from_secs(4)).await;
    assert!(deliveries.try_recv().is_err(), "both are there");
    drop((body, http1));
    for _ in 0..2 {
        soon("a task", deliveries.recv())
            .await
            .expect("the app lives");
    }
    driver.abort();
}
