//! HTTP/2 responses that the server does not finish: the client is told that it failed here.

mod support;

use std::{
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bocadillo::{App, Limits, Request, Response, Runner, background, route, sent::Delivery};
use bytes::Bytes;
use support::{http2, http2_request, soon, start};
use tokio::{
    net::TcpListener,
    sync::{mpsc, oneshot},
};

const SHORT: Duration = Duration::from_millis(300);

type Deliveries = mpsc::UnboundedSender<Delivery>;

fn report(req: &Request, res: &mut Response) {
    let deliveries = req
        .state::<Deliveries>()
        .expect("the test gives it")
        .clone();
    res.background(async move {
        let _ = deliveries.send(background::current().delivery());
    });
}

#[route("/large")]
async fn large(req: &mut Request, res: &mut Response) {
    report(req, res);
    res.bytes(vec![b'x'; 8 << 20]);
}

/// Yields once, and then as `Rest` says.
struct Once(bool, Rest);

#[derive(Clone, Copy)]
enum Rest {
    Waits,
    Panics,
    Fails,
}

impl futures_core::Stream for Once {
    type Item = Result<Bytes, std::io::Error>;

    fn poll_next(mut self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if !std::mem::replace(&mut self.0, true) {
            return Some(Ok(Bytes::from_static(b"half"))).into();
        }
        match self.1 {
            Rest::Waits => Poll::Pending,
            Rest::Panics => panic!("of the test"),
            Rest::Fails => Some(Err(std::io::Error::other("of the test"))).into(),
        }
    }
}

#[route("/waits")]
async fn waits(req: &mut Request, res: &mut Response) {
    report(req, res);
    res.stream(Once(false, Rest::Waits));
}

#[route("/plain")]
async fn plain(_req: &mut Request, res: &mut Response) {
    res.stream(Once(false, Rest::Waits));
}

#[route("/panics")]
async fn panics(req: &mut Request, res: &mut Response) {
    report(req, res);
    res.stream(Once(false, Rest::Panics));
}

#[route("/fails")]
async fn fails(req: &mut Request, res: &mut Response) {
    report(req, res);
    res.stream(Once(false, Rest::Fails));
}

fn app() -> (App, mpsc::UnboundedReceiver<Delivery>) {
    let (tx, rx) = mpsc::unbounded_channel::<Delivery>();
    let app = App::new()
        .route(large)
        .route(waits)
        .route(plain)
        .route(panics)
        .route(fails)
        .state(tx)
        .background(Runner::current());
    (app, rx)
}

/// Reads until the stream ends; how it did.
async fn end(body: Result<h2::RecvStream, h2::Error>) -> Option<h2::Reason> {
    let mut body = match body {
        Ok(body) => body,
        // The head had not left when it was cut.
        Err(error) => return error.reason(),
    };
    while let Some(data) = soon("the end", body.data()).await {
        match data {
            Ok(data) => drop(body.flow_control().release_capacity(data.len())),
            Err(error) => return Some(error.reason().unwrap_or(h2::Reason::CONNECT_ERROR)),
        }
    }
    None
}

async fn begin(
    addr: SocketAddr,
    path: &str,
) -> (
    Result<h2::RecvStream, h2::Error>,
    tokio::task::JoinHandle<()>,
) {
    let (mut send, driver) = http2(addr, &h2::client::Builder::new()).await;
    let response = http2_request(&mut send, "GET", path).await;
    let response = soon("the head", response).await;
    // The connection ends with its last handle.
    tokio::spawn(async move {
        tokio::time::sleep(support::PATIENCE).await;
        drop(send);
    });
    (response.map(http::Response::into_body), driver)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn response_that_stalls_ends_by_an_internal_error() {
    let (app, mut deliveries) = app();
    let (addr, _) = start(app.limits(Limits::new().send_timeout(SHORT))).await;
    let (body, driver) = begin(addr, "/large").await;
    let delivery = soon("the task", deliveries.recv()).await;
    assert!(
        matches!(delivery, Some(Delivery::Aborted { .. })),
        "{delivery:?}"
    );
    assert_eq!(end(body).await, Some(h2::Reason::INTERNAL_ERROR));
    driver.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn response_whose_stream_fails_or_panics_ends_by_an_internal_error() {
    let (app, mut deliveries) = app();
    let (addr, _) = start(app).await;
    for path in ["/fails", "/panics"] {
        let (body, driver) = begin(addr, path).await;
        assert_eq!(end(body).await, Some(h2::Reason::INTERNAL_ERROR), "{path}");
        let delivery = soon("the task", deliveries.recv()).await;
        assert!(
            matches!(delivery, Some(Delivery::Aborted { .. })),
            "{path}: {delivery:?}"
        );
        driver.abort();
    }
}

/// Serves until it is told; and until it has ended.
async fn serve(app: App) -> (SocketAddr, oneshot::Sender<()>, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let addr = listener.local_addr().expect("an address");
    let (stop, stopped) = oneshot::channel();
    let app = app.with_graceful_shutdown(async { drop(stopped.await) });
    let served = tokio::spawn(async move {
        let _ = app.serve_with(listener).await;
    });
    (addr, stop, served)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn responses_that_a_shutdown_cuts_end_by_an_internal_error() {
    for path in ["/waits", "/plain", "/large"] {
        let (app, mut deliveries) = app();
        let runner = Runner::current().drain_timeout(SHORT * 2).build();
        let (addr, stop, served) = serve(app.background(runner)).await;
        let (body, driver) = begin(addr, path).await;
        stop.send(()).expect("it serves");
        soon("the end of the server", served)
            .await
            .expect("no panic");
        if path != "/plain" {
            let delivery = soon("the task", deliveries.recv()).await;
            assert!(
                matches!(delivery, Some(Delivery::Aborted { .. })),
                "{path}: {delivery:?}"
            );
        }
        assert_eq!(end(body).await, Some(h2::Reason::INTERNAL_ERROR), "{path}");
        driver.abort();
    }
}

/// It takes CANCEL, and a connection that ends, for a regular end of a stream.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn node_sees_that_a_response_was_cut() {
    let has_node = std::process::Command::new("node").arg("--version").output();
    if !has_node.is_ok_and(|node| node.status.success()) {
        eprintln!("left out: there is no `node`");
        return;
    }
    let (app, mut deliveries) = app();
    let runner = Runner::current().drain_timeout(SHORT * 2).build();
    let limits = Limits::new().send_timeout(SHORT);
    let (addr, stop, served) = serve(app.background(runner).limits(limits)).await;
    let script = r#"
        import http2 from "node:http2";
        const [addr] = process.argv.slice(1);
        const get = (path, stalls) => new Promise((resolve) => {
            const session = http2.connect(`http://${addr}`);
            session.on("error", () => {});
            const stream = session.request({ ":path": path });
            stream.on("error", (error) => resolve(`${path} error ${error.code} ${stream.rstCode}`));
            stream.on("end", () => resolve(`${path} end`));
            if (!stalls) stream.resume();
            stream.end();
        });
        console.log(await get("/panics", false));
        console.log(await get("/large", true));
        console.log(await get("/waits", false));
        process.exit();
    "#;
    let node = tokio::process::Command::new("node")
        .args(["--input-type=module", "-e", script])
        .arg(addr.to_string())
        .output();
    let node = tokio::spawn(node);
    // Two have ended; the third waits.
    for _ in 0..2 {
        soon("a task", deliveries.recv())
            .await
            .expect("the app lives");
    }
    tokio::time::sleep(SHORT * 4).await;
    stop.send(()).expect("it serves");
    soon("the end of the server", served)
        .await
        .expect("no panic");
    let output = soon("the end of node", node)
        .await
        .expect("no panic")
        .expect("it ran");
    let seen = String::from_utf8_lossy(&output.stdout).into_owned();
    let expected = ["/panics", "/large", "/waits"];
    let expected = expected.map(|path| format!("{path} error ERR_HTTP2_STREAM_ERROR 2\n"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(seen, expected.concat(), "{errors}");
}
