//! Signals to a process that serves.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use crate::{child::Server, support::PATIENCE};

const SECOND: Duration = Duration::from_secs(1);

fn connect(addr: SocketAddr, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(addr).expect("the server accepts");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let request = format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("it reads");
    stream
}

fn rest(mut stream: TcpStream) -> String {
    let mut text = Vec::new();
    stream.read_to_end(&mut text).expect("it closes");
    String::from_utf8_lossy(&text).into_owned()
}

/// Connects, asks, and waits until the task has begun.
fn started(server: &mut Server, path: &str) -> TcpStream {
    let stream = connect(server.addr, path);
    server.wait_for("say started");
    stream
}

#[test]
fn what_is_under_way_is_finished() {
    for (signal, runner) in [("TERM", "dedicated"), ("INT", "current")] {
        let mut server = Server::start(20 * SECOND, runner);
        let idle = connect(server.addr, "/");
        let stream = connect(server.addr, "/late");
        server.wait_for("say asked");
        server.signal(signal);
        let reply = rest(stream);
        assert!(reply.starts_with("HTTP/1.1 200"), "{reply}");
        assert!(reply.ends_with("late"), "{reply}");
        assert!(
            rest(idle).ends_with("hello"),
            "an idle connection is closed"
        );
        assert_eq!(server.wait().code(), Some(0), "{:#?}", server.seen);
        assert!(server.wrote("say confirmed"), "{:#?}", server.seen);
        assert!(server.wrote("say followed up"), "{:#?}", server.seen);
        assert!(TcpStream::connect(server.addr).is_err(), "it has ended");
    }
}

#[test]
fn new_connections_are_refused_at_once() {
    let mut server = Server::start(20 * SECOND, "dedicated");
    let stream = connect(server.addr, "/late");
    server.wait_for("say asked");
    server.signal("TERM");
    server.wait_for("shutting down");
    assert!(TcpStream::connect(server.addr).is_err(), "it still accepts");
    assert!(rest(stream).ends_with("late"));
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn a_task_that_never_ends_is_cut_off_at_the_deadline_and_named() {
    for runner in ["dedicated", "current"] {
        let mut server = Server::start(SECOND, runner);
        let _stream = started(&mut server, "/forever");
        let begun = Instant::now();
        server.signal("TERM");
        assert_eq!(server.wait().code(), Some(0), "{:#?}", server.seen);
        let took = begun.elapsed();
        assert!(took >= SECOND * 9 / 10, "{took:?}: before the deadline");
        assert!(took < SECOND * 5, "{took:?}: long after the deadline");
        assert!(server.wrote("say cancelled"), "it was asked to end");
        assert!(server.wrote("cut off `never_ends`"), "{:#?}", server.seen);
    }
}

#[test]
fn a_task_that_never_yields_is_named_and_the_exit_code_says_so() {
    for runner in ["dedicated", "current"] {
        let mut server = Server::start(SECOND, runner);
        let _stream = started(&mut server, "/stuck");
        server.signal("TERM");
        assert_eq!(server.wait().code(), Some(1), "{:#?}", server.seen);
        let line = "still running `never_yields` (tests/shutdown/child.rs:";
        assert!(server.wrote(line), "{:#?}", server.seen);
    }
}

#[test]
fn a_slow_reader_does_not_take_the_time_of_the_tasks() {
    let mut server = Server::start(2 * SECOND, "dedicated");
    let mut stream = connect(server.addr, "/big");
    // The head has come: the rest is stuck, since nobody reads it.
    stream.read_exact(&mut [0; 12]).expect("a status");
    let begun = Instant::now();
    server.signal("TERM");
    assert_eq!(server.wait().code(), Some(0), "{:#?}", server.seen);
    assert!(begun.elapsed() < 2 * SECOND, "it took all of the time");
    assert!(server.wrote("say aborted"), "{:#?}", server.seen);
}

#[test]
fn a_second_signal_ends_at_once() {
    for (path, runner) in [("/forever", "dedicated"), ("/stuck", "current")] {
        let mut server = Server::start(PATIENCE * 2, runner);
        let _stream = started(&mut server, path);
        server.signal("TERM");
        server.wait_for("shutting down");
        server.signal("TERM");
        assert_eq!(server.wait().code(), Some(128 + 15), "{:#?}", server.seen);
    }
}
