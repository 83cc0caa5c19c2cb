//! By HTTP/1.1: written and read by hand.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::thread;

use super::{HEADERS, PATIENCE, PAUSE, Scenario};
use crate::Result;

pub(super) fn drive(port: u16, scenario: &Scenario, requests: u64) -> Result<()> {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut reader = BufReader::new(stream);
    let request = written(scenario);
    for number in 1..=requests {
        exchange(&mut reader, scenario, &request)
            .map_err(|error| format!("{}, request {number}: {error}", scenario.name))?;
        thread::sleep(PAUSE);
    }
    Ok(())
}

fn written(scenario: &Scenario) -> String {
    let Scenario { method, path, .. } = scenario;
    let mut request = format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\n");
    for (name, value) in HEADERS {
        request += &format!("{name}: {value}\r\n");
    }
    if let Some(json) = scenario.json {
        let length = json.len();
        request += &format!("content-type: application/json\r\ncontent-length: {length}\r\n");
    }
    request + "\r\n" + scenario.json.unwrap_or_default()
}

fn exchange(reader: &mut BufReader<TcpStream>, scenario: &Scenario, request: &str) -> Result<()> {
    reader.get_mut().write_all(request.as_bytes())?;
    let head = read_head(reader)?;
    let mut body = vec![0; content_length(&head)?];
    reader.read_exact(&mut body)?;
    scenario.check(status(&head)?, &body)
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

fn status(head: &str) -> Result<u16> {
    let status = head
        .strip_prefix("HTTP/1.1 ")
        .and_then(|rest| rest.get(..3));
    Ok(status
        .ok_or_else(|| format!("no status in:\n{head}"))?
        .parse()?)
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
