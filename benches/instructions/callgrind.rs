//! One server under callgrind: started, driven, ended, counted; every wait is bounded.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use crate::Result;
use crate::build::Server as Measured;
use crate::client::{self, Scenario};

/// Ample even for a busy machine: valgrind slows the start down to about a second.
const PATIENCE: Duration = Duration::from_secs(60);

/// Lets the last request's task end before the server does.
const SETTLE: Duration = Duration::from_millis(100);

/// Refuses early when valgrind cannot be run.
pub(crate) fn check_installed() -> Result<()> {
    let output = Command::new("valgrind").arg("--version").output();
    if output.is_ok_and(|output| output.status.success()) {
        return Ok(());
    }
    Err("`valgrind` cannot be run; install it (`apt-get install valgrind`)".into())
}

/// Instructions of the server's whole life, in which it answers `requests` requests.
pub(crate) fn count(
    folder: &Path,
    server: &Measured,
    scenario: &Scenario,
    requests: u64,
) -> Result<u64> {
    let mut server = Server::start(folder, server)?;
    let driven = server.drive(scenario, requests);
    let log = server.end()?;
    check_tally(driven, &server, scenario.tally * requests)
        // What a failed server wrote is all that is left of it.
        .map_err(|error| format!("{error}\n{log}"))?;
    collected(&log).ok_or_else(|| format!("no `Collected :` line from callgrind:\n{log}").into())
}

fn check_tally(driven: Result<()>, server: &Server, expected: u64) -> Result<()> {
    driven?;
    let tally: u64 = server.value_of("tally ")?.parse()?;
    if tally == expected {
        return Ok(());
    }
    Err(format!("the tasks counted {tally} bytes instead of {expected}").into())
}

fn collected(log: &str) -> Option<u64> {
    let (_, rest) = log.split_once("Collected : ")?;
    rest.split_whitespace().next()?.parse().ok()
}

/// A server under callgrind, killed when dropped.
struct Server {
    child: Child,
    /// What it prints, by a thread of its own, so that waiting for a line has a limit.
    lines: Receiver<String>,
}

impl Server {
    fn start(folder: &Path, server: &Measured) -> Result<Self> {
        let mut child = Command::new("valgrind")
            .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
            .arg(server.binary(folder))
            .args(server.variant)
            // A filter set for something else would have our server log each request.
            .env_remove("RUST_LOG")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let stdout = child.stdout.take().expect("stdout was asked for as a pipe");
        let lines = lines_of(stdout);
        Ok(Self { child, lines })
    }

    fn drive(&self, scenario: &Scenario, requests: u64) -> Result<()> {
        let port = self.value_of("port ")?.parse()?;
        client::drive(port, scenario, requests)?;
        thread::sleep(SETTLE);
        Ok(())
    }

    /// The rest of the first line to come that begins with `key`.
    fn value_of(&self, key: &str) -> Result<String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = self
                .lines
                .recv_timeout(left)
                .map_err(|error| format!("the server printed no `{key}` line: {error}"))?;
            if let Some(value) = line.strip_prefix(key) {
                return Ok(value.to_owned());
            }
        }
    }

    /// Closes stdin, at which the server exits, and returns what it and callgrind wrote to stderr.
    fn end(&mut self) -> Result<String> {
        drop(self.child.stdin.take());
        let deadline = Instant::now() + PATIENCE;
        while self.child.try_wait()?.is_none() {
            if Instant::now() > deadline {
                return Err("the server did not exit when its stdin was closed".into());
            }
            thread::sleep(Duration::from_millis(10));
        }
        let mut log = String::new();
        if let Some(mut stderr) = self.child.stderr.take() {
            stderr.read_to_string(&mut log)?;
        }
        Ok(log)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail only for a server that has ended, which is what they are for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn lines_of(stdout: ChildStdout) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(|line| line.ok()) {
            // Without a receiver the measurement is over.
            let _ = sender.send(line);
        }
    });
    receiver
}
