//! What a view answers with.

mod support;

use bocadillo::{App, Event, HttpError, Request, Response, testing::Client};
use std::time::Duration;
use support::{Http1, start};

#[tokio::test]
async fn headers_replace_or_append_as_named() {
    async fn headers(_req: &mut Request, res: &mut Response) {
        res.header("x-a", "1");
        res.header("X-A", "2");
        res.append_header("x-b", "1");
        res.append_header("x-b", "2");
        // The last content wins, and its type with it.
        res.json(&1);
        res.html("<p>");
    }
    let client = Client::new(App::new().add("/", &["get"], headers));
    let response = client.get("/").await;
    let all = |name: &str| {
        let values = response.headers().get_all(name).iter();
        values
            .map(|value| value.to_str().expect("text").to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(all("x-a"), ["2"]);
    assert_eq!(all("x-b"), ["1", "2"]);
    assert_eq!(all("content-type"), ["text/html"]);
    assert_eq!(response.text(), "<p>");
}

#[tokio::test]
async fn what_cannot_be_a_header_never_reaches_the_client() {
    async fn splits(_req: &mut Request, res: &mut Response) {
        res.append_header("x-a", "1\r\nset-cookie: a=b");
    }
    async fn redirects(_req: &mut Request, res: &mut Response) {
        res.redirect("/a\r\nset-cookie: a=b");
    }
    async fn attaches(_req: &mut Request, res: &mut Response) {
        res.text("a");
        res.attachment("a\"; x=\"\r\nset-cookie: a=b");
    }
    let app = App::new()
        .add("/splits", &["get"], splits)
        .add("/redirects", &["get"], redirects)
        .add("/attaches", &["get"], attaches);
    let (addr, _) = start(app).await;
    let mut client = Http1::connect(addr).await;
    for (path, status) in [("/splits", 500), ("/redirects", 500), ("/attaches", 200)] {
        let reply = client.request("GET", path).await;
        assert_eq!(reply.status(), status, "{path}");
        assert!(!reply.has("set-cookie"), "{reply:?}");
    }
}

#[tokio::test]
async fn redirects_keep_a_later_status() {
    async fn found(_req: &mut Request, res: &mut Response) {
        res.redirect("/a?b=c");
    }
    async fn for_ever(_req: &mut Request, res: &mut Response) {
        res.redirect("/a");
        res.status(308);
        // The original drops the task of a view that redirects.
        res.background(async {});
    }
    let app = App::new()
        .add("/found", &["get"], found)
        .add("/ever", &["get"], for_ever);
    let client = Client::new(app);
    let response = client.get("/found").await;
    assert_eq!(
        (response.status().as_u16(), &response.headers()["location"]),
        (302, &"/a?b=c".parse().expect("a value"))
    );
    let response = client.get("/ever").await;
    assert_eq!(response.status(), 308);
    assert_eq!(response.tasks().await.len(), 1);
}

#[cfg(feature = "cookie")]
#[tokio::test]
async fn cookies_are_sent_beside_each_other() {
    use bocadillo::cookie::{Cookie, SameSite};

    async fn sends(_req: &mut Request, res: &mut Response) {
        res.cookie(("plain", "a b;\r\nset-cookie: x=y"));
        let session = Cookie::build(("session", "7f"))
            .path("/")
            .secure(true)
            .http_only(true)
            .same_site(SameSite::Lax);
        res.cookie(session);
        res.remove_cookie(Cookie::build("old").path("/"));
    }
    async fn breaks(_req: &mut Request, res: &mut Response) {
        res.cookie(Cookie::build(("a", "b")).path("/\r\nx: y"));
    }
    let app = App::new()
        .add("/", &["get"], sends)
        .add("/breaks", &["get"], breaks);
    let client = Client::new(app);
    let response = client.get("/").await;
    let cookies = response.headers().get_all("set-cookie").iter();
    let cookies: Vec<_> = cookies.map(|value| value.to_str().expect("text")).collect();
    assert_eq!(cookies[0], "plain=a%20b%3B%0D%0Aset-cookie%3A%20x%3Dy");
    assert_eq!(
        cookies[1],
        "session=7f; HttpOnly; SameSite=Lax; Secure; Path=/"
    );
    assert!(
        cookies[2].starts_with("old=; Path=/; Max-Age=0; "),
        "{cookies:?}"
    );
    assert_eq!(client.get("/breaks").await.status(), 500);
}

/// A proxy is asked not to hold events back, unless the view knows better; other content is its affair.
#[tokio::test]
async fn events_alone_are_sent_unbuffered() {
    fn none() -> Events {
        Events(tokio::sync::mpsc::channel(1).1)
    }
    async fn plain(_req: &mut Request, res: &mut Response) {
        res.event_stream(none());
    }
    async fn set_before(_req: &mut Request, res: &mut Response) {
        res.header("x-accel-buffering", "yes");
        res.event_stream(none());
    }
    async fn set_after(_req: &mut Request, res: &mut Response) {
        res.event_stream(none());
        res.header("x-accel-buffering", "yes");
    }
    async fn replaced(_req: &mut Request, res: &mut Response) {
        res.event_stream(none());
        res.text("no events");
    }
    async fn failed(_req: &mut Request, res: &mut Response) -> bocadillo::Result<()> {
        res.event_stream(none());
        Err(HttpError::new(403).into())
    }
    let app = App::new()
        .add("/plain", &["get"], plain)
        .add("/before", &["get"], set_before)
        .add("/after", &["get"], set_after)
        .add("/replaced", &["get"], replaced)
        .add("/failed", &["get"], failed);
    let client = Client::new(app);
    for (path, expected) in [
        ("/plain", &["no"][..]),
        ("/before", &["yes"]),
        ("/after", &["yes"]),
        ("/replaced", &[]),
        ("/failed", &[]),
    ] {
        let response = client.get(path).await;
        let found = response.headers().get_all("x-accel-buffering").iter();
        assert_eq!(found.collect::<Vec<_>>(), expected, "{path}");
    }
}

/// A stream of what a channel brings, as one that waits for what happens.
struct Events(tokio::sync::mpsc::Receiver<Event>);

impl futures_core::Stream for Events {
    type Item = Result<Event, std::io::Error>;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        self.0.poll_recv(cx).map(|event| event.map(Ok))
    }
}

#[tokio::test]
async fn events_come_as_they_happen() {
    async fn replaced(_req: &mut Request, res: &mut Response) {
        let (_events, none) = tokio::sync::mpsc::channel(1);
        res.event_stream(Events(none));
        res.text("no events");
    }
    async fn events(req: &mut Request, res: &mut Response) -> bocadillo::Result<()> {
        let (tx, rx) = tokio::sync::mpsc::channel(1);
        let done = req
            .state::<tokio::sync::mpsc::Sender<&'static str>>()?
            .clone();
        res.event_stream(Events(rx));
        res.background(async move {
            let _ = done.send("after the stream").await;
        });
        tokio::spawn(async move {
            for number in 1..=3 {
                let event = Event::json(&number)
                    .expect("JSON")
                    .name("count")
                    .id(number.to_string());
                if tx.send(event.retry(Duration::from_secs(1))).await.is_err() {
                    return;
                }
            }
        });
        Ok(())
    }
    let (tx, mut done) = tokio::sync::mpsc::channel(1);
    let (addr, _) = start(
        App::new()
            .add("/", &["get"], events)
            .add("/replaced", &["get"], replaced)
            .state(tx),
    )
    .await;
    let reply = Http1::connect(addr).await.request("GET", "/replaced").await;
    assert_eq!(reply.body, "no events");
    assert!(reply.has("content-length: 9"), "{reply:?}");
    let mut client = Http1::connect(addr).await;
    client
        .send("GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
        .await;
    let text = String::from_utf8(client.rest().await).expect("text");
    assert!(
        text.contains("content-type: text/event-stream\r\n"),
        "{text}"
    );
    assert!(text.contains("cache-control: no-cache\r\n"), "{text}");
    assert!(text.contains("x-accel-buffering: no\r\n"), "{text}");
    for number in 1..=3 {
        let event = format!("event: count\nid: {number}\nretry: 1000\ndata: {number}\n\n");
        assert!(text.contains(&event), "{text}");
    }
    assert_eq!(
        support::soon("the task", done.recv()).await,
        Some("after the stream")
    );
}

#[cfg(feature = "file")]
#[tokio::test]
async fn files_are_sent_whole_in_part_or_not_again() {
    use support::{http2, http2_request, soon};

    async fn file(req: &mut Request, res: &mut Response) -> bocadillo::Result<()> {
        res.background(async {});
        res.file(req, "LICENSE-MIT").await
    }
    async fn none(req: &mut Request, res: &mut Response) -> bocadillo::Result<()> {
        res.file(req, "no-such-file").await
    }
    async fn attached(req: &mut Request, res: &mut Response) -> bocadillo::Result<()> {
        res.file(req, "README.md").await?;
        res.attachment("read me.md");
        res.status(201);
        Ok(())
    }
    let app = || {
        App::new()
            .add("/file", &["get", "post"], file)
            .add("/none", &["get"], none)
            .add("/attached", &["get"], attached)
    };
    let content = std::fs::read_to_string("LICENSE-MIT").expect("it is there");
    let client = Client::new(app());
    let whole = client.get("/file").await;
    assert_eq!(whole.text(), content);
    assert_eq!(whole.headers()["content-length"], content.len().to_string());
    assert_eq!(whole.tasks().await.len(), 1);
    let etag = whole.headers()["etag"].clone();
    let modified = whole.headers()["last-modified"].clone();
    let again = client.get("/file").header("if-none-match", etag).await;
    assert_eq!((again.status().as_u16(), again.text()), (304, ""));
    assert_eq!(again.tasks().await.len(), 1);
    let again = client
        .get("/file")
        .header("if-modified-since", modified)
        .await;
    assert_eq!(again.status(), 304);
    let part = client.get("/file").header("range", "bytes=4-10").await;
    assert_eq!(
        (part.status().as_u16(), part.text()),
        (206, &content[4..=10])
    );
    assert_eq!(
        part.headers()["content-range"],
        format!("bytes 4-10/{}", content.len())
    );
    let beyond = client.get("/file").header("range", "bytes=999999-").await;
    assert_eq!(beyond.status(), 416);
    let posted = client.post("/file").header("range", "bytes=4-10").await;
    assert_eq!((posted.status().as_u16(), posted.text()), (200, &*content));
    assert_eq!(client.get("/none").await.status(), 404);
    let attached = client.get("/attached").await;
    assert_eq!(attached.status(), 201);
    assert_eq!(
        attached.headers()["content-disposition"],
        "attachment; filename=\"read me.md\""
    );
    assert_eq!(attached.headers()["content-type"], "text/markdown");

    let (addr, _) = start(app()).await;
    let mut http1 = Http1::connect(addr).await;
    let head = http1.request("HEAD", "/file").await;
    let length = format!("content-length: {}", content.len());
    assert!(head.has(&length), "{head:?}");
    assert_eq!(http1.request("GET", "/file").await.body, content);
    let (mut send, _driver) = http2(addr, &h2::client::Builder::new()).await;
    let response = http2_request(&mut send, "HEAD", "/file").await;
    let response = soon("a response", response).await.expect("one");
    assert_eq!(
        response.headers()["content-length"],
        content.len().to_string()
    );
}

#[tokio::test]
async fn lengths_that_are_declared_are_looked_at() {
    use support::{http2, http2_request, soon};

    async fn head(_req: &mut Request, res: &mut Response) {
        res.header("content-length", "1000");
    }
    async fn twice(_req: &mut Request, res: &mut Response) {
        res.text("hello");
        res.append_header("content-length", "5");
        res.append_header("content-length", "99");
    }
    async fn signed(_req: &mut Request, res: &mut Response) {
        res.text("hello");
        res.header("content-length", "+5");
    }
    async fn unchanged(_req: &mut Request, res: &mut Response) {
        res.header("content-length", "5");
        res.status(304);
    }
    async fn error(_req: &mut Request, res: &mut Response) -> bocadillo::Result<()> {
        res.header("content-length", "5");
        Err(bocadillo::HttpError::new(422).into())
    }
    async fn reset(_req: &mut Request, res: &mut Response) {
        res.text("is not sent");
        res.status(205);
    }
    async fn switches(_req: &mut Request, res: &mut Response) {
        res.status(101);
    }
    let app = App::new()
        .add("/head", &["head"], head)
        .add("/twice", &["get"], twice)
        .add("/signed", &["get"], signed)
        .add("/unchanged", &["get"], unchanged)
        .add("/error", &["get"], error)
        .add("/reset", &["get"], reset)
        .add("/switches", &["get"], switches);
    let (addr, _) = start(app).await;
    let mut client = Http1::connect(addr).await;
    let (mut send, _driver) = http2(addr, &h2::client::Builder::new()).await;
    for (method, path, status) in [
        ("HEAD", "/head", 200),
        ("GET", "/twice", 500),
        ("GET", "/signed", 500),
        ("GET", "/unchanged", 304),
        ("GET", "/error", 422),
        ("GET", "/reset", 205),
    ] {
        let reply = client.request(method, path).await;
        assert_eq!(reply.status(), status, "{path}");
        let response = http2_request(&mut send, method, path).await;
        let response = soon("a response", response)
            .await
            .expect("no protocol error");
        assert_eq!(response.status(), status, "{path}");
        if path == "/head" {
            assert!(reply.has("content-length: 1000"), "{reply:?}");
            assert_eq!(response.headers()["content-length"], "1000");
        }
        let mut body = response.into_body();
        while let Some(data) = soon("the body", body.data()).await {
            data.expect("no protocol error");
        }
    }
    let response = http2_request(&mut send, "GET", "/switches").await;
    assert_eq!(
        soon("a response", response).await.expect("one").status(),
        500
    );
}

#[cfg(feature = "file")]
#[tokio::test]
async fn a_file_that_is_not_the_content_leaves_nothing_behind() {
    async fn folder(req: &mut Request, res: &mut Response) -> bocadillo::Result<()> {
        res.file(req, "src").await
    }
    async fn replaced(req: &mut Request, res: &mut Response) -> bocadillo::Result<()> {
        res.file(req, "LICENSE-MIT").await?;
        res.text("something else");
        Ok(())
    }
    async fn fails(req: &mut Request, res: &mut Response) -> bocadillo::Result<()> {
        res.file(req, "LICENSE-MIT").await?;
        res.attachment("licence");
        Err(bocadillo::HttpError::new(403).into())
    }
    async fn file(req: &mut Request, res: &mut Response) -> bocadillo::Result<()> {
        res.file(req, "LICENSE-MIT").await
    }
    let app = App::new()
        .add("/folder", &["get"], folder)
        .add("/replaced", &["get"], replaced)
        .add("/fails", &["get"], fails)
        .add("/file", &["get", "post"], file);
    let client = Client::new(app);
    assert_eq!(client.get("/folder").await.status(), 404);
    for (path, status) in [("/replaced", 200), ("/fails", 403)] {
        let response = client.get(path).await;
        assert_eq!(response.status(), status, "{path}");
        for header in [
            "etag",
            "last-modified",
            "accept-ranges",
            "content-disposition",
        ] {
            assert!(!response.headers().contains_key(header), "{path}: {header}");
        }
    }
    let changed = client
        .get("/file")
        .header("range", "bytes=0-3")
        .header("if-range", "\"old\"");
    assert_eq!(
        changed.await.status(),
        200,
        "a part of what has changed is worth nothing"
    );
    let posted = client.post("/file").header("if-none-match", "*").await;
    assert_eq!(posted.status(), 200, "a condition is for GET");
}
