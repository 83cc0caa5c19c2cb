//! Is a response reported exactly when its last byte was accepted, and as what it was?
//!
//! Real hyper writes over a hostile IO in memory: it accepts 1 to n bytes at a time, is pending at
//! random, takes vectored writes or not, keeps bytes to itself until it is flushed (as TLS does),
//! and stops for a while when the client does not read. 1 to 16 requests are pipelined or
//! multiplexed; responses are empty, full, streamed, with trailers, HEAD, 204, 304, or fail; they
//! declare a length that they keep or do not keep, yield empty chunks, are always ready, and set
//! headers that frame the message; the client resets streams and closes the connection in the
//! middle. Afterwards the bytes that the IO accepted are parsed, as its client would, and each report
//! is held against the offset at which *its* response was complete. What the protocol calls broken
//! never is.
//!
//! `BOCADILLO_RESPONSES=100000` makes it longer, `BOCADILLO_SEED=n` repeats a run.

#![allow(unreachable_pub, reason = "a test has no outside")]

mod http1;
mod http2;
mod io;
mod plan;
#[path = "../support/rng.rs"]
mod rng;
mod server;

use std::{sync::Arc, time::Duration};

use rng::Rng;
use server::{Counts, Method};

/// How long 16 connections may take: far longer than they do.
const PATIENCE: Duration = Duration::from_secs(120);

/// Runs connections of one kind until at least `responses` were checked.
fn run(protocol: Protocol, method: Method, workers: usize, responses: usize) -> Counts {
    let seed = Rng::seed();
    eprintln!("seed: {seed} (BOCADILLO_SEED={seed} repeats this run)");
    let runtime = if workers == 0 {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
    } else {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(workers)
            .enable_all()
            .build()
    };
    let runtime = runtime.expect("a runtime");
    let mut rng = Rng::new(seed);
    let mut counts = Counts::default();
    while counts.responses < responses {
        let connections: Vec<_> = (0..16).map(|_| rng.fork()).collect();
        let tasks: Vec<_> = connections
            .into_iter()
            .map(|rng| {
                runtime.spawn(async move {
                    match protocol {
                        Protocol::Http1 => http1::connection(rng, method).await,
                        Protocol::Http2 => http2::connection(rng, method).await,
                    }
                })
            })
            .collect();
        for task in tasks {
            let one = runtime.block_on(async { tokio::time::timeout(PATIENCE, task).await });
            let one = one.unwrap_or_else(|_| panic!("seed {seed}: a connection hangs"));
            counts.add(&one.unwrap_or_else(|error| panic!("seed {seed}: {error}")));
        }
    }
    eprintln!("{protocol:?}, {method:?}, {workers} workers: {counts:?}");
    counts
}

#[derive(Clone, Copy, Debug)]
enum Protocol {
    Http1,
    Http2,
}

fn responses() -> usize {
    let wanted = std::env::var("BOCADILLO_RESPONSES");
    wanted.map_or(30_000, |number| number.parse().expect("a number"))
}

#[test]
fn exact_on_http1() {
    run(Protocol::Http1, Method::Tracked, 0, responses()).assert_exact();
}

#[test]
fn exact_on_http2_with_one_thread() {
    run(Protocol::Http2, Method::Tracked, 0, responses()).assert_exact();
}

#[test]
fn exact_on_http2_with_several_threads() {
    run(Protocol::Http2, Method::Tracked, 4, responses()).assert_exact();
}

/// The test is worth something only if it catches the designs that suggest themselves.
#[test]
fn catches_the_naive_designs() {
    let early = |protocol, method| run(protocol, method, 0, 1000).early;
    assert!(early(Protocol::Http1, Method::BodyDropped) > 0);
    assert!(early(Protocol::Http2, Method::BodyDropped) > 0);
    assert!(early(Protocol::Http2, Method::BodyDroppedThenFlush) > 0);
}

/// What hyper is given must not change what a client gets: on HTTP/1 this naive design is exact,
/// which shows that the harness itself finds no ghosts.
#[test]
fn finds_no_fault_where_there_is_none() {
    let counts = run(Protocol::Http1, Method::BodyDroppedThenFlush, 0, 1000);
    assert_eq!(counts.early, 0);
}

/// Shared by both protocols.
type Shared<T> = Arc<std::sync::Mutex<T>>;

fn lock<T>(shared: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    shared.lock().expect("no thread panicked with it")
}
