//! The client: one connection, one request at a time, each answer read whole and checked.

mod http1;
mod http2;

use std::time::Duration;

use crate::Result;

/// Between requests the server falls asleep: without this, how many requests share a wake-up is chance.
const PAUSE: Duration = Duration::from_millis(3);

const PATIENCE: Duration = Duration::from_secs(30);

/// What curl sends with each request, beside what HTTP wants.
const HEADERS: [(&str, &str); 2] = [("user-agent", "curl/8.14.1"), ("accept", "*/*")];

/// One kind of request and its right answer.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    protocol: Protocol,
    method: &'static str,
    path: &'static str,
    json: Option<&'static str>,
    status: u16,
    body: &'static str,
    /// What one request's background task adds to the server's tally.
    pub(crate) tally: u64,
}

#[derive(Clone, Copy)]
enum Protocol {
    Http1,
    Http2,
}

pub(crate) const SCENARIOS: [Scenario; 5] = [
    Scenario::plain("plain", Protocol::Http1),
    Scenario::orders("orders", Protocol::Http1),
    Scenario::at_once("task at once", Protocol::Http1),
    Scenario::plain("plain, HTTP/2", Protocol::Http2),
    Scenario::orders("orders, HTTP/2", Protocol::Http2),
];

impl Scenario {
    const fn plain(name: &'static str, protocol: Protocol) -> Self {
        Self {
            name,
            protocol,
            method: "GET",
            path: "/plain",
            json: None,
            status: 200,
            body: "hello",
            tally: 0,
        }
    }

    const fn orders(name: &'static str, protocol: Protocol) -> Self {
        Self {
            name,
            protocol,
            method: "POST",
            path: "/orders",
            json: Some(r#"{"email":"a@example.net","item":"bocadillo","count":2}"#),
            status: 201,
            body: r#"{"id":12345678}"#,
            tally: "a@example.net".len() as u64,
        }
    }

    /// The task ends without a wait.
    const fn at_once(name: &'static str, protocol: Protocol) -> Self {
        Self {
            path: "/at-once",
            body: "",
            ..Self::orders(name, protocol)
        }
    }

    fn check(&self, status: u16, body: &[u8]) -> Result<()> {
        if status == self.status && body == self.body.as_bytes() {
            return Ok(());
        }
        let body = String::from_utf8_lossy(body);
        Err(format!("wrong response, {status}: {body:?}").into())
    }
}

/// Sends `requests` requests and fails at the first wrong answer.
pub(crate) fn drive(port: u16, scenario: &Scenario, requests: u64) -> Result<()> {
    match scenario.protocol {
        Protocol::Http1 => http1::drive(port, scenario, requests),
        Protocol::Http2 => http2::drive(port, scenario, requests),
    }
}
