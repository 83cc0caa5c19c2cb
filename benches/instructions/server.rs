//! What the measured servers share, so that they differ only in how they answer: runtime, order, task and end.
#![allow(
    clippy::print_stdout,
    reason = "the driver reads the port and the tally from stdout"
)]

use std::env;
use std::fmt::Display;
use std::io::{self, Read as _};
use std::process;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;

use serde::Deserialize;
use tokio::net::TcpListener;
use tokio::runtime::Builder;

static EMAIL_BYTES: AtomicU64 = AtomicU64::new(0);

/// What a server has to print beside the tally.
pub(crate) static AT_END: OnceLock<fn()> = OnceLock::new();

/// The body of `POST /orders`.
#[derive(Deserialize)]
#[allow(dead_code, reason = "item and count are there to be parsed")]
pub(crate) struct Order {
    pub(crate) email: String,
    pub(crate) item: String,
    pub(crate) count: u32,
}

/// The answer to `POST /orders`, as JSON.
#[allow(dead_code, reason = "the driver knows it")]
pub(crate) const CREATED: &str = r#"{"id":12345678}"#;

/// The background task's work: as little as possible, but the driver can see that it was done. It
/// waits once, as real tasks do.
pub(crate) async fn confirm_later(email: &str) {
    tokio::task::yield_now().await;
    confirm(email);
}

/// The same for a task that never waits.
pub(crate) fn confirm(email: &str) {
    EMAIL_BYTES.fetch_add(email.len() as u64, Relaxed);
}

/// Whether the driver asks for this way of being served, where the server has several.
#[allow(dead_code, reason = "the peers have one")]
pub(crate) fn is_asked_for(way: &str) -> bool {
    env::args().skip(1).any(|argument| argument == way)
}

/// Worker threads: the number among the arguments.
fn workers() -> usize {
    let number = env::args()
        .skip(1)
        .find_map(|argument| argument.parse().ok());
    number.unwrap_or(1)
}

/// Runs a server on one worker thread, or as many as it is asked for, until the driver closes stdin.
pub(crate) fn run<F, E>(serve: impl FnOnce(TcpListener) -> F) -> io::Result<()>
where
    F: Future<Output = Result<(), E>>,
    E: Display,
{
    thread::spawn(exit_at_end_of_stdin);
    let runtime = Builder::new_multi_thread()
        .worker_threads(workers())
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        println!("port {}", listener.local_addr()?.port());
        serve(listener)
            .await
            .map_err(|error| io::Error::other(format!("{error:#}")))
    })
}

/// A thread and not a route: a route would add work to every measured request.
fn exit_at_end_of_stdin() {
    // An error ends the server as well as the end does.
    let _ = io::stdin().read_to_end(&mut Vec::new());
    println!("tally {}", EMAIL_BYTES.load(Relaxed));
    if let Some(print) = AT_END.get() {
        print();
    }
    process::exit(0);
}
