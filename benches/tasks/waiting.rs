//! What a task costs while it waits: the memory of a million that are asleep, and of a million that
//! wait for their turn. See `benches/README.md`.
#![allow(clippy::print_stdout, reason = "the table is what it is for")]
#![allow(clippy::cast_precision_loss, reason = "it is measured, not counted")]

use std::{env, fs, future, io, process::Command, process::ExitCode, time::Duration};

use bocadillo::{App, Request, Response, Runner, background, route, testing::Client};

const TASKS: usize = 1_000_000;
/// What each task captures itself.
const CAPTURED: usize = 32;
const CASES: [&str; 3] = ["tokio::spawn", "asleep", "waiting for their turn"];

/// What every case has a million of.
async fn sleeper(captured: [u8; CAPTURED]) {
    future::pending::<()>().await;
    std::hint::black_box(captured);
}

#[route("/")]
async fn index(_req: &mut Request, res: &mut Response) {
    #[background]
    async fn parent() {
        for _ in 0..TASKS {
            background::current().spawn(sleeper([1; CAPTURED]));
        }
    }
}

/// Runs one case, and prints the bytes of a task, without what it captures.
#[tokio::main(flavor = "current_thread")]
async fn case(name: &str) -> io::Result<()> {
    let before = resident()?;
    if name == "tokio::spawn" {
        for _ in 0..TASKS {
            tokio::spawn(sleeper([1; CAPTURED]));
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    } else {
        let running = if name == "asleep" { TASKS + 1 } else { 1 };
        let runner = Runner::current()
            .max_running(running)
            .max_waiting(TASKS + 1)
            .build();
        let client = Client::with_runner(App::new().route(index), runner.clone());
        client.get("/").await;
        while runner.stats().registered < TASKS as u64 + 1 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        // Each has had its first turn.
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let bytes = resident()?.saturating_sub(before) as f64 / TASKS as f64;
    println!("{:.0}", bytes - CAPTURED as f64);
    std::process::exit(0);
}

fn main() -> ExitCode {
    let run = match env::args().nth(1) {
        Some(name) => case(&name),
        None => all(),
    };
    match run {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("waiting: {error}");
            ExitCode::from(2)
        }
    }
}

/// Each in a process of its own.
fn all() -> io::Result<()> {
    println!("bytes of memory a task, of {TASKS}, without the {CAPTURED} that each captures");
    for name in CASES {
        let output = Command::new(env::current_exe()?).arg(name).output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        if !output.status.success() {
            let error = String::from_utf8_lossy(&output.stderr);
            return Err(io::Error::other(format!("{name}: {error}")));
        }
        println!("{name:<24} {:>6}", text.trim());
    }
    Ok(())
}

/// How much memory this process has, in bytes. Only Linux tells.
fn resident() -> io::Result<usize> {
    let pages = fs::read_to_string("/proc/self/statm")?;
    let pages = pages
        .split(' ')
        .nth(1)
        .and_then(|pages| pages.parse::<usize>().ok());
    pages
        .map(|pages| pages * 4096)
        .ok_or_else(|| io::Error::other("this system does not tell how much memory is in use"))
}
