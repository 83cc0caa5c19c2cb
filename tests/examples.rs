//! Every example does what its first lines say: they are run, by the shell, against it.
//!
//! Such a line is `curl …   # 201, log: text`: the status, and what the log has in the end. Or it is
//! `(run it again)   # log: text`: the example is killed, if it lives, and started again. They need
//! `curl`, and the port that the examples listen on; without `curl` this says so, and does nothing.
#![cfg(all(
    unix,
    feature = "axum",
    feature = "cookie",
    feature = "sqlite",
    feature = "file",
    feature = "multipart",
    feature = "tls"
))]
#![allow(clippy::print_stdout, reason = "says what was not run")]

use std::{
    env, fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::{Duration, Instant},
};

const PATIENCE: Duration = Duration::from_secs(30);

/// A line to try.
struct Try {
    /// Without one it is started again.
    command: Option<String>,
    status: u16,
    log: Option<String>,
}

fn tries(source: &str) -> Vec<Try> {
    let head = source.lines().take_while(|line| line.starts_with("//!"));
    let lines = head.filter_map(|line| line.strip_prefix("//! "));
    lines
        .filter_map(|line| {
            if let Some(again) = line.strip_prefix("(run it again)") {
                let (_, log) = again.split_once("# log: ")?;
                return Some(Try {
                    command: None,
                    status: 0,
                    log: Some(log.to_owned()),
                });
            }
            let (command, expected) = line.strip_prefix("curl ")?.split_once("# ")?;
            let (status, log) = match expected.split_once(", log: ") {
                Some((status, log)) => (status, Some(log.to_owned())),
                None => (expected, None),
            };
            Some(Try {
                command: Some(format!("curl -s -w '\\n%{{http_code}}' {}", command.trim())),
                status: status.trim().parse().expect("a status"),
                log,
            })
        })
        .collect()
}

struct Example {
    child: Child,
    log: Receiver<String>,
    seen: Vec<String>,
}

impl Example {
    fn start(binary: &Path) -> Self {
        let mut child = Command::new(binary)
            .env("RUST_LOG", "info")
            .stderr(Stdio::piped())
            .spawn()
            .expect("it was built");
        let stderr = BufReader::new(child.stderr.take().expect("it is piped"));
        let (lines, log) = channel();
        thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                let _ = lines.send(line);
            }
        });
        let mut example = Self {
            child,
            log,
            seen: Vec::new(),
        };
        example.wait_for("listening on");
        example
    }

    fn wait_for(&mut self, what: &str) {
        let until = Instant::now() + PATIENCE;
        while !self.seen.iter().any(|line| line.contains(what)) {
            let left = until.saturating_duration_since(Instant::now());
            let Ok(line) = self.log.recv_timeout(left) else {
                panic!("`{what}` is not in the log: {:#?}", self.seen);
            };
            self.seen.push(line);
        }
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn run(command: &str) -> u16 {
    let output = Command::new("sh")
        .args(["-c", command])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("a shell");
    let text = String::from_utf8_lossy(&output.stdout);
    let status = text.lines().last().unwrap_or_default();
    status
        .parse()
        .unwrap_or_else(|_| panic!("{command}: {text}"))
}

/// Builds them; returns where they are.
fn build() -> PathBuf {
    let status = Command::new(env!("CARGO"))
        .args([
            "build",
            "--quiet",
            "--locked",
            "--examples",
            "--all-features",
        ])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status();
    assert!(
        status.is_ok_and(|status| status.success()),
        "they do not build"
    );
    let test = env::current_exe().expect("this test's path");
    let folder = test.ancestors().nth(2).expect("a target folder");
    folder.join("examples")
}

#[test]
fn examples_do_what_they_say() {
    if Command::new("curl").arg("--version").output().is_err() {
        println!("not run: no curl");
        return;
    }
    let built = build();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let index = fs::read_to_string(folder.join("README.md")).expect("an index");
    let mut names = Vec::new();
    for entry in fs::read_dir(&folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            names.push(path);
        }
    }
    names.sort();
    assert!(names.len() >= 12, "only {} examples", names.len());
    for path in names {
        let name = path
            .file_stem()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        let source = fs::read_to_string(&path).expect("it is there");
        assert!(
            index.contains(&format!("({name}.rs)")),
            "{name} is not in the index"
        );
        assert!(source.lines().count() <= 120, "{name} is long");
        let tries = tries(&source);
        assert!(!tries.is_empty(), "{name} has nothing to try");
        let mut example = Example::start(&built.join(&name));
        for it in tries {
            match &it.command {
                Some(command) => assert_eq!(run(command), it.status, "{name}: {command}"),
                None => {
                    drop(example);
                    example = Example::start(&built.join(&name));
                }
            }
            if let Some(log) = it.log {
                example.wait_for(&log);
            }
        }
    }
}
