//! The bench's own client: for where there is no `wrk`. It checks every answer.
#![allow(clippy::print_stdout, reason = "the numbers are what it is for")]

use std::io;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::runtime::Builder;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::Result;

/// Connections, each with one request at a time.
pub(crate) const CONNECTIONS: usize = 32;

/// The body of each request.
pub(crate) const ORDER: &str = r#"{"email":"a@example.net","item":"bocadillo","count":2}"#;
/// That of each answer.
const CREATED: &[u8] = br#"{"id":12345678}"#;

/// How long one answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Asks a server for so long and prints how often it has answered.
pub(crate) fn run(port: u16, time: Duration) -> Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let begun = Instant::now();
    let answered = runtime.block_on(async {
        let end = begun + time;
        let mut connections = JoinSet::new();
        for _ in 0..CONNECTIONS {
            connections.spawn(ask(port, end));
        }
        let mut answered = 0;
        while let Some(ended) = connections.join_next().await {
            answered += ended??;
        }
        Ok::<u64, Box<dyn std::error::Error>>(answered)
    })?;
    let taken = begun.elapsed();
    println!("{answered} requests in {taken:?}");
    println!("Requests/sec: {}", answered as f64 / taken.as_secs_f64());
    Ok(())
}

async fn ask(port: u16, end: Instant) -> io::Result<u64> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    stream.set_nodelay(true)?;
    let request = format!(
        "POST /orders HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{ORDER}",
        ORDER.len()
    );
    let mut answer = Vec::with_capacity(1024);
    let mut answered = 0;
    while Instant::now() < end {
        stream.write_all(request.as_bytes()).await?;
        answer.clear();
        timeout(PATIENCE, read(&mut stream, &mut answer)).await??;
        answered += 1;
    }
    Ok(answered)
}

/// Reads one answer: its body is known, and the last of it.
async fn read(stream: &mut TcpStream, answer: &mut Vec<u8>) -> io::Result<()> {
    while !answer.ends_with(CREATED) {
        let read = stream.read_buf(answer).await?;
        if read == 0 || !answer.starts_with(b"HTTP/1.1 201"[..answer.len().min(12)].as_ref()) {
            let answer = String::from_utf8_lossy(answer);
            return Err(io::Error::other(format!("wrong response: {answer:?}")));
        }
    }
    Ok(())
}
