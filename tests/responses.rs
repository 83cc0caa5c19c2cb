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
    assert_eq!(all("content-type"), ["text/html; charset=utf-8"]);
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
    fn none() -> tokio::sync::mpsc::Receiver<Event> {
        tokio::sync::mpsc::channel(1).1
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

#[tokio::test]
async fn events_come_as_they_happen() {
    async fn replaced(_req: &mut Request, res: &mut Response) {
        let (_events, none) = tokio::sync::mpsc::channel::<Event>(1);
        res.event_stream(none);
        res.text("no events");
    }
    async fn events(req: &mut Request, res: &mut Response) -> bocadillo::Result<()> {
        let (tx, rx) = tokio::sync::mpsc::channel(1);
        let done = req
            .state::<tokio::sync::mpsc::Sender<&'static str>>()?
            .clone();
        res.event_stream(rx);
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

#[tokio::test]
async fn text_says_its_charset() {
    async fn text(_req: &mut Request, res: &mut Response) {
        res.text("ü");
    }
    async fn html(_req: &mut Request, res: &mut Response) {
        res.html("ü");
    }
    async fn own(_req: &mut Request, res: &mut Response) {
        res.text("ü");
        res.header("content-type", "text/csv");
    }
    async fn panics(_req: &mut Request, _res: &mut Response) {
        panic!("for its answer");
    }
    let app = App::new()
        .add("/text", &["get"], text)
        .add("/html", &["get"], html)
        .add("/own", &["get"], own)
        .add("/panics", &["get"], panics);
    let client = Client::new(app);
    for (path, content_type) in [
        ("/text", "text/plain; charset=utf-8"),
        ("/html", "text/html; charset=utf-8"),
        ("/own", "text/csv"),
        ("/panics", "text/plain; charset=utf-8"),
    ] {
        let response = client.get(path).await;
        assert_eq!(response.headers()["content-type"], content_type, "{path}");
    }
}

/// What a browser takes for another host, or drops, is encoded as well.
#[tokio::test]
async fn a_redirect_is_encoded_once() {
    async fn redirects(req: &mut Request, res: &mut Response) {
        let to: &String = req.state().expect("a target");
        res.redirect(to);
    }
    for (to, location) in [
        ("/über", "/%C3%BCber"),
        ("/%C3%BCber?q=%20", "/%C3%BCber?q=%20"),
        ("/a b?q=\"x\"#ü", "/a%20b?q=%22x%22#%C3%BC"),
        ("/100%", "/100%25"),
        ("/%zz%4", "/%25zz%254"),
        ("/[a]{b}|^`<c>", "/[a]%7Bb%7D%7C%5E%60%3Cc%3E"),
        ("/\\evil.example", "/%5Cevil.example"),
        ("/\t/evil.example", "/%09/evil.example"),
        (
            "https://example.net/?a=b&c=d;e",
            "https://example.net/?a=b&c=d;e",
        ),
        ("", ""),
    ] {
        let app = App::new()
            .add("/", &["get"], redirects)
            .state(to.to_owned());
        let response = Client::new(app).get("/").await;
        assert_eq!(response.status(), 302, "{to}");
        assert_eq!(response.headers()["location"], location);
    }
}

#[cfg(feature = "file")]
mod ranges {
    use super::*;

    /// As long as a file can be, to be sent.
    struct File(std::path::PathBuf);

    async fn sends(req: &mut Request, res: &mut Response) -> bocadillo::Result<()> {
        let File(path) = req.state()?;
        res.file(req, path.clone()).await
    }

    fn client(name: &str, content: &[u8]) -> Client {
        let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"));
        let path = folder.join(format!("{name}-{}", std::process::id()));
        std::fs::write(&path, content).expect("it is written");
        let long_ago = std::time::SystemTime::now() - Duration::from_secs(100);
        let file = std::fs::File::options()
            .write(true)
            .open(&path)
            .expect("it is there");
        file.set_modified(long_ago).expect("a time");
        Client::new(
            App::new()
                .add("/", &["get", "post"], sends)
                .state(File(path)),
        )
    }

    /// RFC 9110, 14: each with what may come of it. `None` is the whole.
    #[tokio::test]
    async fn a_range_is_answered_as_the_standard_has_it() {
        let content: Vec<u8> = (0..1000_u32).map(|n| b'a' + (n % 26) as u8).collect();
        let client = client("ranges", &content);
        for (range, part) in [
            ("bytes=0-0", Some(0..1)),
            ("bytes=0-", Some(0..1000)),
            ("bytes=-5", Some(995..1000)),
            ("bytes=-5000", Some(0..1000)),
            ("bytes=-1000", Some(0..1000)),
            ("bytes=999-", Some(999..1000)),
            ("bytes=990-99999999999999999999999", Some(990..1000)),
            ("bytes=-99999999999999999999999", Some(0..1000)),
            ("Bytes=4-7", Some(4..8)),
            ("bytes=004-007", Some(4..8)),
            ("bytes= 4-7 ", Some(4..8)),
            ("bytes=,4-7,", Some(4..8)),
            // Ignored: of another unit, malformed, or several.
            ("lines=0-1", None),
            ("bytes", None),
            ("bytes=", None),
            ("bytes=-", None),
            ("bytes=7-4", None),
            ("bytes=a-b", None),
            ("bytes=+1-2", None),
            ("bytes=1-2-3", None),
            ("bytes=4 - 7", None),
            ("bytes=0-1,4-5", None),
            ("bytes=0-1, 1-2, -3", None),
            ("bytes=0-1,9999-", None),
        ] {
            let response = client.get("/").header("range", range).await;
            let body = &response.body().expect("it is whole")[..];
            let Some(part) = part else {
                assert_eq!(response.status(), 200, "{range}");
                assert!(!response.headers().contains_key("content-range"), "{range}");
                assert_eq!(body, &content[..], "{range}");
                continue;
            };
            assert_eq!(response.status(), 206, "{range}");
            assert_eq!(
                response.headers()["content-range"],
                format!("bytes {}-{}/1000", part.start, part.end - 1),
                "{range}"
            );
            assert_eq!(response.headers()["content-length"], part.len().to_string());
            assert_eq!(body, &content[part], "{range}");
        }
        let twice = client
            .get("/")
            .header("range", "bytes=0-1")
            .header("range", "bytes=4-5");
        assert_eq!(twice.await.status(), 200, "two fields");
        for unsatisfiable in [
            "bytes=1000-",
            "bytes=1000-2000",
            "bytes=-0",
            "bytes=1000-,2000-",
        ] {
            let response = client.get("/").header("range", unsatisfiable).await;
            assert_eq!(response.status(), 416, "{unsatisfiable}");
            assert_eq!(response.headers()["content-range"], "bytes */1000");
            assert_eq!(response.text(), "", "{unsatisfiable}");
        }
        for method in [http::Method::HEAD, http::Method::POST] {
            let response = client
                .request(method, "/")
                .header("range", "bytes=0-1")
                .await;
            assert_eq!(response.status(), 200, "a range is for GET");
            assert!(!response.headers().contains_key("content-range"));
        }
    }

    #[tokio::test]
    async fn an_empty_file_has_no_parts() {
        let client = client("empty", b"");
        for range in ["bytes=0-", "bytes=0-0", "bytes=-5", "bytes=5-", "bytes=-0"] {
            let response = client.get("/").header("range", range).await;
            assert_eq!(response.status(), 200, "{range}");
            assert!(!response.headers().contains_key("content-range"), "{range}");
            assert_eq!(response.headers()["content-length"], "0");
            assert_eq!(response.text(), "", "{range}");
        }
    }

    /// A part of what has changed is worth nothing.
    #[tokio::test]
    async fn if_range_decides_whether_it_is_a_part() {
        let client = client("if-range", b"content");
        let whole = client.get("/").await;
        let (etag, modified) = (&whole.headers()["etag"], &whole.headers()["last-modified"]);
        let weak = format!("W/{}", etag.to_str().expect("text"));
        for (validator, status) in [
            (etag.clone(), 206),
            (modified.clone(), 206),
            (weak.parse().expect("a value"), 200),
            ("\"other\"".parse().expect("a value"), 200),
            (
                "Thu, 01 Jan 1970 00:00:00 GMT".parse().expect("a value"),
                200,
            ),
            (
                "Thu, 01 Jan 2099 00:00:00 GMT".parse().expect("a value"),
                200,
            ),
            ("nothing".parse().expect("a value"), 200),
        ] {
            let request = client.get("/").header("range", "bytes=0-2");
            let response = request.header("if-range", validator.clone()).await;
            assert_eq!(response.status(), status, "{validator:?}");
            let expected = if status == 206 { "con" } else { "content" };
            assert_eq!(response.text(), expected, "{validator:?}");
        }
        let request = client.get("/").header("range", "bytes=100-");
        let response = request.header("if-range", "\"other\"").await;
        assert_eq!(response.status(), 200, "no 416 of what has changed");
        let request = client.get("/").header("if-range", etag.clone()).await;
        assert_eq!(request.status(), 200, "without a range it says nothing");
    }
}

/// Without a crate for it, or a `Stream` of one's own.
#[tokio::test]
async fn a_channel_is_a_stream() {
    use std::io;
    use tokio::sync::mpsc;

    fn send<T>(items: impl IntoIterator<Item = T>) -> mpsc::UnboundedReceiver<T> {
        let (tx, rx) = mpsc::unbounded_channel();
        for item in items {
            tx.send(item).unwrap_or_else(|_| panic!("it is there"));
        }
        rx
    }
    async fn strings(_req: &mut Request, res: &mut Response) {
        let (tx, rx) = mpsc::channel(1);
        tokio::spawn(async move {
            for text in ["a", "b", "c"] {
                tx.send(text.to_owned()).await.expect("it is there");
            }
        });
        res.stream(rx);
    }
    async fn unbounded(_req: &mut Request, res: &mut Response) {
        res.stream(send(["a", "b", "c"]));
    }
    async fn vectors(_req: &mut Request, res: &mut Response) {
        res.stream(send([b"a".to_vec(), b"bc".to_vec()]));
    }
    async fn results(_req: &mut Request, res: &mut Response) {
        res.stream(send([Ok::<_, io::Error>("ab"), Ok("c")]));
    }
    async fn fails(_req: &mut Request, res: &mut Response) {
        res.stream(send([Ok("abc"), Err(io::Error::other("no more"))]));
    }
    async fn events(_req: &mut Request, res: &mut Response) {
        res.event_stream(send([Ok::<_, io::Error>(Event::new("a"))]));
    }
    let app = App::new()
        .add("/strings", &["get"], strings)
        .add("/unbounded", &["get"], unbounded)
        .add("/vectors", &["get"], vectors)
        .add("/results", &["get"], results)
        .add("/fails", &["get"], fails)
        .add("/events", &["get"], events);
    let client = Client::new(app);
    for path in ["/strings", "/unbounded", "/vectors", "/results"] {
        assert_eq!(client.get(path).await.text(), "abc", "{path}");
    }
    assert!(
        client.get("/fails").await.body().is_err(),
        "no short success"
    );
    assert_eq!(client.get("/events").await.text(), "data: a\n\n");
}

#[tokio::test]
async fn the_name_of_an_attachment_is_any_text() {
    async fn sends(_req: &mut Request, res: &mut Response) {
        let name = String::from("a.csv");
        res.attachment(&name);
        res.attachment(name.as_str());
        res.attachment(std::borrow::Cow::from("b.csv"));
        res.attachment(format!("{name}.gz"));
    }
    let response = Client::new(App::new().add("/", &["get"], sends))
        .get("/")
        .await;
    assert_eq!(
        response.headers()["content-disposition"],
        "attachment; filename=\"a.csv.gz\""
    );
}
