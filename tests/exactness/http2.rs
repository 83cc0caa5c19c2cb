//! An HTTP/2 connection: multiplexed requests with random windows, resets and closes, and where
//! each response ended.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use h2::{Reason, client};
use http::Request;

use crate::{
    io::{ClientIo, pipe},
    lock,
    plan::Plan,
    rng::Rng,
    server::{Counts, Method, Range, Report, serve},
};

pub async fn connection(mut rng: Rng, method: Method) -> Counts {
    let plans: Arc<Vec<_>> = Arc::new((0..rng.range(1, 16)).map(|_| Plan::new(&mut rng)).collect());
    let (io, client, pipe) = pipe(&mut rng);
    let reports = Arc::new(Mutex::new(vec![Vec::new(); plans.len()]));
    let server = serve(
        io,
        Arc::clone(&pipe),
        Arc::clone(&plans),
        Arc::clone(&reports),
        method,
    );
    let server = tokio::spawn(server);
    let streams = talk(client, &plans, rng.fork()).await;
    server.await.expect("the server does not panic");
    let parsed = parse(&lock(&pipe).accepted);
    let responses: Vec<_> = (0..plans.len())
        .map(|n| {
            let parsed = streams.get(&n).and_then(|id| parsed.get(id));
            let mut response: Parsed = parsed.copied().unwrap_or_default();
            // RFC 9113, 8.1.1: it is malformed, however it ends.
            if plans[n]
                .length()
                .is_some_and(|length| response.body != length)
            {
                response.end = None;
            }
            response
        })
        .collect();
    settle(&responses, &reports).await;

    let flushed = lock(&pipe).flushed;
    let mut counts = Counts::default();
    for (n, reports) in lock(&reports).iter().enumerate() {
        // A request that never reached the service has neither response nor report.
        if reports.is_empty() && !responses[n].has_begun {
            continue;
        }
        let high = plans[n].chunks.iter().map(|&size| size as u64).sum();
        counts.judge(reports, responses[n].end, flushed, Range { low: 0, high });
    }
    counts
}

/// The task of a stream may outlive its connection for a moment. Bounded: what has not come after
/// ten seconds counts as never.
async fn settle(responses: &[Parsed], reports: &Mutex<Vec<Vec<Report>>>) {
    let is_settled = || {
        let reports = lock(reports);
        let missing =
            |(response, reports): (&Parsed, &Vec<_>)| response.has_begun && reports.is_empty();
        !responses.iter().zip(&*reports).any(missing)
    };
    for _ in 0..10_000 {
        if is_settled() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Sends all requests at once; returns the stream of each.
async fn talk(io: ClientIo, plans: &Arc<Vec<Plan>>, mut rng: Rng) -> HashMap<usize, u32> {
    let window = 1 << rng.range(0, 20);
    let handshake = client::Builder::new()
        .initial_window_size(window)
        .initial_connection_window_size(1 << rng.range(16, 20))
        .max_frame_size(1 << rng.range(14, 16))
        .handshake::<_, Bytes>(io);
    let Ok((mut send, connection)) = handshake.await else {
        return HashMap::new();
    };
    let lifetime = if rng.one_in(4) {
        rng.size(4000)
    } else {
        usize::MAX
    };
    let connection = tokio::spawn(limited(connection, lifetime));
    let mut streams = HashMap::new();
    let mut readers = Vec::new();
    for (n, plan) in plans.iter().enumerate() {
        let Ok(ready) = send.clone().ready().await else {
            break;
        };
        send = ready;
        let method = if plan.head { "HEAD" } else { "POST" };
        let request = Request::builder()
            .method(method)
            .uri("http://a/")
            .header("x-number", n);
        let request = request.body(()).expect("a request");
        let Ok((response, mut upload)) = send.send_request(request, plan.upload == 0) else {
            break;
        };
        streams.insert(n, u32::from(response.stream_id()));
        if plan.upload > 0 {
            let _ = upload.send_data(vec![b'u'; plan.upload].into(), true);
        }
        readers.push(tokio::spawn(read(response, upload, rng.fork())));
    }
    drop(send);
    for reader in readers {
        let _ = reader.await;
    }
    connection.abort();
    let _ = connection.await;
    streams
}

/// The connection, but only for so many polls.
async fn limited(connection: client::Connection<ClientIo>, mut polls: usize) {
    let mut connection = Box::pin(connection);
    std::future::poll_fn(|cx| {
        if polls == 0 {
            return std::task::Poll::Ready(());
        }
        polls -= 1;
        connection.as_mut().poll(cx).map(drop)
    })
    .await;
}

/// Reads a response to its end, or resets its stream somewhere.
async fn read(response: client::ResponseFuture, mut upload: h2::SendStream<Bytes>, mut rng: Rng) {
    if rng.one_in(10) {
        for _ in 0..rng.range(0, 40) {
            tokio::task::yield_now().await;
        }
        upload.send_reset(Reason::CANCEL);
        return;
    }
    let Ok(response) = response.await else { return };
    let mut left = if rng.one_in(6) {
        rng.size(60_000)
    } else {
        usize::MAX
    };
    let mut body = response.into_body();
    while let Some(Ok(data)) = body.data().await {
        let _ = body.flow_control().release_capacity(data.len());
        if data.len() >= left {
            upload.send_reset(Reason::CANCEL);
            return;
        }
        left -= data.len();
    }
    let _ = body.trailers().await;
}

#[derive(Clone, Copy, Debug, Default)]
struct Parsed {
    has_begun: bool,
    end: Option<usize>,
    /// Bytes of data.
    body: u64,
}

/// Where each stream has ended: after the frame with END_STREAM, and its continuations.
fn parse(bytes: &[u8]) -> HashMap<u32, Parsed> {
    let mut streams: HashMap<u32, Parsed> = HashMap::new();
    let mut at = 0;
    let mut is_continued_end = false;
    while at + 9 <= bytes.len() {
        let head = &bytes[at..at + 9];
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let id = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        let (kind, flags) = (head[3], head[4]);
        at += 9 + length;
        if at > bytes.len() {
            break;
        }
        let ends_headers = flags & 4 != 0;
        let ends = match kind {
            0 => flags & 1 != 0,
            1 if ends_headers => flags & 1 != 0,
            1 => {
                is_continued_end = flags & 1 != 0;
                false
            }
            9 => ends_headers && std::mem::take(&mut is_continued_end),
            _ => continue,
        };
        let stream = streams.entry(id).or_default();
        stream.has_begun = true;
        if kind == 0 {
            // Nobody pads here.
            stream.body += length as u64;
            assert!(
                length > 0 || ends,
                "an empty frame that does not end its stream"
            );
        }
        if ends {
            stream.end = Some(at);
        }
    }
    streams
}
