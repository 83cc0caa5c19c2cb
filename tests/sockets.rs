//! Real sockets: slow readers, readers that stop, clients that leave, tasks that block.

mod support;

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use bocadillo::{App, Limits, Request, Response, Runner, background, route, sent::Delivery};
use bytes::Bytes;
use support::{Http1, http2, http2_request, soon, start};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::{Notify, mpsc},
};

const LARGE: usize = 8 * 1024 * 1024;

/// What a task saw when it started.
#[derive(Clone, Copy, Debug)]
struct Started {
    delivery: Delivery,
    /// What the kernel had accepted of the connection.
    accepted: u64,
}

/// Reports the start of tasks to the test.
#[derive(Clone)]
struct Probe {
    accepted: Arc<AtomicU64>,
    started: mpsc::UnboundedSender<Started>,
}

impl Probe {
    fn start(&self) {
        let delivery = background::current().delivery();
        let _ = self.started.send(Started {
            delivery,
            accepted: self.accepted.load(SeqCst),
        });
    }
}

/// Set when the server has started: the app must exist before.
type Shared = Arc<std::sync::OnceLock<Probe>>;

fn probe(req: &Request) -> Probe {
    let shared: &Shared = req.state().expect("the test gives one");
    shared.get().expect("set before the first request").clone()
}

async fn start_probed(app: App) -> (SocketAddr, mpsc::UnboundedReceiver<Started>) {
    let shared = Shared::default();
    let (addr, accepted) = start(app.state(Arc::clone(&shared))).await;
    let (started, starts) = mpsc::unbounded_channel();
    assert!(shared.set(Probe { accepted, started }).is_ok());
    (addr, starts)
}

#[route("/full")]
async fn full(req: &mut Request, res: &mut Response) {
    let probe = probe(req);
    #[background]
    async fn report() {
        probe.start();
    }
    res.bytes(vec![b'x'; LARGE]);
}

#[route("/streamed")]
async fn streamed(req: &mut Request, res: &mut Response) {
    let probe = probe(req);
    #[background]
    async fn report() {
        probe.start();
    }
    res.stream(Chunks(LARGE / (64 * 1024)));
}

struct Chunks(usize);

impl futures_core::Stream for Chunks {
    type Item = Result<Vec<u8>, std::convert::Infallible>;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        _cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        if self.0 == 0 {
            return None.into();
        }
        self.0 -= 1;
        Some(Ok(vec![b'x'; 64 * 1024])).into()
    }
}

/// Reads 64 KiB every 5 ms, as the slow client that it is; returns how much there was.
async fn read_slowly(stream: &mut TcpStream, until: impl Fn(&[u8], u64) -> bool) -> u64 {
    let mut buffer = vec![0; 64 * 1024];
    let mut total = 0;
    loop {
        let bytes = soon("more", stream.read(&mut buffer))
            .await
            .expect("the server sends");
        total += bytes as u64;
        if bytes == 0 || until(&buffer[..bytes], total) {
            return total;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn slow_http1(path: &str) {
    let (addr, mut starts) = start_probed(App::new().route(full).route(streamed)).await;
    let mut stream = TcpStream::connect(addr).await.expect("the server accepts");
    let request = format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    stream
        .write_all(request.as_bytes())
        .await
        .expect("the server reads");
    let total = read_slowly(&mut stream, |_, _| false).await;
    let started = soon("the task", starts.recv()).await.expect("it reports");
    assert_eq!(started.delivery, Delivery::Sent);
    assert_eq!(
        started.accepted, total,
        "started when the kernel had all, and not before"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_reader_of_a_full_body_on_http1() {
    slow_http1("/full").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_reader_of_a_stream_on_http1() {
    slow_http1("/streamed").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_reader_of_a_full_body_on_http2() {
    slow_http2("/full").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_reader_of_a_stream_on_http2() {
    slow_http2("/streamed").await;
}

/// Speaks the little of HTTP/2 that is needed itself: then every byte that came is counted.
async fn slow_http2(path: &str) {
    let (addr, mut starts) = start_probed(App::new().route(full).route(streamed)).await;
    let mut stream = TcpStream::connect(addr).await.expect("the server accepts");
    stream
        .write_all(&http2_opening(path))
        .await
        .expect("the server reads");
    let mut frames = Frames::default();
    let end = std::cell::Cell::new(0);
    let frames = std::cell::RefCell::new(&mut frames);
    read_slowly(&mut stream, |bytes, _| {
        let ended = frames.borrow_mut().feed(bytes);
        end.set(ended.unwrap_or(0));
        ended.is_some()
    })
    .await;
    let started = soon("the task", starts.recv()).await.expect("it reports");
    assert_eq!(started.delivery, Delivery::Sent);
    assert_eq!(
        started.accepted,
        end.get(),
        "started when the kernel had all, and not before"
    );
}

/// Preface, settings and window for the whole body, and a GET on stream 1.
fn http2_opening(path: &str) -> Vec<u8> {
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    let window = (LARGE as u32 * 2).to_be_bytes();
    // SETTINGS with INITIAL_WINDOW_SIZE; WINDOW_UPDATE of the connection.
    bytes.extend([0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 4]);
    bytes.extend(window);
    bytes.extend([0, 0, 4, 8, 0, 0, 0, 0, 0]);
    bytes.extend(window);
    // :method GET, :scheme http, and the path and authority as literals.
    let mut block = vec![0x82, 0x86, 0x04, path.len() as u8];
    block.extend(path.as_bytes());
    block.extend([0x01, 1, b'a']);
    bytes.extend([0, 0, block.len() as u8, 1, 5, 0, 0, 0, 1]);
    bytes.extend(block);
    bytes
}

/// Finds the end of stream 1.
#[derive(Default)]
struct Frames {
    unread: Vec<u8>,
    position: u64,
}

impl Frames {
    /// Returns the position after the frame that ends the stream.
    fn feed(&mut self, bytes: &[u8]) -> Option<u64> {
        self.unread.extend_from_slice(bytes);
        loop {
            let head = self.unread.get(..9)?;
            let length = 9 + u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
            let ends = head[3] <= 1 && head[4] & 1 != 0;
            if self.unread.len() < length {
                return None;
            }
            self.unread.drain(..length);
            self.position += length as u64;
            if ends {
                return Some(self.position);
            }
        }
    }
}

/// The task blocks its thread until the client has the whole response: if that delayed the
/// response, neither would ever end.
#[test]
fn task_that_blocks_its_thread_cannot_delay_its_own_response() {
    let (release, blocked) = std::sync::mpsc::channel::<()>();
    let blocked = Arc::new(std::sync::Mutex::new(blocked));
    async fn view(req: &mut Request, res: &mut Response) -> bocadillo::Result<()> {
        type Blocked = Arc<std::sync::Mutex<std::sync::mpsc::Receiver<()>>>;
        let blocked = Arc::clone(req.state::<Blocked>()?);
        #[bocadillo::background]
        async fn block() {
            let blocked = blocked.lock().expect("no panic");
            blocked
                .recv_timeout(support::PATIENCE)
                .expect("the client has its response");
        }
        res.bytes(vec![b'x'; 1024 * 1024]);
        Ok(())
    }
    let runner = Runner::current().build();
    let app = App::new()
        .state(blocked)
        .add("/", &["get"], view)
        .background(runner.clone());
    let server = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build();
    let server = server.expect("a runtime");
    let (addr, _) = server.block_on(start(app));
    let client = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let reply = client
        .expect("a runtime")
        .block_on(async { Http1::connect(addr).await.request("GET", "/").await });
    assert_eq!(reply.body.len(), 1024 * 1024);
    assert_eq!(runner.stats().completed, 0);
    release.send(()).expect("the task waits");
    server.shutdown_timeout(support::PATIENCE);
    let stats = runner.stats();
    assert_eq!((stats.completed, stats.panicked), (1, 0));
}

fn stalling() -> App {
    App::new()
        .route(full)
        .route(streamed)
        .route(small)
        .limits(Limits::new().send_timeout(Duration::from_millis(300)))
}

#[route("/small")]
async fn small(req: &mut Request, res: &mut Response) {
    let probe = probe(req);
    #[background]
    async fn report() {
        probe.start();
    }
    res.text("small");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reader_that_stops_is_aborted_on_http1() {
    for path in ["/full", "/streamed"] {
        let (addr, mut starts) = start_probed(stalling()).await;
        let mut http1 = Http1::connect(addr).await;
        http1
            .send(&format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n"))
            .await;
        let started = soon("the task", starts.recv()).await.expect("it reports");
        let Delivery::Aborted { bytes } = started.delivery else {
            panic!("{started:?}")
        };
        // The head is in `accepted` too, and for a stream the framing.
        assert!(bytes > 0 && bytes < LARGE as u64, "{started:?}");
        assert!(
            bytes <= started.accepted && bytes + 2000 > started.accepted,
            "{started:?}"
        );
        drop(http1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reader_that_stops_loses_only_its_stream_on_http2() {
    for path in ["/full", "/streamed"] {
        let (addr, mut starts) = start_probed(stalling()).await;
        // The stream's window is never opened further.
        let mut builder = h2::client::Builder::new();
        builder
            .initial_window_size(100_000)
            .initial_connection_window_size(1 << 24);
        let (mut send, driver) = http2(addr, &builder).await;
        let stalled = http2_request(&mut send, "GET", path).await;
        let mut stalled = soon("the head", stalled)
            .await
            .expect("a response")
            .into_body();
        let started = soon("the task", starts.recv()).await.expect("it reports");
        assert_eq!(started.delivery, Delivery::Aborted { bytes: 100_000 });

        let response = http2_request(&mut send, "GET", "/small").await;
        assert_eq!(
            soon("another", response)
                .await
                .expect("the connection lives")
                .status(),
            200
        );
        let started = soon("its task", starts.recv()).await.expect("it reports");
        assert_eq!(started.delivery, Delivery::Sent);

        let mut error = None;
        while let Some(data) = soon("the reset", stalled.data()).await {
            if let Err(reset) = data {
                error = Some(reset);
                break;
            }
        }
        assert!(error.is_some_and(|error| error.is_reset()));
        driver.abort();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn client_that_leaves_in_the_middle_of_the_body() {
    let (addr, mut starts) = start_probed(App::new().route(full)).await;
    let mut http1 = Http1::connect(addr).await;
    http1.send("GET /full HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let mut buffer = vec![0; 64 * 1024];
    http1.stream.read_exact(&mut buffer).await.expect("64 KiB");
    drop(http1);
    let started = soon("the task", starts.recv()).await.expect("it reports");
    assert!(
        matches!(started.delivery, Delivery::Aborted { bytes } if bytes > 0),
        "{started:?}"
    );

    let (mut send, driver) = http2(addr, &h2::client::Builder::new()).await;
    let response = http2_request(&mut send, "GET", "/full").await;
    drop(soon("the head", response).await.expect("a response"));
    let started = soon("the task", starts.recv()).await.expect("it reports");
    assert!(
        matches!(started.delivery, Delivery::Aborted { bytes } if bytes > 0),
        "{started:?}"
    );
    driver.abort();
}

/// A view that waits until the test lets it go on.
#[derive(Clone, Default)]
struct Gate {
    entered: Arc<Notify>,
    open: Arc<Notify>,
}

#[route("/gated")]
async fn gated(req: &mut Request, res: &mut Response) -> bocadillo::Result<()> {
    let (gate, probe) = (req.state::<Gate>()?.clone(), probe(req));
    gate.entered.notify_one();
    gate.open.notified().await;
    let was_alone = req.is_disconnected();
    #[background]
    async fn report() {
        assert!(was_alone, "the view was told");
        probe.start();
    }
    res.text("for nobody");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn view_runs_to_its_end_although_the_client_has_left() {
    let gate = Gate::default();
    let runner = Runner::current().build();
    let app = App::new()
        .state(gate.clone())
        .route(gated)
        .background(runner.clone());
    let (addr, mut starts) = start_probed(app).await;

    // HTTP/1: closed; and only the sending half closed, which counts as leaving too.
    for half in [false, true] {
        let mut http1 = Http1::connect(addr).await;
        http1.send("GET /gated HTTP/1.1\r\nhost: a\r\n\r\n").await;
        soon("the view", gate.entered.notified()).await;
        let kept = if half {
            http1.stream.shutdown().await.expect("half closed");
            Some(http1)
        } else {
            drop(http1);
            None
        };
        left(&gate, &mut starts).await;
        drop(kept);
    }

    // HTTP/2: the stream is reset, the connection lives.
    let (mut send, driver) = http2(addr, &h2::client::Builder::new()).await;
    let response = http2_request(&mut send, "GET", "/gated").await;
    soon("the view", gate.entered.notified()).await;
    drop(response);
    left(&gate, &mut starts).await;
    driver.abort();
    let stats = runner.stats();
    assert_eq!((stats.registered, stats.panicked), (3, 0));
}

/// Lets the view go on when the server has noticed.
async fn left(gate: &Gate, starts: &mut mpsc::UnboundedReceiver<Started>) {
    // There is no event for "the server has noticed", and being early only makes this test weaker.
    tokio::time::sleep(Duration::from_millis(200)).await;
    gate.open.notify_one();
    let started = soon("the task", starts.recv()).await.expect("it reports");
    assert_eq!(started.delivery, Delivery::Aborted { bytes: 0 });
}

#[route("/forever")]
async fn forever(req: &mut Request, res: &mut Response) {
    let probe = probe(req);
    #[background]
    async fn report() {
        probe.start();
    }
    std::future::pending::<()>().await;
}

/// Beyond the limit a view is dropped, and what it had registered runs; within, until its timeout.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn detached_views_are_bounded() {
    let limits = Limits::new()
        .max_detached_per_connection(2)
        .max_detached(3)
        .detached_timeout(Duration::from_millis(300));
    let (addr, mut starts) = start_probed(App::new().route(forever).limits(limits)).await;
    let (mut send, driver) = http2(addr, &h2::client::Builder::new()).await;
    for _ in 0..5 {
        drop(http2_request(&mut send, "GET", "/forever").await);
    }
    for _ in 0..5 {
        let started = soon("a task", starts.recv()).await.expect("it reports");
        assert_eq!(started.delivery, Delivery::Aborted { bytes: 0 });
    }
    driver.abort();
}

/// 100 000 HEADERS, each followed by RST_STREAM: what they leave behind is bounded.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn flood_of_resets_costs_no_memory() {
    let total = std::env::var("BOCADILLO_RESETS").map_or(100_000, |n| n.parse().expect("a number"));
    let runner = Runner::current().build();
    let app = App::new().route(forever).background(runner.clone());
    let (addr, mut starts) = start_probed(app).await;
    tokio::spawn(async move { while starts.recv().await.is_some() {} });
    let mut reset = 0;
    let mut after_first_tenth = None;
    while reset < total {
        // The server closes a connection that resets too much: begin another.
        let (mut send, driver) = http2(addr, &h2::client::Builder::new()).await;
        for _ in 0..12 {
            let mut batch = Vec::new();
            for _ in 0..16 {
                let Ok(ready) = send.clone().ready().await else {
                    break;
                };
                send = ready;
                let request = http::Request::get("http://a/forever")
                    .body(())
                    .expect("a request");
                batch.extend(send.send_request(request, true));
            }
            // So that some of the views are called: of the first requests in any case, and more than may
            // run on without their client.
            if reset < 64 {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            for _ in 0..4 {
                tokio::task::yield_now().await;
            }
            for (response, mut stream) in batch {
                stream.send_reset(h2::Reason::CANCEL);
                drop((response, stream));
                reset += 1;
            }
        }
        drop(send);
        soon("the end of the connection", driver)
            .await
            .expect("no panic");
        if reset >= total / 10 && after_first_tenth.is_none() {
            after_first_tenth = Some(resident());
        }
    }
    let before = after_first_tenth.expect("a tenth was reached");
    let grown = resident().saturating_sub(before);
    assert!(
        grown < 24 * 1024 * 1024,
        "{grown} bytes more after {reset} resets than after a tenth"
    );
    assert!(runner.stats().registered > 0, "some views were called");
}

#[cfg(target_os = "linux")]
fn resident() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    let pages: usize = pages
        .split(' ')
        .nth(1)
        .and_then(|n| n.parse().ok())
        .expect("a number");
    pages * 4096
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn quiet_stream_lives_and_idle_connection_does_not() {
    #[route("/quiet")]
    async fn quiet(req: &mut Request, res: &mut Response) -> bocadillo::Result<()> {
        let gate = req.state::<Gate>()?.clone();
        res.body(bocadillo::Body::from_stream(Quiet {
            gate: Box::pin(async move {
                gate.open.notified().await;
            }),
            is_open: false,
        }));
        Ok(())
    }

    let gate = Gate::default();
    let limits = Limits::new()
        .send_timeout(Duration::from_millis(100))
        .header_timeout(Duration::from_millis(100));
    let app = App::new().route(quiet).state(gate.clone()).limits(limits);
    let (addr, _) = start_probed(app).await;
    let mut http1 = Http1::connect(addr).await;
    http1
        .send("GET /quiet HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
        .await;
    let mut idle = Http1::connect(addr).await;
    idle.send("GET / HT").await;
    // The idle one is closed, which takes longer than either limit; the quiet one is not.
    assert_eq!(idle.rest().await, b"");
    gate.open.notify_one();
    let rest = http1.rest().await;
    assert!(support::find(&rest, b"late\r\n0\r\n\r\n").is_some());
}

struct Quiet {
    gate: std::pin::Pin<Box<dyn Future<Output = ()> + Send>>,
    is_open: bool,
}

impl futures_core::Stream for Quiet {
    type Item = Result<Bytes, std::convert::Infallible>;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        if self.is_open {
            return None.into();
        }
        std::task::ready!(self.gate.as_mut().poll(cx));
        self.is_open = true;
        Some(Ok(Bytes::from_static(b"late"))).into()
    }
}

/// Out of file descriptors for a while: served again afterwards, and no spinning in between.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn survives_errors_of_accept() {
    struct Failing {
        listener: tokio::net::TcpListener,
        failures: u32,
    }

    impl bocadillo::Listener for Failing {
        type Io = TcpStream;

        async fn accept(&mut self) -> std::io::Result<(TcpStream, Option<SocketAddr>)> {
            if self.failures > 0 {
                self.failures -= 1;
                return Err(std::io::Error::from_raw_os_error(24));
            }
            bocadillo::Listener::accept(&mut self.listener).await
        }
    }

    #[route("/")]
    async fn index(_req: &mut Request, res: &mut Response) {
        res.text("back");
    }

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let addr = listener.local_addr().expect("an address");
    let begun = std::time::Instant::now();
    tokio::spawn(App::new().route(index).serve_with(Failing {
        listener,
        failures: 3,
    }));
    assert_eq!(
        Http1::connect(addr).await.request("GET", "/").await.body,
        "back"
    );
    assert!(
        begun.elapsed() >= Duration::from_millis(300),
        "it paused after each"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn upgraded_connection_had_its_task_after_the_101() {
    #[route("/upgrade")]
    async fn upgrade(req: &mut Request, res: &mut Response) {
        let probe = probe(req);
        #[background]
        async fn report() {
            probe.start();
        }
        res.header("connection", "upgrade");
        res.header("upgrade", "echo");
        res.status(101);
    }

    let (addr, mut starts) = start_probed(App::new().route(upgrade)).await;
    let mut http1 = Http1::connect(addr).await;
    http1
        .send("GET /upgrade HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n")
        .await;
    assert_eq!(http1.reply(true).await.status(), 101);
    let started = soon("the task", starts.recv()).await.expect("it reports");
    assert_eq!(started.delivery, Delivery::Sent);
}
