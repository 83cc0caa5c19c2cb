//! A measured server as a process of its own; every wait is bounded.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use crate::Result;

/// Ample even for a busy machine: valgrind slows the start down to about a second.
const PATIENCE: Duration = Duration::from_secs(60);

/// A started server, killed when dropped.
pub(crate) struct Process {
    child: Child,
    /// What it prints, by a thread of its own, so that waiting for a line has a limit.
    lines: Receiver<String>,
}

impl Process {
    pub(crate) fn start(command: &mut Command) -> Result<Self> {
        let mut child = command
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

    #[allow(dead_code, reason = "callgrind counts by itself")]
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The rest of the first line to come that begins with `key`.
    pub(crate) fn value_of(&self, key: &str) -> Result<String> {
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

    /// Closes stdin, at which the server exits, and returns what was written to stderr.
    pub(crate) fn end(&mut self) -> Result<String> {
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

impl Drop for Process {
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
