//! Clients that leave: how a view is told, what it can still read, and what becomes of its task.

mod support;

use std::time::Duration;

use bocadillo::{App, Limits, Request, Response, background, route, sent::Delivery};
use support::doors::{Door, KINDS, Kind};
use support::{find, soon};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::mpsc,
    time::{sleep, timeout},
};

const SHORT: Duration = Duration::from_millis(300);

#[derive(Debug, PartialEq)]
enum Event {
    Entered,
    /// The view was told.
    Told,
    Read(Result<usize, u16>),
    Done(Delivery),
}

type Events = mpsc::UnboundedSender<Event>;

/// Registers a task that reports what became of the response.
fn events(req: &Request, res: &mut Response) -> Events {
    let events = req.state::<Events>().expect("the test gives it").clone();
    let task = events.clone();
    res.background(async move {
        let _ = task.send(Event::Done(background::current().delivery()));
    });
    let _ = events.send(Event::Entered);
    events
}

async fn until_told(req: &Request) {
    while !req.is_disconnected() {
        sleep(Duration::from_millis(5)).await;
    }
}

/// Waits for its client to leave.
#[route("/wait", methods = ["get", "post"])]
async fn wait(req: &mut Request, res: &mut Response) {
    let events = events(req, res);
    until_told(req).await;
    let _ = events.send(Event::Told);
    res.text("for nobody");
}

/// The same, when it has read a part of the upload and does not want the rest.
#[route("/part", methods = ["post"])]
async fn part(req: &mut Request, res: &mut Response) -> bocadillo::Result<()> {
    let events = events(req, res);
    req.stream().chunk().await?;
    until_told(req).await;
    let _ = events.send(Event::Told);
    Ok(())
}

/// Reads the upload when its client has left.
#[route("/late", methods = ["post"])]
async fn late(req: &mut Request, res: &mut Response) {
    let events = events(req, res);
    until_told(req).await;
    let _ = events.send(Event::Told);
    let read = req.body().await.map(|body| body.len());
    let read = read.map_err(|error| {
        let error = error.downcast_ref::<bocadillo::HttpError>();
        error.map_or(500, |error| error.status().as_u16())
    });
    let _ = events.send(Event::Read(read));
}

#[route("/hang", methods = ["post"])]
async fn hang(req: &mut Request, res: &mut Response) {
    events(req, res);
    std::future::pending::<()>().await;
}

fn app(limits: Limits) -> (App, mpsc::UnboundedReceiver<Event>) {
    let (tx, rx) = mpsc::unbounded_channel::<Event>();
    let app = App::new()
        .route(wait)
        .route(part)
        .route(late)
        .route(hang)
        .state(tx)
        .limits(limits);
    (app, rx)
}

async fn next(events: &mut mpsc::UnboundedReceiver<Event>, what: &str) -> Event {
    soon(what, events.recv()).await.expect("the server lives")
}

fn post(path: &str, length: usize, sent: usize) -> Vec<u8> {
    let head = format!("POST {path} HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n\r\n");
    [head.into_bytes(), vec![b'x'; sent]].concat()
}

fn chunked(path: &str, sent: usize) -> Vec<u8> {
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n{sent:x}\r\n"
    );
    [head.into_bytes(), vec![b'x'; sent]].concat()
}

/// Sends this, and leaves when the view runs. What does not fit into the socket is not waited for.
async fn send_and_leave(door: &Door, bytes: &[u8], events: &mut mpsc::UnboundedReceiver<Event>) {
    let mut stream = door.dial().await;
    let _ = timeout(SHORT, stream.write_all(bytes)).await;
    let _ = timeout(SHORT, stream.flush()).await;
    assert_eq!(next(events, "the view").await, Event::Entered);
    drop(stream);
}

const GET: &[u8] = b"GET /wait HTTP/1.1\r\nhost: a\r\n\r\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn view_is_told_whatever_its_client_has_left_behind() {
    for &kind in KINDS {
        // With a short limit the server looks more often.
        let (app, mut events) = app(Limits::new().linger_timeout(SHORT / 3));
        let door = Door::open(app, kind).await;
        let requests = [
            ("nothing", GET.to_vec()),
            ("another request", [GET, GET].concat()),
            ("a byte more", [GET, b"G"].concat()),
            ("an empty line", [GET, b"\r\n"].concat()),
            ("many requests", GET.repeat(500)),
            ("an upload of which nothing came", post("/wait", 10, 0)),
            ("a part of an upload", post("/wait", 100_000, 50_000)),
            ("an upload", post("/wait", 100_000, 100_000)),
            (
                "an upload and a request",
                [post("/wait", 10, 10), GET.to_vec()].concat(),
            ),
            ("a part of a chunked upload", chunked("/wait", 100_000)),
            (
                "an upload that the view has dropped",
                post("/part", 200_000, 100_000),
            ),
        ];
        for (what, request) in requests {
            send_and_leave(&door, &request, &mut events).await;
            let what = format!("{what}, {kind:?}");
            assert_eq!(next(&mut events, &what).await, Event::Told, "{what}");
            let done = next(&mut events, &what).await;
            assert_eq!(done, Event::Done(Delivery::Aborted { bytes: 0 }), "{what}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn view_is_told_behind_a_large_upload() {
    for &kind in KINDS {
        let (app, mut events) = app(Limits::new());
        let door = Door::open(app, kind).await;
        for request in [
            post("/wait", 1 << 30, 1_000_000),
            chunked("/wait", 1_000_000),
        ] {
            send_and_leave(&door, &request, &mut events).await;
            assert_eq!(next(&mut events, "the news").await, Event::Told, "{kind:?}");
            let done = next(&mut events, "the task").await;
            assert_eq!(
                done,
                Event::Done(Delivery::Aborted { bytes: 0 }),
                "{kind:?}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn upload_that_came_whole_can_be_read_when_its_client_has_left() {
    for &kind in KINDS {
        let (app, mut events) = app(Limits::new());
        let door = Door::open(app, kind).await;
        let whole = [chunked("/late", 40_000), b"\r\n0\r\n\r\n".to_vec()].concat();
        let requests = [
            (post("/late", 50_000, 50_000), Ok(50_000)),
            (whole, Ok(40_000)),
            (post("/late", 50_000, 49_999), Err(400)),
            (chunked("/late", 40_000), Err(400)),
        ];
        for (request, read) in requests {
            send_and_leave(&door, &request, &mut events).await;
            assert_eq!(next(&mut events, "the news").await, Event::Told, "{kind:?}");
            assert_eq!(
                next(&mut events, "the body").await,
                Event::Read(read),
                "{kind:?}"
            );
            let done = next(&mut events, "the task").await;
            assert_eq!(
                done,
                Event::Done(Delivery::Aborted { bytes: 0 }),
                "{kind:?}"
            );
        }
    }
}

/// It keeps neither its place among the connections, nor its task.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn view_that_hangs_before_an_upload_is_given_up() {
    for &kind in KINDS {
        let (app, mut events) = app(Limits::new().detached_timeout(SHORT));
        let door = Door::open(app, kind).await;
        send_and_leave(&door, &post("/hang", 100_000, 50_000), &mut events).await;
        let done = next(&mut events, "the task").await;
        assert_eq!(
            done,
            Event::Done(Delivery::Aborted { bytes: 0 }),
            "{kind:?}"
        );
    }
}

/// A client that is only slow has not left.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn client_that_stays_is_answered_whatever_it_sent_before() {
    #[route("/slow", methods = ["get", "post"])]
    async fn slow(req: &mut Request, res: &mut Response) -> bocadillo::Result<()> {
        // Longer than the server takes to look.
        sleep(Duration::from_millis(1500)).await;
        assert!(!req.is_disconnected());
        res.text(req.body().await?.len().to_string());
        Ok(())
    }

    for &kind in KINDS {
        let door = Door::open(App::new().route(slow), kind).await;
        let mut stream = door.dial().await;
        let get = b"GET /slow HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
        let requests = [&post("/slow", 700_000, 700_000)[..], get].concat();
        soon("the server", stream.write_all(&requests))
            .await
            .expect("it reads");
        let mut answers = Vec::new();
        let _ = soon("the answers", stream.read_to_end(&mut answers)).await;
        let answers = String::from_utf8_lossy(&answers);
        let bodies: Vec<_> = answers.split("\r\n\r\n").skip(1).collect();
        assert_eq!(bodies.len(), 2, "{kind:?}: {answers}");
        assert!(
            bodies[0].starts_with("700000HTTP/1.1 200"),
            "{kind:?}: {answers}"
        );
        assert_eq!(bodies[1], "0", "{kind:?}");
    }
}

#[route("/body/{length}", methods = ["get", "post"])]
async fn body(req: &mut Request, res: &mut Response, length: usize) {
    let events = req.state::<Events>().expect("the test gives it").clone();
    #[background]
    async fn report() {
        let _ = events.send(Event::Done(background::current().delivery()));
    }
    // So that the end is seen before the answer is there.
    sleep(Duration::from_millis(20)).await;
    res.bytes(vec![b'x'; length]);
}

async fn half_closed(door: &Door, request: &str) -> Vec<u8> {
    let mut stream = door.dial().await;
    stream
        .write_all(request.as_bytes())
        .await
        .expect("it reads");
    stream.shutdown().await.expect("half closed");
    let mut answer = Vec::new();
    let _ = soon("the answer", stream.read_to_end(&mut answer)).await;
    answer
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_closed_client_gets_every_response_where_that_is_on() {
    for &kind in KINDS {
        let (tx, mut events) = mpsc::unbounded_channel::<Event>();
        let app = App::new()
            .route(body)
            .state(tx)
            .limits(Limits::new().half_close(true));
        let door = Door::open(app, kind).await;
        for length in [0, 1, 100_000, 8 << 20] {
            for request in [
                format!("GET /body/{length} HTTP/1.1\r\nhost: a\r\n\r\n"),
                format!("GET /body/{length} HTTP/1.0\r\n\r\n"),
                format!("POST /body/{length} HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc"),
            ] {
                let answer = half_closed(&door, &request).await;
                let head = find(&answer, b"\r\n\r\n").expect("a head") + 4;
                assert_eq!(answer.len() - head, length, "{request} by {kind:?}");
                let done = next(&mut events, "the task").await;
                assert_eq!(done, Event::Done(Delivery::Sent), "{request} by {kind:?}");
            }
        }
        let get = "GET /body/5 HTTP/1.1\r\nhost: a\r\n\r\n";
        let answer = half_closed(&door, &get.repeat(3)).await;
        let bodies = answer.windows(5).filter(|it| it == b"xxxxx").count();
        assert_eq!(bodies, 3, "{kind:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_closed_client_has_left_where_that_is_off() {
    let (app, mut events) = app(Limits::new());
    let door = Door::open(app, Kind::Tcp).await;
    for request in [GET.to_vec(), GET.repeat(2), post("/wait", 9, 9)] {
        let mut stream = TcpStream::connect(door.addr).await.expect("it accepts");
        stream.write_all(&request).await.expect("it reads");
        stream.shutdown().await.expect("half closed");
        assert_eq!(next(&mut events, "the view").await, Event::Entered);
        assert_eq!(next(&mut events, "the news").await, Event::Told);
        let done = next(&mut events, "the task").await;
        assert_eq!(done, Event::Done(Delivery::Aborted { bytes: 0 }));
    }
}

/// A reset is no half.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn client_that_resets_has_left_also_where_half_close_is_on() {
    for kind in [Kind::Tcp, Kind::Hidden] {
        let (app, mut events) = app(Limits::new().half_close(true));
        let door = Door::open(app, kind).await;
        for request in [GET.to_vec(), GET.repeat(2), post("/wait", 99_999, 50_000)] {
            let mut stream = TcpStream::connect(door.addr).await.expect("it accepts");
            stream.write_all(&request).await.expect("it reads");
            assert_eq!(next(&mut events, "the view").await, Event::Entered);
            stream.set_zero_linger().expect("a socket");
            drop(stream);
            assert_eq!(next(&mut events, "the news").await, Event::Told);
            let done = next(&mut events, "the task").await;
            assert_eq!(done, Event::Done(Delivery::Aborted { bytes: 0 }));
        }
    }
}

/// Through each way to a view: a mounted app, a layer, and a service that is no app to the server.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn view_is_told_wherever_it_is() {
    let (tx, mut events) = mpsc::unbounded_channel::<Event>();
    let inner = || App::new().route(wait).route(late).state(tx.clone());
    let mounted = App::new().mount("/in", inner().into_service());
    let layered = inner().layer(tower_layer::layer_fn(|service: bocadillo::BoxedService| {
        service
    }));
    let apps = [("/in", mounted), ("", layered)];
    for (prefix, app) in apps {
        let door = Door::open(app, Kind::Tcp).await;
        told_at(&door, prefix, &mut events).await;
    }
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let door = Door::at(listener.local_addr().expect("an address"));
    tokio::spawn(bocadillo::serve(listener, inner().into_service()).into_future());
    told_at(&door, "", &mut events).await;
}

async fn told_at(door: &Door, prefix: &str, events: &mut mpsc::UnboundedReceiver<Event>) {
    let get = format!("GET {prefix}/wait HTTP/1.1\r\nhost: a\r\n\r\n");
    for request in [
        get.repeat(2).into_bytes(),
        post(&format!("{prefix}/wait"), 99_999, 50_000),
    ] {
        send_and_leave(door, &request, events).await;
        assert_eq!(next(events, "the news").await, Event::Told, "{prefix}");
        let done = next(events, "the task").await;
        assert_eq!(
            done,
            Event::Done(Delivery::Aborted { bytes: 0 }),
            "{prefix}"
        );
    }
    let request = post(&format!("{prefix}/late"), 50_000, 50_000);
    send_and_leave(door, &request, events).await;
    assert_eq!(next(events, "the news").await, Event::Told, "{prefix}");
    assert_eq!(
        next(events, "the body").await,
        Event::Read(Ok(50_000)),
        "{prefix}"
    );
    let done = next(events, "the task").await;
    assert_eq!(
        done,
        Event::Done(Delivery::Aborted { bytes: 0 }),
        "{prefix}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn view_is_told_on_http2_whatever_its_client_has_left_behind() {
    for closes in [false, true] {
        for upload in [None, Some(0), Some(60_000)] {
            let (app, mut events) = app(Limits::new());
            let door = Door::open(app, Kind::Tcp).await;
            let (mut send, driver) = support::http2(door.addr, &h2::client::Builder::new()).await;
            let method = if upload.is_some() { "POST" } else { "GET" };
            let request = http::Request::builder().method(method).uri("http://a/wait");
            let request = request.body(()).expect("a request");
            let (response, mut stream) = send
                .send_request(request, upload.is_none())
                .expect("it is sent");
            if let Some(length) = upload {
                let data = bytes::Bytes::from(vec![b'x'; length]);
                stream.send_data(data, false).expect("it is sent");
            }
            assert_eq!(next(&mut events, "the view").await, Event::Entered);
            if closes {
                driver.abort();
            } else {
                stream.send_reset(h2::Reason::CANCEL);
                drop(response);
            }
            assert_eq!(next(&mut events, "the news").await, Event::Told);
            let done = next(&mut events, "the task").await;
            assert_eq!(done, Event::Done(Delivery::Aborted { bytes: 0 }));
        }
    }
}
