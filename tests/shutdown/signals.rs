//! Signals to a process that serves, on both protocols.

use std::{
    net::TcpStream,
    time::{Duration, Instant},
};

use crate::{
    child::Server,
    client::{Asked, BOTH, Protocol},
    support::PATIENCE,
};

const SECOND: Duration = Duration::from_secs(1);

/// Connects, asks, and waits until the task has begun.
fn started(server: &mut Server, protocol: Protocol, path: &str) -> Asked {
    let asked = Asked::new(protocol, server.addr, path);
    server.wait_for("say started");
    asked
}

#[test]
fn what_is_under_way_is_finished() {
    for (signal, runner) in [("TERM", "dedicated"), ("INT", "current")] {
        for protocol in BOTH {
            let mut server = Server::start(20 * SECOND, runner);
            let mut idle = Asked::new(protocol, server.addr, "/");
            assert_eq!(idle.head().status(), 200);
            let asked = Asked::new(protocol, server.addr, "/late");
            server.wait_for("say asked");
            server.signal(signal);
            assert_eq!(asked.rest(), "late", "{protocol:?}");
            assert_eq!(server.wait().code(), Some(0), "{:#?}", server.seen);
            assert!(server.wrote("say confirmed"), "{:#?}", server.seen);
            assert!(server.wrote("say followed up"), "{:#?}", server.seen);
            assert!(TcpStream::connect(server.addr).is_err(), "it has ended");
        }
    }
}

#[test]
fn an_idle_connection_is_closed() {
    for protocol in BOTH {
        let mut server = Server::start(20 * SECOND, "dedicated");
        let idle = Asked::new(protocol, server.addr, "/");
        let late = Asked::new(protocol, server.addr, "/late");
        server.wait_for("say asked");
        server.signal("TERM");
        assert_eq!(idle.rest(), "hello", "{protocol:?}");
        assert_eq!(late.rest(), "late", "{protocol:?}");
        assert_eq!(server.wait().code(), Some(0));
    }
}

#[test]
fn new_connections_are_refused_at_once() {
    let mut server = Server::start(20 * SECOND, "dedicated");
    let asked = Asked::new(Protocol::Http1, server.addr, "/late");
    server.wait_for("say asked");
    server.signal("TERM");
    server.wait_for("shutting down");
    assert!(TcpStream::connect(server.addr).is_err(), "it still accepts");
    assert_eq!(asked.rest(), "late");
    assert_eq!(server.wait().code(), Some(0));
}

/// From the first connection that could come, a signal is seen: a few rounds, as it is about which of
/// two things is first.
#[test]
fn a_signal_at_the_very_start_is_seen() {
    for _ in 0..8 {
        let mut server = Server::start(20 * SECOND, "early");
        assert_eq!(server.wait().code(), Some(0), "{:#?}", server.seen);
        assert!(server.wrote("shutting down"), "{:#?}", server.seen);
    }
}

#[test]
fn a_task_that_never_ends_is_cut_off_at_the_deadline_and_named() {
    for (runner, protocol) in ["dedicated", "current"].into_iter().zip(BOTH) {
        let mut server = Server::start(SECOND, runner);
        let _asked = started(&mut server, protocol, "/forever");
        let begun = Instant::now();
        server.signal("TERM");
        assert_eq!(server.wait().code(), Some(1), "{:#?}", server.seen);
        let took = begun.elapsed();
        assert!(took >= SECOND * 9 / 10, "{took:?}: before the deadline");
        assert!(took < SECOND * 5, "{took:?}: long after the deadline");
        assert!(server.wrote("say cancelled"), "it was asked to end");
        assert!(server.wrote("cut off `never_ends`"), "{:#?}", server.seen);
    }
}

#[test]
fn what_cannot_be_ended_is_named_and_the_exit_code_says_so() {
    for (runner, protocol) in ["dedicated", "current"].into_iter().zip(BOTH) {
        for (path, name) in [
            ("/stuck", "never_yields"),
            ("/blocking", "never_returns"),
            // It has timed out long before; its thread goes on.
            ("/blocking_timeout", "never_returns_in_time"),
        ] {
            let mut server = Server::start(SECOND, runner);
            let _asked = started(&mut server, protocol, path);
            server.signal("TERM");
            assert_eq!(server.wait().code(), Some(1), "{:#?}", server.seen);
            let line = format!("still running `{name}` (tests/shutdown/child.rs:");
            assert!(server.wrote(&line), "{:#?}", server.seen);
            assert!(!server.wrote("cut off `"), "{:#?}", server.seen);
        }
    }
}

#[test]
fn a_function_that_blocks_can_see_that_it_is_to_end() {
    let mut server = Server::start(2 * SECOND, "dedicated");
    let _asked = started(&mut server, Protocol::Http1, "/obeys");
    server.signal("TERM");
    assert_eq!(server.wait().code(), Some(0), "{:#?}", server.seen);
    assert!(server.wrote("say obeyed"), "{:#?}", server.seen);
    assert!(!server.wrote("still running"), "{:#?}", server.seen);
}

#[test]
fn a_slow_reader_does_not_take_the_time_of_the_tasks() {
    for protocol in BOTH {
        let mut server = Server::start(2 * SECOND, "dedicated");
        let mut asked = Asked::new(protocol, server.addr, "/big");
        // The head has come: the rest is stuck, since nobody reads it.
        let _response = asked.head();
        let begun = Instant::now();
        server.signal("TERM");
        assert_eq!(server.wait().code(), Some(0), "{:#?}", server.seen);
        assert!(
            begun.elapsed() < 2 * SECOND,
            "{protocol:?}: it took all of the time"
        );
        assert!(server.wrote("say aborted"), "{:#?}", server.seen);
    }
}

#[test]
fn a_second_signal_ends_at_once() {
    for ((path, runner), protocol) in [("/forever", "dedicated"), ("/stuck", "current")]
        .into_iter()
        .zip(BOTH)
    {
        let mut server = Server::start(PATIENCE * 2, runner);
        let _asked = started(&mut server, protocol, path);
        server.signal("TERM");
        server.wait_for("shutting down");
        server.signal("TERM");
        assert_eq!(server.wait().code(), Some(128 + 15), "{:#?}", server.seen);
        assert!(server.wrote("second signal;"), "{:#?}", server.seen);
        let name = if path == "/forever" {
            "never_ends"
        } else {
            "never_yields"
        };
        let cut_off = |line: &String| line.contains("cut off") && line.contains(name);
        assert!(server.seen.iter().any(cut_off), "{:#?}", server.seen);
    }
}

/// The program's own handler of Ctrl-C has told the server to end; it swallows the second one.
#[test]
fn a_second_signal_ends_a_server_at_once_that_something_else_told_to_end() {
    let mut server = Server::start(PATIENCE * 2, "told");
    let _asked = started(&mut server, Protocol::Http1, "/forever");
    server.signal("INT");
    server.wait_for("shutting down");
    server.signal("INT");
    assert_eq!(server.wait().code(), Some(128 + 2), "{:#?}", server.seen);
    let cut_off = |line: &String| line.contains("cut off") && line.contains("never_ends");
    assert!(server.seen.iter().any(cut_off), "{:#?}", server.seen);
}

#[test]
fn a_signal_while_the_app_starts_ends_it_and_calls_its_on_shutdown() {
    let mut server = Server::start(20 * SECOND, "starting");
    server.wait_for("say starting");
    server.signal("TERM");
    assert_eq!(server.wait().code(), Some(0), "{:#?}", server.seen);
    assert!(server.wrote("say closed"), "{:#?}", server.seen);
}
