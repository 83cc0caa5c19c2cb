//! An HTTP/1 connection: pipelined requests, and where each response ended.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::{
    io::{ClientIo, pipe},
    lock,
    plan::Plan,
    rng::Rng,
    server::{Counts, Method, Range, serve},
};

pub async fn connection(mut rng: Rng, method: Method) -> Counts {
    let plans: Arc<Vec<_>> = Arc::new((0..rng.range(1, 16)).map(|_| Plan::new(&mut rng)).collect());
    let (io, client, pipe) = pipe(&mut rng);
    let counts_exactly = io.counts_exactly();
    let reports = Arc::new(Mutex::new(vec![Vec::new(); plans.len()]));
    let server = serve(
        io,
        Arc::clone(&pipe),
        Arc::clone(&plans),
        Arc::clone(&reports),
        method,
    );
    let server = tokio::spawn(server);
    talk(client, &plans, rng.fork()).await;
    server.await.expect("the server does not panic");

    let pipe = lock(&pipe);
    let parsed = parse(&pipe.accepted, &plans);
    let mut counts = Counts::default();
    for (n, reports) in lock(&reports).iter().enumerate() {
        let response = parsed.get(n).copied().unwrap_or_default();
        // A request that never reached the service has neither response nor report.
        if reports.is_empty() && response.begin.is_none() {
            continue;
        }
        let body = response.body;
        let all = plans[n].chunks.iter().map(|&size| size as u64).sum();
        let high = if counts_exactly { body } else { all };
        counts.judge(
            reports,
            response.end,
            pipe.flushed,
            Range { low: body, high },
        );
    }
    counts
}

/// Sends all requests, reads what comes, and perhaps leaves in the middle.
async fn talk(mut client: ClientIo, plans: &[Plan], mut rng: Rng) {
    for (n, plan) in plans.iter().enumerate() {
        let method = if plan.head { "HEAD" } else { "POST" };
        let last = if n + 1 == plans.len() {
            "connection: close\r\n"
        } else {
            ""
        };
        let upload = "u".repeat(plan.upload);
        let request = format!(
            "{method} / HTTP/1.1\r\nhost: a\r\nx-number: {n}\r\nte: trailers\r\n{last}content-length: {}\r\n\r\n{upload}",
            upload.len()
        );
        let _ = client.write_all(request.as_bytes()).await;
    }
    let mut left = if rng.one_in(4) {
        rng.size(100_000)
    } else {
        usize::MAX
    };
    let mut buffer = [0; 4096];
    while left > 0 {
        let size = left.min(buffer.len());
        match client.read(&mut buffer[..size]).await {
            Ok(0) | Err(_) => break,
            Ok(size) => left -= size,
        }
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Parsed {
    begin: Option<usize>,
    end: Option<usize>,
    body: u64,
}

fn parse(bytes: &[u8], plans: &[Plan]) -> Vec<Parsed> {
    let mut parsed = Vec::new();
    let mut at = 0;
    for plan in plans {
        if at >= bytes.len() {
            break;
        }
        let mut response = Parsed {
            begin: Some(at),
            ..Parsed::default()
        };
        let end = parse_one(&bytes[at..], plan, &mut response);
        response.end = end.map(|end| at + end);
        parsed.push(response);
        match end {
            Some(end) => at += end,
            None => break,
        }
    }
    parsed
}

/// Returns where the response ends, if it does.
fn parse_one(bytes: &[u8], plan: &Plan, parsed: &mut Parsed) -> Option<usize> {
    let head = find(bytes, b"\r\n\r\n")? + 4;
    let text = std::str::from_utf8(&bytes[..head])
        .expect("a head is text")
        .to_lowercase();
    assert!(
        text.starts_with(&format!("http/1.1 {}", plan.status)),
        "{plan:?}: {text}"
    );
    if plan.has_no_content() {
        return Some(head);
    }
    if text.contains("transfer-encoding: chunked") {
        return parse_chunked(bytes, head, parsed);
    }
    let length = text.split("content-length: ").nth(1).expect("a length");
    let length: usize = length
        .split('\r')
        .next()
        .and_then(|n| n.parse().ok())
        .expect("a number");
    parsed.body = length.min(bytes.len() - head) as u64;
    (bytes.len() >= head + length).then_some(head + length)
}

fn parse_chunked(bytes: &[u8], mut at: usize, parsed: &mut Parsed) -> Option<usize> {
    loop {
        let line = at + find(&bytes[at..], b"\r\n")?;
        let size = std::str::from_utf8(&bytes[at..line]).expect("a size is text");
        let size = usize::from_str_radix(size, 16).expect("a size");
        at = line + 2;
        if size == 0 {
            // Trailers, or the empty line.
            loop {
                let line = at + find(&bytes[at..], b"\r\n")?;
                let is_last = line == at;
                at = line + 2;
                if is_last {
                    return Some(at);
                }
            }
        }
        parsed.body += size.min(bytes.len() - at) as u64;
        at += size + 2;
        if at > bytes.len() {
            return None;
        }
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}
