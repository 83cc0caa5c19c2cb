//! The client: one keep-alive HTTP/1.1 connection, one request at a time, each answer read whole and checked.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::thread;
use std::time::Duration;

use crate::Result;

/// Between requests the server falls asleep: without this, how many requests share a wake-up is chance.
const PAUSE: Duration = Duration::from_millis(3);

const PATIENCE: Duration = Duration::from_secs(30);

/// One kind of request and its right answer.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    request: &'static str,
    status: &'static str,
    body: &'static str,
    /// What one request's background task adds to the server's tally.
    pub(crate) tally: u64,
}

pub(crate) const SCENARIOS: [Scenario; 2] = [
    Scenario {
        name: "plain",
        request: "GET /plain HTTP/1.1\r\nhost: localhost\r\nuser-agent: curl/8.14.1\r\naccept: */*\r\n\r\n",
        status: "HTTP/1.1 200 ",
        body: "hello",
        tally: 0,
    },
    Scenario {
        name: "orders",
        request: "POST /orders HTTP/1.1\r\nhost: localhost\r\nuser-agent: curl/8.14.1\r\naccept: */*\r\n\
            content-type: application/json\r\ncontent-length: 54\r\n\r\n\
            {\"email\":\"a@example.net\",\"item\":\"bocadillo\",\"count\":2}",
        status: "HTTP/1.1 201 ",
        body: "",
        tally: "a@example.net".len() as u64,
    },
];

/// Sends `requests` requests and fails at the first wrong answer.
pub(crate) fn drive(port: u16, scenario: &Scenario, requests: u64) -> Result<()> {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut reader = BufReader::new(stream);
    for number in 1..=requests {
        exchange(&mut reader, scenario)
            .map_err(|error| format!("{}, request {number}: {error}", scenario.name))?;
        thread::sleep(PAUSE);
    }
    Ok(())
}

fn exchange(reader: &mut BufReader<TcpStream>, scenario: &Scenario) -> Result<()> {
    reader.get_mut().write_all(scenario.request.as_bytes())?;
    let head = read_head(reader)?;
    let mut body = vec![0; content_length(&head)?];
    reader.read_exact(&mut body)?;
    if head.starts_with(scenario.status) && body == scenario.body.as_bytes() {
        return Ok(());
    }
    let body = String::from_utf8_lossy(&body);
    Err(format!("wrong response:\n{head}{body}").into())
}

fn read_head(reader: &mut BufReader<TcpStream>) -> Result<String> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head)? == 0 {
            return Err(format!("the connection ended after {head:?}").into());
        }
    }
    Ok(head)
}

fn content_length(head: &str) -> Result<usize> {
    for line in head.lines() {
        if let Some((name, value)) = line.split_once(':') {
            if name.eq_ignore_ascii_case("content-length") {
                return Ok(value.trim().parse()?);
            }
        }
    }
    Err(format!("no content-length in:\n{head}").into())
}
