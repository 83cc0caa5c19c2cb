//! A server in a process of its own, to be killed: this test's own program, started again.

use std::{
    fs::OpenOptions,
    io::{BufRead as _, BufReader, Write as _},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child as Process, Command, ExitStatus, Stdio},
    time::Duration,
};

use bocadillo::{
    App, Request, Response, Runner, background,
    durable::{Sqlite, Store as _},
    route, task,
};
use tokio::net::TcpListener;

/// The folder of the database and of the log, in a child.
const FOLDER: &str = "BOCADILLO_TEST_DURABLE";

struct Log(PathBuf);

impl Log {
    /// One write, so that a line is whole or not there.
    fn write(&self, line: &str) {
        let file = OpenOptions::new().append(true).create(true).open(&self.0);
        let written = file.and_then(|mut file| file.write_all(format!("{line}\n").as_bytes()));
        written.expect("the log can be written");
    }
}

fn log(line: &str) {
    let log = background::current().state::<Log>().expect("the app's");
    log.write(line);
}

#[task(name = "child.record", backoff = "10ms..50ms")]
async fn record(number: u64, padding: String) {
    drop(padding);
    log(&number.to_string());
}

#[task(name = "child.poison", retries = 2)]
async fn poison() {
    log("poison");
    std::process::abort();
}

#[task(name = "child.slow")]
async fn slow() {
    log("slow");
    std::future::pending::<()>().await;
}

#[route("/record/{number}", methods = ["post"])]
async fn create(_req: &mut Request, res: &mut Response, number: u64) {
    res.background(record(number, String::new()));
    res.status(201);
}

#[route("/large/{number}", methods = ["post"])]
async fn create_large(_req: &mut Request, res: &mut Response, number: u64) {
    res.background(record(number, "x".repeat(100_000)));
    res.status(201);
}

#[route("/poison", methods = ["post"])]
async fn create_poison(_req: &mut Request, res: &mut Response) {
    res.background(poison());
}

#[route("/slow", methods = ["post"])]
async fn create_slow(_req: &mut Request, res: &mut Response) {
    res.background(slow());
}

/// How many tasks are not dead.
#[route("/left")]
async fn left(req: &mut Request, res: &mut Response) -> bocadillo::Result<()> {
    let counts = req.state::<Sqlite>()?.counts().await?;
    let left: u64 = counts
        .iter()
        .map(|counts| counts.queued + counts.held)
        .sum();
    res.text(left.to_string());
    Ok(())
}

/// The child: does nothing in the test itself.
#[test]
fn child() {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else {
        return;
    };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let served = runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let store = Sqlite::open(folder.join("tasks.db"))?;
        let runner = Runner::dedicated(2).drain_timeout(Duration::from_secs(2));
        let app = App::new()
            .route(create)
            .route(create_large)
            .route(create_poison)
            .route(create_slow)
            .route(left)
            .state(Log(folder.join("ran.log")))
            .state(store.clone())
            .background(runner.store(store));
        println!("\nlistening on {}", listener.local_addr()?);
        app.serve_with(listener).await
    });
    // A task that was cut off is an error.
    println!("ended: {served:?}");
}

/// A child that serves.
pub(crate) struct Child {
    process: Process,
    pub(crate) addr: SocketAddr,
}

impl Child {
    pub(crate) fn start(folder: &Path) -> Self {
        let program = std::env::current_exe().expect("this program");
        Self::spawn(Command::new(program), folder)
    }

    /// As [`start`](Self::start), in a process that can write no file beyond so many KiB.
    #[cfg(unix)]
    pub(crate) fn start_limited(folder: &Path, kib: usize) -> Self {
        let program = std::env::current_exe().expect("this program");
        let mut shell = Command::new("bash");
        let limit = format!("trap '' XFSZ; ulimit -f {kib}; exec \"$0\" \"$@\"");
        shell.arg("-c").arg(limit).arg(program);
        Self::spawn(shell, folder)
    }

    fn spawn(mut command: Command, folder: &Path) -> Self {
        let mut process = command
            .args(["child::child", "--exact", "--nocapture", "--test-threads=1"])
            .env(FOLDER, folder)
            .env("RUST_LOG", "off")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program starts");
        let stdout = process.stdout.take().expect("it is piped");
        let mut lines = BufReader::new(stdout).lines().map_while(Result::ok);
        let addr = lines.find_map(|line| {
            let addr = line.strip_prefix("listening on ")?;
            addr.parse().ok()
        });
        // It must not block where it writes.
        std::thread::spawn(move || lines.for_each(drop));
        let addr = addr.expect("the child serves");
        Self { process, addr }
    }

    /// Kills it, as `kill -9` does.
    pub(crate) fn kill(mut self) {
        self.process.kill().expect("it runs");
        self.process.wait().expect("it has ended");
    }

    /// Ends it by SIGTERM.
    pub(crate) fn terminate(&mut self) -> ExitStatus {
        let process = self.process.id().to_string();
        let status = Command::new("kill").arg(process).status();
        assert!(status.is_ok_and(|status| status.success()));
        self.process.wait().expect("it has ended")
    }

    /// Waits until it has died by itself.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.process.wait().expect("it has ended")
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
