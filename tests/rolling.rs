//! A server that ends behind a balancer: no request is lost that had been sent before the balancer could
//! know.

mod support;

use std::{
    io::Write as _,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use bocadillo::{App, Body, Request, Response, Serve, background::Background, route};
use support::{Counting, Http1, PATIENCE, http2, http2_request, soon};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::oneshot,
    task::{JoinHandle, yield_now},
};

const REQUEST: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";

#[route("/")]
async fn index(_req: &mut Request, res: &mut Response) {
    res.text("index");
}

#[route("/task")]
async fn with_a_task(_req: &mut Request, res: &mut Response) {
    res.background(async {});
    res.text("index");
}

#[route("/ready")]
async fn ready(req: &mut Request, res: &mut Response) {
    res.status(if req.is_shutting_down() { 503 } else { 200 });
}

#[route("/upgrade")]
async fn upgrade(_req: &mut Request, res: &mut Response) {
    res.status(101);
    res.header("connection", "upgrade");
    res.header("upgrade", "echo");
}

fn app() -> App {
    App::new()
        .route(index)
        .route(with_a_task)
        .route(ready)
        .route(upgrade)
}

/// A tower service that is no app.
#[derive(Clone)]
struct Service;

impl tower_service::Service<http::Request<Body>> for Service {
    type Response = http::Response<Body>;
    type Error = std::convert::Infallible;
    type Future = std::future::Ready<Result<Self::Response, Self::Error>>;

    fn poll_ready(
        &mut self,
        _cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), Self::Error>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, req: http::Request<Body>) -> Self::Future {
        if req.uri().path() == "/task" {
            let background = req.extensions().get::<Background>();
            background.expect("a door").background(async {});
        }
        std::future::ready(Ok(http::Response::new(Body::from("index"))))
    }
}

struct Server {
    addr: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    served: JoinHandle<bocadillo::Result<()>>,
}

impl Server {
    async fn of_app(app: App, delay: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let addr = listener.local_addr().expect("an address");
        let (stop, stopped) = oneshot::channel::<()>();
        let app = app
            .shutdown_delay(delay)
            .with_graceful_shutdown(async { drop(stopped.await) });
        Self {
            addr,
            stop: Some(stop),
            // One that knows nothing of what the system has: tokio's own is a case of its own.
            served: tokio::spawn(app.serve_with(Counting::new(listener, Arc::default()))),
        }
    }

    async fn of_service(delay: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let addr = listener.local_addr().expect("an address");
        let (stop, stopped) = oneshot::channel::<()>();
        let serve: Serve<_, _> = bocadillo::serve(listener, Service)
            .shutdown_delay(delay)
            .with_graceful_shutdown(async { drop(stopped.await) });
        Self {
            addr,
            stop: Some(stop),
            served: tokio::spawn(serve.into_future()),
        }
    }

    /// Tells it to end; it has not noticed when this returns.
    fn stop(&mut self) {
        drop(self.stop.take());
    }

    async fn end(self) {
        drop(self.stop);
        let served = soon("the end", self.served).await;
        served.expect("no panic").expect("a clean end");
    }
}

/// Asks until the answer says that the server is to end.
async fn until_announced(addr: SocketAddr, path: &str) {
    soon("the announcement", async {
        while !Http1::connect(addr)
            .await
            .request("GET", path)
            .await
            .has("connection: close")
        {}
    })
    .await;
}

/// What a server that has been told to end answers on HTTP/1: its client sends no more on this connection.
#[tokio::test]
async fn a_response_within_the_delay_is_the_last_of_its_http1_connection() {
    let layered = app().layer(tower_layer::layer_fn(|inner| inner));
    let mounted = App::new().mount("/", Service);
    let servers = [
        Server::of_app(app(), PATIENCE).await,
        Server::of_app(layered, PATIENCE).await,
        Server::of_app(mounted, PATIENCE).await,
        Server::of_service(PATIENCE).await,
    ];
    for (kind, mut server) in servers.into_iter().enumerate() {
        for path in ["/", "/task", "/none"] {
            let mut before = Http1::connect(server.addr).await;
            let reply = before.request("GET", path).await;
            assert!(!reply.has("connection:"), "{kind} {path}: {reply:?}");
        }
        let mut kept = Vec::new();
        for _ in 0..3 {
            kept.push(Http1::connect(server.addr).await);
        }
        for client in &mut kept {
            client.request("GET", "/").await;
        }
        server.stop();
        until_announced(server.addr, "/").await;
        for (client, path) in kept.iter_mut().zip(["/", "/task", "/none"]) {
            let reply = client.request("GET", path).await;
            assert!(
                reply.has("connection: close\r\n"),
                "{kind} {path}: {reply:?}"
            );
            assert!(client.rest().await.is_empty(), "{kind} {path}: it closes");
        }
        server.served.abort();
    }
}

/// A balancer that has noticed nothing has connections at hand when the port is closed.
#[tokio::test]
async fn connections_are_kept_in_the_last_part_of_the_delay() {
    for _ in 0..100 {
        let mut server = Server::of_app(app(), Duration::from_millis(100)).await;
        let mut client = Http1::connect(server.addr).await;
        client.request("GET", "/").await;
        server.stop();
        yield_now().await;
        let reply = client.request("GET", "/ready").await;
        // Else the signal was not noticed yet, or the machine was busy until the delay was over.
        if reply.status() == 503 && !reply.has("connection: close") {
            assert_eq!(client.request("GET", "/ready").await.status(), 503);
            return;
        }
        server.served.abort();
    }
    panic!("no connection was kept");
}

#[tokio::test]
async fn an_upgrade_within_the_delay_is_one() {
    let mut server = Server::of_app(app(), PATIENCE).await;
    server.stop();
    until_announced(server.addr, "/").await;
    let mut client = Http1::connect(server.addr).await;
    let reply = client.request("GET", "/upgrade").await;
    assert_eq!(reply.status(), 101);
    assert!(reply.has("connection: upgrade\r\n"), "{reply:?}");
    assert!(!reply.has("connection: close"), "{reply:?}");
    server.served.abort();
}

/// HTTP/2 has GOAWAY for it, when the delay is over.
#[tokio::test]
async fn an_http2_connection_lives_through_the_delay() {
    let mut server = Server::of_app(app(), PATIENCE).await;
    let (mut send, _driver) = http2(server.addr, &h2::client::Builder::new()).await;
    server.stop();
    until_announced(server.addr, "/").await;
    for _ in 0..2 {
        let response = http2_request(&mut send, "GET", "/ready").await;
        let response = soon("the response", response).await.expect("a response");
        assert_eq!(response.status(), 503);
        assert!(!response.headers().contains_key("connection"));
    }
    server.served.abort();
}

/// A balancer does not know yet that the server ends: HTTP/1 cannot tell it on a connection that is idle.
async fn a_request_after_the_end_has_begun(connect: impl AsyncFn(SocketAddr) -> Http1) {
    let mut rounds = 0;
    for _ in 0..100 {
        let mut server = Server::of_app(app(), Duration::ZERO).await;
        let mut client = connect(server.addr).await;
        let begun = Instant::now();
        server.stop();
        // One thread has both: the server goes on when this one yields.
        while std::net::TcpStream::connect(server.addr).is_ok() {
            yield_now().await;
        }
        for _ in 0..10 {
            yield_now().await;
        }
        let sent = client.stream.try_write(REQUEST.as_bytes());
        // A machine that is busy with something else: the connection may be closed by now.
        if begun.elapsed() > Duration::from_millis(150) {
            continue;
        }
        assert_eq!(sent.expect("it is open"), REQUEST.len());
        let reply = client.reply(false).await;
        assert_eq!((reply.status(), &*reply.body), (200, "index"));
        assert!(reply.has("connection: close\r\n"), "{reply:?}");
        server.end().await;
        rounds += 1;
        if rounds == 4 {
            return;
        }
    }
    panic!("the machine is too busy: {rounds} rounds");
}

#[tokio::test]
async fn a_request_on_a_kept_connection_after_the_end_has_begun_is_answered() {
    a_request_after_the_end_has_begun(async |addr| {
        let mut client = Http1::connect(addr).await;
        client.request("GET", "/").await;
        client
    })
    .await;
}

#[tokio::test]
async fn a_first_request_after_the_end_has_begun_is_answered() {
    a_request_after_the_end_has_begun(async |addr| {
        let client = Http1::connect(addr).await;
        for _ in 0..100 {
            // The server has accepted it, and nothing has been sent on it.
            yield_now().await;
        }
        client
    })
    .await;
}

/// The system has accepted it, and the server has not.
#[tokio::test]
async fn a_request_on_a_connection_in_the_backlog_is_answered() {
    for delay in [Duration::ZERO, Duration::from_millis(1)] {
        for _ in 0..8 {
            let mut server = Server::of_app(app(), delay).await;
            Http1::connect(server.addr).await.request("GET", "/").await;
            server.stop();
            if !delay.is_zero() {
                // The delay begins, and is over before the server runs again.
                yield_now().await;
                std::thread::sleep(delay * 2);
            }
            let mut stream = std::net::TcpStream::connect(server.addr).expect("it listens");
            stream.write_all(REQUEST.as_bytes()).expect("it is sent");
            stream.set_nonblocking(true).expect("a socket");
            let mut client = Http1::over(TcpStream::from_std(stream).expect("a socket"));
            let reply = client.reply(false).await;
            assert_eq!((reply.status(), &*reply.body), (200, "index"));
            server.end().await;
        }
    }
}
