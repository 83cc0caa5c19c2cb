//! A server in a process of its own: this test's executable, run again.

use std::{
    env,
    fs::OpenOptions,
    io::Write as _,
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use bocadillo::{App, Event, Request, Response, Runner, background, route};
use tokio::{
    net::TcpListener,
    sync::{Mutex, mpsc},
    time::sleep,
};

use crate::support::PATIENCE;

/// Says which server the process is to be: its address, the delay in milliseconds, and its file.
const UPSTREAM: &str = "BOCADILLO_TEST_UPSTREAM";

/// Where tasks write their orders.
struct Orders(PathBuf);

/// Sends the events of a stream, one for each request to `/next`.
struct Ticks(mpsc::Sender<()>, Mutex<Option<mpsc::Receiver<()>>>);

#[route("/items/{id}")]
async fn item(_req: &mut Request, res: &mut Response, id: u64) {
    if id % 50 == 0 {
        // So that some are under way at the signal.
        sleep(Duration::from_millis(150)).await;
    }
    res.text(format!("item {id}"));
}

#[route("/orders/{id}", methods = ["post"])]
async fn order(req: &mut Request, res: &mut Response, id: u64) -> bocadillo::Result<()> {
    let text = req.text().await?;
    let orders = Arc::clone(req.state::<Arc<Orders>>()?);

    #[background]
    async fn write() -> std::io::Result<()> {
        // So that some have begun at the signal.
        sleep(Duration::from_millis(id % 40)).await;
        let mut file = OpenOptions::new()
            .append(true)
            .create(true)
            .open(&orders.0)?;
        file.write_all(format!("{id}\n").as_bytes())
    }

    if id % 50 == 1 {
        sleep(Duration::from_millis(150)).await;
    }
    res.status(201);
    res.text(text);
    Ok(())
}

/// A stream of events, one for each tick.
struct Events(mpsc::Receiver<()>);

impl futures_core::Stream for Events {
    type Item = std::io::Result<Event>;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        let tick = self.0.poll_recv(cx);
        tick.map(|tick| tick.map(|()| Ok(Event::new("tick"))))
    }
}

#[route("/events")]
async fn events(req: &mut Request, res: &mut Response) -> bocadillo::Result<()> {
    let ticks = req.state::<Ticks>()?.1.lock().await.take();
    if let Some(ticks) = ticks {
        res.event_stream(Events(ticks));
    }
    Ok(())
}

#[route("/next", methods = ["post"])]
async fn next(req: &mut Request, _res: &mut Response) -> bocadillo::Result<()> {
    req.state::<Ticks>()?.0.send(()).await?;
    Ok(())
}

/// Not a test: what a child process runs.
#[test]
#[ignore = "run by the others, in a process of its own"]
fn child() {
    let Ok(upstream) = env::var(UPSTREAM) else {
        return;
    };
    let mut parts = upstream.splitn(3, ' ');
    let mut next_part = || parts.next().expect("three parts");
    let addr: SocketAddr = next_part().parse().expect("an address");
    let delay = Duration::from_millis(next_part().parse().expect("a number"));
    let orders = PathBuf::from(next_part());
    let served = bocadillo::__private::block_on(async move {
        bocadillo::__private::want_log();
        let (tx, rx) = mpsc::channel(1);
        let app = App::new()
            .route(item)
            .route(order)
            .route(events)
            .route(next)
            .state(Arc::new(Orders(orders)))
            .state(Ticks(tx, Mutex::new(Some(rx))))
            .background(Runner::dedicated(1))
            .shutdown_delay(delay);
        app.serve_with(TcpListener::bind(addr).await?).await
    });
    let served = served.expect("the system has a runtime");
    if let Err(error) = &served {
        eprintln!("Error: {error}");
    }
    std::process::exit(i32::from(served.is_err()));
}

pub(crate) struct Upstream {
    child: Child,
    addr: SocketAddr,
}

impl Upstream {
    /// Starts it, and waits until it listens.
    pub(crate) fn start(addr: SocketAddr, delay: Duration, orders: &Path) -> Self {
        let child = Command::new(env::current_exe().expect("this test's path"))
            .args(["upstream::child", "--exact", "--ignored", "--nocapture"])
            .env(
                UPSTREAM,
                format!("{addr} {} {}", delay.as_millis(), orders.display()),
            )
            .env("RUST_LOG", "warn")
            .stdout(std::process::Stdio::null())
            .spawn()
            .expect("this test runs again");
        let mut upstream = Self { child, addr };
        let end = Instant::now() + PATIENCE;
        while TcpStream::connect(upstream.addr).is_err() {
            let ended = upstream.child.try_wait().expect("a child");
            assert!(ended.is_none(), "the server ended: {ended:?}");
            assert!(Instant::now() < end, "the server does not listen");
            thread::sleep(Duration::from_millis(5));
        }
        upstream
    }

    /// Sends SIGTERM, and waits for its end.
    pub(crate) fn terminate(mut self) -> ExitStatus {
        let kill = format!("kill -TERM {}", self.child.id());
        let status = Command::new("sh").args(["-c", &kill]).status();
        assert!(status.is_ok_and(|status| status.success()), "{kill}");
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("a child") {
                return status;
            }
            assert!(Instant::now() < end, "it does not end");
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
