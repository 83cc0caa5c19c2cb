//! Answers that are given before an upload was read: the client gets them, and the server does not wait
//! for ever.

mod support;

use std::{process::Stdio, time::Duration};

use bocadillo::{
    App, HttpError, Limits, Request, Response, Runner, background, route, sent::Delivery,
};
use support::{
    PATIENCE,
    doors::{Door, KINDS, Kind, Stream},
    find, soon,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    sync::mpsc,
    time::timeout,
};

const SHORT: Duration = Duration::from_millis(300);

type Deliveries = mpsc::UnboundedSender<Delivery>;

fn report(req: &Request, res: &mut Response) {
    let deliveries = req
        .state::<Deliveries>()
        .expect("the test gives it")
        .clone();
    res.background(async move {
        let _ = deliveries.send(background::current().delivery());
    });
}

/// Answers without a look at the upload.
#[route("/answer/{status}", methods = ["post", "put"])]
async fn answer(req: &mut Request, res: &mut Response, status: u16) -> bocadillo::Result<()> {
    report(req, res);
    if status >= 400 {
        return Err(HttpError::new(status).into());
    }
    res.status(status);
    res.text("the answer");
    Ok(())
}

/// Reads the upload, which is longer than it may be.
#[route("/whole", methods = ["post", "put"])]
async fn whole(req: &mut Request, res: &mut Response) -> bocadillo::Result<()> {
    report(req, res);
    req.body().await?;
    Ok(())
}

/// Reads a part of it.
#[route("/part", methods = ["post", "put"])]
async fn part(req: &mut Request, res: &mut Response) -> bocadillo::Result<()> {
    report(req, res);
    req.stream().chunk().await?;
    Err(HttpError::new(422).into())
}

#[route("/panic", methods = ["post"])]
async fn panic(req: &mut Request, res: &mut Response) {
    report(req, res);
    panic!("of the test");
}

fn app(limits: Limits) -> (App, mpsc::UnboundedReceiver<Delivery>) {
    let (tx, rx) = mpsc::unbounded_channel::<Delivery>();
    let app = App::new()
        .route(answer)
        .route(whole)
        .route(part)
        .route(panic)
        .state(tx)
        .background(Runner::current())
        .limits(limits);
    (app, rx)
}

/// Sends all of the upload before it reads, as many clients do; returns the answer.
async fn upload(
    stream: &mut Box<dyn Stream>,
    path: &str,
    length: usize,
) -> Result<Vec<u8>, String> {
    let head = format!("POST {path} HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n\r\n");
    let bytes = [head.into_bytes(), vec![b'x'; length]].concat();
    let sent = soon("the upload", stream.write_all(&bytes)).await;
    sent.map_err(|error| format!("cannot send: {error}"))?;
    let mut answer = Vec::new();
    while !is_whole(&answer) {
        let read = soon("the answer", stream.read_buf(&mut answer)).await;
        match read.map_err(|error| format!("cannot read: {error}"))? {
            0 => return Err(format!("ends within {answer:?}")),
            _ => continue,
        }
    }
    Ok(answer)
}

fn is_whole(answer: &[u8]) -> bool {
    let Some(end) = find(answer, b"\r\n\r\n") else {
        return false;
    };
    let head = String::from_utf8_lossy(&answer[..end]).to_lowercase();
    let length = head.split("content-length: ").nth(1).expect("a length");
    let length: usize = length
        .split('\r')
        .next()
        .and_then(|it| it.parse().ok())
        .expect("a number");
    answer.len() >= end + 4 + length
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn client_that_sends_first_gets_its_answer() {
    for &kind in KINDS {
        let (app, mut deliveries) = app(Limits::new().body(100_000));
        let door = Door::open(app, kind).await;
        let answers = [
            ("/answer/200", 200, true),
            ("/answer/401", 401, true),
            ("/answer/503", 503, true),
            ("/whole", 413, true),
            ("/part", 422, true),
            ("/panic", 500, true),
            ("/none", 404, false),
        ];
        for (path, status, has_task) in answers {
            for length in [300_000, 8 << 20] {
                let mut stream = door.dial().await;
                let answer = upload(&mut stream, path, length).await;
                let answer = answer.unwrap_or_else(|error| panic!("{path} by {kind:?}: {error}"));
                let line = format!("HTTP/1.1 {status} ");
                assert!(answer.starts_with(line.as_bytes()), "{path} by {kind:?}");
                if has_task {
                    let delivery = soon("the task", deliveries.recv()).await;
                    assert_eq!(delivery, Some(Delivery::Sent), "{path} by {kind:?}");
                }
            }
        }
    }
}

/// The answer is out before the upload begins.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn client_that_sends_late_gets_its_answer() {
    for &kind in KINDS {
        let (app, mut deliveries) = app(Limits::new());
        let door = Door::open(app, kind).await;
        for head in ["content-length: 8388608", "transfer-encoding: chunked"] {
            let mut stream = door.dial().await;
            let request = format!("POST /answer/401 HTTP/1.1\r\nhost: a\r\n{head}\r\n\r\n");
            stream
                .write_all(request.as_bytes())
                .await
                .expect("it reads");
            let delivery = soon("the task", deliveries.recv()).await;
            assert_eq!(delivery, Some(Delivery::Sent), "{head} by {kind:?}");
            tokio::time::sleep(SHORT).await;
            for _ in 0..16 {
                let part = [b"80000\r\n", &[b'x'; 0x80000][..], b"\r\n"].concat();
                let sent = soon("a part", stream.write_all(&part)).await;
                sent.unwrap_or_else(|error| panic!("{head} by {kind:?}: {error}"));
            }
            let mut answer = Vec::new();
            let read = soon("the answer", stream.read_to_end(&mut answer)).await;
            read.unwrap_or_else(|error| panic!("{head} by {kind:?}: {error}"));
            assert!(answer.starts_with(b"HTTP/1.1 401 "), "{head} by {kind:?}");
        }
    }
}

/// These are hyper's own answers, which no view has seen.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn client_whose_request_is_refused_gets_its_answer() {
    for &kind in KINDS {
        let (app, _deliveries) = app(Limits::new());
        let door = Door::open(app, kind).await;
        let long = format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "x".repeat(4 << 20));
        let wrong = format!("GET / HTTP/1.1\r\n: x\r\n\r\n{}", "x".repeat(4 << 20));
        for (request, status) in [(long, 431), (wrong, 400)] {
            let mut stream = door.dial().await;
            let sent = soon("the request", stream.write_all(request.as_bytes())).await;
            sent.unwrap_or_else(|error| panic!("{status} by {kind:?}: {error}"));
            let mut answer = Vec::new();
            let read = soon("the answer", stream.read_to_end(&mut answer)).await;
            read.unwrap_or_else(|error| panic!("{status} by {kind:?}: {error}"));
            let line = format!("HTTP/1.1 {status} ");
            assert!(answer.starts_with(line.as_bytes()), "{status} by {kind:?}");
        }
    }
}

/// Sends without an end; how much, when the server has closed.
async fn send_endlessly(stream: &mut Box<dyn Stream>, path: &str, pause: Duration) -> usize {
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n",
        1_u64 << 40
    );
    stream.write_all(head.as_bytes()).await.expect("it reads");
    let bytes = [b'x'; 16 * 1024];
    let mut sent = 0;
    soon("the end", async {
        while stream.write_all(&bytes).await.is_ok() && stream.flush().await.is_ok() {
            sent += bytes.len();
            tokio::time::sleep(pause).await;
        }
    })
    .await;
    sent
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn endless_upload_is_read_up_to_its_limit() {
    for &kind in KINDS {
        // Its time is not what ends it.
        let limits = Limits::new().linger_bytes(1 << 20);
        let (app, _deliveries) = app(limits.linger_timeout(PATIENCE * 4));
        let door = Door::open(app, kind).await;
        let sent = send_endlessly(&mut door.dial().await, "/answer/401", Duration::ZERO).await;
        // What the kernels hold comes to it.
        assert!((1 << 20..64 << 20).contains(&sent), "{sent} by {kind:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_upload_is_read_for_its_time() {
    for &kind in KINDS {
        let (app, _deliveries) = app(Limits::new().linger_timeout(SHORT));
        let door = Door::open(app, kind).await;
        let pause = Duration::from_millis(10);
        send_endlessly(&mut door.dial().await, "/answer/401", pause).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn client_that_pauses_for_long_is_not_waited_for() {
    let (app, _deliveries) = app(Limits::new().connections(1));
    let door = Door::open(app, Kind::Tcp).await;
    let mut silent = door.dial().await;
    let head = "POST /answer/401 HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\n";
    silent.write_all(head.as_bytes()).await.expect("it reads");
    // It neither sends the rest nor closes; the other one gets its place.
    let mut other = door.dial().await;
    let answer = upload(&mut other, "/answer/200", 10)
        .await
        .expect("an answer");
    assert!(answer.starts_with(b"HTTP/1.1 200 "));
    drop(silent);
}

/// A connection that has read everything closes at once, whatever its client does then.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connection_without_unread_bytes_does_not_linger() {
    let (app, _deliveries) = app(Limits::new().connections(1));
    let door = Door::open(app, Kind::Tcp).await;
    let mut first = door.dial().await;
    let request =
        "POST /whole HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 3\r\n\r\nabc";
    first.write_all(request.as_bytes()).await.expect("it reads");
    let mut answer = Vec::new();
    soon("the answer", first.read_to_end(&mut answer))
        .await
        .expect("an end");
    // `first` is not closed.
    let mut other = door.dial().await;
    let other = async {
        other.write_all(request.as_bytes()).await.expect("it reads");
        let mut answer = Vec::new();
        other.read_to_end(&mut answer).await.expect("an end");
    };
    // Less than a lingering connection would take.
    timeout(Duration::from_secs(4), other)
        .await
        .expect("the place is free");
    drop(first);
}

/// An upload that nobody wanted, and that came whole, is no reason either.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shutdown_does_not_linger_for_an_idle_client() {
    let (app, mut deliveries) = app(Limits::new());
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let app = app.with_graceful_shutdown(async { drop(stopped.await) });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
    let listener = listener.expect("a port");
    let door = Door::at(listener.local_addr().expect("an address"));
    let served = tokio::spawn(app.serve_with(listener));
    let mut client = door.dial().await;
    upload(&mut client, "/answer/200", 10)
        .await
        .expect("an answer");
    soon("the task", deliveries.recv()).await;
    stop.send(()).expect("it serves");
    // Less than a lingering connection would take.
    let ended = timeout(Duration::from_secs(4), served).await;
    ended
        .expect("in time")
        .expect("no panic")
        .expect("in peace");
    drop(client);
}

/// Node's `fetch` loses an answer by a reset that comes behind it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fetch_of_node_gets_every_answer() {
    if !std::process::Command::new("node")
        .arg("--version")
        .stdout(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
    {
        eprintln!("left out: there is no `node`");
        return;
    }
    let (app, _deliveries) = app(Limits::new());
    let door = Door::open(app, Kind::Tcp).await;
    let script = r#"
        const [addr] = process.argv.slice(1);
        const seen = [];
        for (const [path, length] of [["answer/401", 4], ["answer/401", 8], ["whole", 4], ["whole", 8], ["none", 8]]) {
            for (let i = 0; i < 10; i++) {
                const body = Buffer.alloc(length << 20);
                try {
                    const res = await fetch(`http://${addr}/${path}`, { method: "POST", body });
                    await res.text();
                    seen.push(res.status);
                } catch (error) {
                    seen.push(`${path}: ${error} ${error.cause}`);
                }
            }
        }
        console.log(seen.join("\n"));
    "#;
    let node = tokio::process::Command::new("node")
        .args(["--input-type=module", "-e", script])
        .arg(door.addr.to_string())
        .output();
    let output = soon("the end of node", node).await.expect("it ran");
    let seen = String::from_utf8_lossy(&output.stdout).into_owned();
    let expected = [("401", 20), ("413", 20), ("404", 10)];
    let count = |status: &str| seen.lines().filter(|line| *line == status).count();
    for (status, times) in expected {
        assert_eq!(
            count(status),
            times,
            "{seen}{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}
