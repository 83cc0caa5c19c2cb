//! A server in a process of its own: this test's executable, run again for one of the scenarios.
#![allow(clippy::print_stdout, reason = "how a process talks to the test")]

use std::{
    env,
    io::{self, BufReader},
    net::SocketAddr,
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::{self, Receiver},
    thread,
    time::{Duration, Instant},
};

use bocadillo::{App, Listener, Request, Response, Runner, background, route, sent::Delivery};
use tokio::{
    net::{TcpListener, TcpStream},
    time::sleep,
};

use crate::support::PATIENCE;

/// Says which server the process is to be: the time for draining in milliseconds, and the runner.
const SCENARIO: &str = "BOCADILLO_TEST_SHUTDOWN";

fn say(what: &str) {
    println!("say {what}");
}

#[route("/")]
async fn index(_req: &mut Request, res: &mut Response) {
    res.text("hello");
}

/// Answers some time after the signal that it waits for itself.
#[route("/late")]
async fn late(_req: &mut Request, res: &mut Response) {
    #[background]
    async fn confirm() {
        sleep(Duration::from_millis(50)).await;
        say("confirmed");

        #[background]
        async fn follow_up() {
            sleep(Duration::from_millis(50)).await;
            say("followed up");
        }
    }

    say("asked");
    sleep(Duration::from_millis(500)).await;
    res.text("late");
}

#[route("/forever")]
async fn forever(_req: &mut Request, _res: &mut Response) {
    #[background]
    async fn never_ends() {
        say("started");
        background::current().cancelled().await;
        say("cancelled");
        std::future::pending::<()>().await;
    }
}

#[route("/stuck")]
async fn stuck(_req: &mut Request, _res: &mut Response) {
    #[background]
    async fn never_yields() {
        say("started");
        loop {
            thread::sleep(Duration::from_secs(1));
        }
    }
}

#[route("/blocking")]
async fn blocking(_req: &mut Request, _res: &mut Response) {
    #[background(blocking)]
    fn never_returns() {
        say("started");
        loop {
            thread::sleep(Duration::from_secs(1));
        }
    }
}

#[route("/blocking_timeout")]
async fn blocking_timeout(_req: &mut Request, _res: &mut Response) {
    #[background(blocking, timeout = "10ms")]
    fn never_returns_in_time() {
        thread::sleep(Duration::from_millis(50));
        say("started");
        loop {
            thread::sleep(Duration::from_secs(1));
        }
    }
}

#[route("/obeys")]
async fn obeys(_req: &mut Request, _res: &mut Response) {
    #[background(blocking)]
    fn looks() {
        say("started");
        while !background::current().is_cancelled() {
            thread::sleep(Duration::from_millis(1));
        }
        say("obeyed");
    }
}

#[route("/big")]
async fn big(_req: &mut Request, res: &mut Response) {
    res.bytes(vec![0; 64 << 20]);

    #[background]
    async fn after_big() {
        match background::current().delivery() {
            Delivery::Aborted { .. } => say("aborted"),
            _ => say("sent"),
        }
    }
}

/// Not a test: what a child process runs.
#[test]
#[ignore = "run by the others, in a process of its own"]
fn child() {
    let Ok(scenario) = env::var(SCENARIO) else {
        return;
    };
    let (millis, runner) = scenario.split_once(' ').expect("a time and a runner");
    let kind = runner;
    let runner = match runner {
        "current" => Runner::current(),
        _ => Runner::dedicated(1),
    };
    let drain = Duration::from_millis(millis.parse().expect("a number"));
    let runner = runner.drain_timeout(drain);
    let served = bocadillo::__private::block_on(async {
        bocadillo::__private::want_log();
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        println!("port {}", listener.local_addr()?.port());
        let app = App::new()
            .route(index)
            .route(late)
            .route(forever)
            .route(stuck)
            .route(blocking)
            .route(blocking_timeout)
            .route(obeys)
            .route(big)
            .background(runner);
        match kind {
            "early" => app.serve_with(Early(listener)).await,
            "starting" => start_slowly(app).serve_with(listener).await,
            "told" => {
                // What many programs have: a handler of Ctrl-C, which keeps the second one from
                // ending the process.
                let told = async { drop(tokio::signal::ctrl_c().await) };
                app.with_graceful_shutdown(told).serve_with(listener).await
            }
            _ => app.serve_with(listener).await,
        }
    });
    let served = served.expect("the system has a runtime");
    if let Err(error) = &served {
        eprintln!("Error: {error}");
    }
    std::process::exit(i32::from(served.is_err()));
}

/// Does not come to its start.
fn start_slowly(app: App) -> App {
    app.on_startup(|| async {
        say("starting");
        std::future::pending().await
    })
    .on_shutdown(|| async {
        say("closed");
        Ok(())
    })
}

/// Has its own process end, before it accepts anything.
struct Early(TcpListener);

impl Listener for Early {
    type Io = TcpStream;

    async fn accept(&mut self) -> io::Result<(TcpStream, Option<SocketAddr>)> {
        signal(std::process::id(), "TERM");
        Listener::accept(&mut self.0).await
    }
}

fn signal(process: u32, name: &str) {
    let kill = format!("kill -{name} {process}");
    let status = Command::new("sh").args(["-c", &kill]).status();
    assert!(status.is_ok_and(|status| status.success()), "{kill}");
}

pub(crate) struct Server {
    child: Child,
    pub(crate) addr: SocketAddr,
    lines: Receiver<String>,
    /// What it has written so far.
    pub(crate) seen: Vec<String>,
}

impl Server {
    pub(crate) fn start(drain: Duration, runner: &str) -> Self {
        let mut child = Command::new(env::current_exe().expect("this test's path"))
            .args(["child::child", "--exact", "--ignored", "--nocapture"])
            .env(SCENARIO, format!("{} {runner}", drain.as_millis()))
            .env("RUST_LOG", "info")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("this test runs again");
        let (tx, lines) = mpsc::channel();
        let stdout = child.stdout.take().expect("piped");
        let stderr = child.stderr.take().expect("piped");
        forward(BufReader::new(stdout), tx.clone());
        forward(BufReader::new(stderr), tx);
        let mut server = Self {
            child,
            addr: ([127, 0, 0, 1], 0).into(),
            lines,
            seen: Vec::new(),
        };
        let line = server.wait_for("port ");
        server.addr.set_port(line[5..].parse().expect("a port"));
        server
    }

    /// Waits for a line that contains this.
    pub(crate) fn wait_for(&mut self, what: &str) -> String {
        let end = Instant::now() + PATIENCE;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let Ok(line) = self.lines.recv_timeout(left) else {
                panic!("the server did not write `{what}`, but {:#?}", self.seen);
            };
            self.seen.push(line.clone());
            if line.contains(what) {
                return line;
            }
        }
    }

    pub(crate) fn signal(&self, name: &str) {
        signal(self.child.id(), name);
    }

    /// Waits for the process's end; returns how it ended, and reads what it wrote.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let end = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("a child") {
                break status;
            }
            assert!(Instant::now() < end, "still there: {:#?}", self.seen);
            thread::sleep(Duration::from_millis(5));
        };
        self.seen.extend(self.lines.iter());
        status
    }

    pub(crate) fn wrote(&self, what: &str) -> bool {
        self.seen.iter().any(|line| line.contains(what))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn forward(lines: impl std::io::BufRead + Send + 'static, tx: mpsc::Sender<String>) {
    thread::spawn(move || {
        for line in lines.lines().map_while(Result::ok) {
            let _ = tx.send(line);
        }
    });
}
