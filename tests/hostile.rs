//! Malformed and hostile HTTP over raw sockets: each gets a clear status or a clean close, no panic,
//! and costs no other client anything.
#![cfg(all(feature = "cookie", feature = "multipart"))]

mod support;

use std::{
    net::SocketAddr,
    panic,
    sync::atomic::{AtomicUsize, Ordering::SeqCst},
    time::Duration,
};

use bocadillo::{App, Limits, Request, Response, Runner, route};
use serde::Deserialize;
use support::{Http1, soon, start};
use tokio::io::AsyncWriteExt as _;

/// Reads all that a request can have.
#[route("/all/{number}", methods = ["get", "post"])]
async fn all(req: &mut Request, res: &mut Response, number: u32) -> bocadillo::Result<()> {
    #[derive(Deserialize)]
    struct Query {
        q: Option<String>,
    }
    let query: Query = req.query()?;
    let cookies = req.cookies().count();
    let length = req.body().await?.len();
    res.text(format!("{number} {:?} {cookies} {length}", query.q));
    res.background(async {});
    Ok(())
}

#[route("/form", methods = ["post"])]
async fn form(req: &mut Request, res: &mut Response) -> bocadillo::Result<()> {
    #[derive(Deserialize)]
    struct Form {
        a: String,
    }
    let form: Form = req.form().await?;
    res.text(form.a);
    Ok(())
}

#[route("/upload", methods = ["post"])]
async fn upload(req: &mut Request, res: &mut Response) -> bocadillo::Result<()> {
    let mut form = req.multipart()?;
    let mut fields = 0;
    while let Some(mut field) = form.next_field().await? {
        field.bytes().await?;
        fields += 1;
    }
    res.text(fields.to_string());
    Ok(())
}

#[route("/{name}")]
async fn name(_req: &mut Request, res: &mut Response, name: String) {
    res.text(name);
}

fn app() -> App {
    App::new()
        .route(all)
        .route(form)
        .route(upload)
        .route(name)
        .limits(
            Limits::new()
                .body(10_000)
                .header_timeout(Duration::from_secs(1)),
        )
}

static PANICS: AtomicUsize = AtomicUsize::new(0);

/// Counts panics from now on; nothing that a client sends is to cause one.
fn count_panics() {
    let before = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        PANICS.fetch_add(1, SeqCst);
        before(info);
    }));
}

/// Sends this and ends; returns the statuses of all that came back.
async fn statuses(addr: SocketAddr, request: &[u8]) -> Vec<u16> {
    let mut client = Http1::connect(addr).await;
    // The server may answer and close before it has read all.
    let _ = client.stream.write_all(request).await;
    let _ = client.stream.shutdown().await;
    let text = String::from_utf8_lossy(&client.rest().await).into_owned();
    let lines = text.split("HTTP/1.").skip(1);
    lines
        .filter_map(|line| line.get(2..5)?.parse().ok())
        .collect()
}

#[tokio::test]
async fn malformed_requests() {
    count_panics();
    let runner = Runner::current().build();
    let (addr, _) = start(app().background(runner.clone())).await;
    let mut other = Http1::connect(addr).await;
    let post = |path: &str, head: &str, body: &str| {
        let length = body.len();
        format!("POST {path} HTTP/1.1\r\nhost: a\r\n{head}content-length: {length}\r\n\r\n{body}")
    };
    let form_head = "content-type: application/x-www-form-urlencoded\r\n";
    let multipart = "content-type: multipart/form-data; boundary=b\r\n";
    // `None`: closed without an answer. Several: one for each request that was seen.
    let cases: Vec<(&str, String, &[u16])> = vec![
        ("no HTTP", "hello\r\n\r\n".into(), &[400]),
        ("TLS", "\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}".into(), &[400]),
        ("no version", "GET /x\r\n\r\n".into(), &[400]),
        ("version 3", "GET /x HTTP/3.0\r\n\r\n".into(), &[400]),
        ("a method that is none", "G(T /x HTTP/1.1\r\nhost: a\r\n\r\n".into(), &[400]),
        ("a blank in the path", "GET /x y HTTP/1.1\r\nhost: a\r\n\r\n".into(), &[400]),
        ("a NUL in a header", "GET /x HTTP/1.1\r\nx: a\0b\r\n\r\n".into(), &[400]),
        ("a blank before the colon", "GET /x HTTP/1.1\r\nx : a\r\n\r\n".into(), &[400]),
        ("a folded header", "GET /x HTTP/1.1\r\nhost: a\r\nx: a\r\n b\r\n\r\n".into(), &[400]),
        ("a header without a name", "GET /x HTTP/1.1\r\n: a\r\n\r\n".into(), &[400]),
        // What one server takes for the end of a request, and another does not.
        ("two lengths", "POST /all/1 HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab".into(), &[400]),
        ("a list of lengths", "POST /all/1 HTTP/1.1\r\nhost: a\r\ncontent-length: 1, 2\r\n\r\nab".into(), &[400]),
        ("a negative length", "POST /all/1 HTTP/1.1\r\nhost: a\r\ncontent-length: -1\r\n\r\n".into(), &[400]),
        ("a length with a sign", "POST /all/1 HTTP/1.1\r\nhost: a\r\ncontent-length: +1\r\n\r\na".into(), &[400]),
        ("a length that is too long", "POST /all/1 HTTP/1.1\r\nhost: a\r\ncontent-length: 99999999999999999999\r\n\r\n".into(), &[400]),
        ("chunked, but not last", "POST /all/1 HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n".into(), &[400]),
        ("unknown encoding", "POST /all/1 HTTP/1.1\r\nhost: a\r\ntransfer-encoding: xchunked\r\n\r\n0\r\n\r\n".into(), &[400]),
        ("chunked in HTTP/1.0", "POST /all/1 HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n".into(), &[400]),
        ("a chunk without a size", "POST /all/1 HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nx\r\n\r\n".into(), &[400]),
        ("a chunk of a huge size", "POST /all/1 HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\n".into(), &[400]),
        ("a chunk longer than its size", "POST /all/1 HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n".into(), &[400]),
        // What one server takes for another host than the next.
        ("no host", "GET /x HTTP/1.1\r\n\r\n".into(), &[400]),
        ("no host, but in the URL", "GET http://a/x HTTP/1.1\r\n\r\n".into(), &[400]),
        ("two hosts", "GET /x HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n".into(), &[400]),
        ("the same host twice", "GET /x HTTP/1.1\r\nhost: a\r\nHost: a\r\n\r\n".into(), &[400]),
        ("two hosts in HTTP/1.0", "GET /x HTTP/1.0\r\nhost: a\r\nhost: b\r\n\r\n".into(), &[400]),
        ("a list of hosts", "GET /x HTTP/1.1\r\nhost: a, b\r\n\r\n".into(), &[400]),
        ("a path for a host", "GET /x HTTP/1.1\r\nhost: a/b\r\n\r\n".into(), &[400]),
        ("no path and no host", "GET /none/none HTTP/1.1\r\n\r\n".into(), &[400]),
        // Fine.
        ("no host in HTTP/1.0", "GET /x HTTP/1.0\r\n\r\n".into(), &[200]),
        ("an empty host", "GET /x HTTP/1.1\r\nhost:\r\n\r\n".into(), &[200]),
        ("a host with a port", "GET /x HTTP/1.1\r\nhost: [::1]:80\r\n\r\n".into(), &[200]),
        // Fine, and what comes after them is another request.
        ("pipelined", "GET /x HTTP/1.1\r\nhost: a\r\n\r\nGET /y HTTP/1.1\r\nhost: a\r\n\r\n".into(), &[200, 200]),
        ("a short body", "POST /all/1 HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nab".into(), &[400]),
        ("a long body", post("/all/1", "", &"x".repeat(10_001)), &[413]),
        ("no number", post("/all/x", "", ""), &[400]),
        ("a number that is too large", post("/all/4294967296", "", ""), &[400]),
        ("a path that is not UTF-8", "GET /%ff HTTP/1.1\r\nhost: a\r\n\r\n".into(), &[400]),
        ("half an escape", "GET /a%2 HTTP/1.1\r\nhost: a\r\n\r\n".into(), &[400]),
        ("dots", "GET /../../etc/passwd HTTP/1.1\r\nhost: a\r\n\r\n".into(), &[404]),
        ("a query that is not UTF-8", post("/all/1?q=%ff", "", ""), &[400]),
        ("a query of nothing but marks", post("/all/1?&&=&%&", "", ""), &[200]),
        ("cookies of nothing", post("/all/1", "cookie: ;;=;%ff=%ff; a=b\r\n", ""), &[200]),
        ("a form that is not UTF-8", post("/form", form_head, "a=%ff"), &[400]),
        ("a form without its field", post("/form", form_head, "b=1"), &[400]),
        ("a form that is JSON", post("/form", "content-type: application/json\r\n", "{}"), &[415]),
        ("multipart without an end", post("/upload", multipart, "--b\r\n\r\nx"), &[400]),
        ("multipart without a blank line", post("/upload", multipart, "--b\r\nx: y\r\n--b--\r\n"), &[400]),
        ("multipart of another boundary", post("/upload", multipart, "--c\r\n\r\nx\r\n--c--\r\n"), &[400]),
        ("multipart without a boundary", post("/upload", "content-type: multipart/form-data\r\n", "x"), &[415]),
        ("multipart of many fields", post("/upload", multipart, &("--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n\r\n".repeat(100) + "--b--\r\n")), &[200]),
    ];
    for (what, request, expected) in cases {
        let found = statuses(addr, request.as_bytes()).await;
        assert_eq!(found, expected, "{what}: {request:?}");
        let reply = other.request("GET", "/other").await;
        assert_eq!(
            (reply.status(), &*reply.body),
            (200, "other"),
            "after {what}"
        );
    }
    assert_eq!(PANICS.load(SeqCst), 0);
    let stats = runner.stats();
    assert_eq!(stats.registered, stats.completed, "{stats:?}");
}

/// A length beside chunks: hyper takes the chunks, as the standard has it, and closes after it, so that
/// nothing behind can be taken for a request.
#[tokio::test]
async fn a_length_beside_chunks_is_no_way_in() {
    let (addr, _) = start(app()).await;
    let smuggled = "GET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n";
    let request = format!(
        "POST /all/1 HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n{smuggled}",
        5 + smuggled.len()
    );
    let found = statuses(addr, request.as_bytes()).await;
    assert!(found == [400] || found == [200], "{found:?}");
}

#[tokio::test]
async fn slow_and_vanishing_clients() {
    let runner = Runner::current().build();
    let (addr, _) = start(app().background(runner.clone())).await;
    // A head that never ends is given up.
    let mut slow = Http1::connect(addr).await;
    slow.send("GET /x HTTP/1.1\r\nhost: a\r\nx: ").await;
    assert!(soon("the end", slow.rest()).await.len() < 200);
    // A body that is cut off is an error of its view, and never a short success.
    let before = runner.stats().registered;
    for cut in [1, 5, 9] {
        let mut client = Http1::connect(addr).await;
        client
            .send("POST /all/1 HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\n")
            .await;
        client.send(&"x".repeat(cut)).await;
        drop(client);
    }
    // Those that leave in the middle of the answer, or before it, at any byte.
    let request = "GET /x HTTP/1.1\r\nhost: a\r\n\r\n";
    for end in 0..request.len() {
        let mut client = Http1::connect(addr).await;
        client.send(&request[..end]).await;
        drop(client);
    }
    let mut client = Http1::connect(addr).await;
    assert_eq!(client.request("GET", "/still").await.body, "still");
    assert_eq!(
        runner.stats().registered,
        before,
        "a short body was taken for a whole one"
    );
}

#[tokio::test]
async fn http2_that_is_none() {
    let (addr, _) = start(app()).await;
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    // SETTINGS, then frames that must not be: their connection ends, with a GOAWAY if at all.
    let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    let frames: [&[u8]; 6] = [
        // DATA on stream 0.
        &[0, 0, 1, 0, 0, 0, 0, 0, 0, b'x'],
        // HEADERS on an even stream.
        &[0, 0, 1, 1, 5, 0, 0, 0, 2, 0x82],
        // HEADERS whose HPACK is broken.
        &[0, 0, 2, 1, 5, 0, 0, 0, 1, 0xff, 0xff],
        // A frame that is longer than it may be.
        &[0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 1],
        // A WINDOW_UPDATE by nothing.
        &[0, 0, 4, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        // CONTINUATION of nothing.
        &[0, 0, 1, 9, 4, 0, 0, 0, 1, 0x82],
    ];
    for frame in frames {
        let mut client = Http1::connect(addr).await;
        let bytes = [&preface[..], &settings, frame].concat();
        client.stream.write_all(&bytes).await.expect("it reads");
        soon("the end", client.rest()).await;
        let mut other = Http1::connect(addr).await;
        assert_eq!(other.request("GET", "/other").await.body, "other");
    }
    // Half a preface, and then silence: as a head that never ends.
    let mut client = Http1::connect(addr).await;
    client
        .stream
        .write_all(&preface[..10])
        .await
        .expect("it reads");
    soon("the end", client.rest()).await;
}
