//! What a view reads, and what bad input is answered with.

mod support;

use bocadillo::{App, Limits, Request, Response, testing::Client};
use serde::Deserialize;
use support::{Http1, start};

#[derive(Deserialize)]
struct Order {
    email: String,
}

async fn json(req: &mut Request, res: &mut Response) -> bocadillo::Result<()> {
    let order: Order = req.json().await?;
    let again: Order = req.json().await?;
    assert_eq!(order.email, again.email);
    res.text(order.email);
    Ok(())
}

async fn text(req: &mut Request, res: &mut Response) -> bocadillo::Result<()> {
    let text = req.text().await?;
    res.text(text);
    Ok(())
}

fn app() -> App {
    App::new()
        .add("/json", &["post"], json)
        .add("text", &["POST", "put"], text)
        .limits(Limits::new().body(1000))
}

#[tokio::test]
async fn json_is_read_as_often_as_wanted() {
    let client = Client::new(app());
    let response = client
        .post("/json")
        .body(r#"{"email": "a@example.net"}"#)
        .await;
    assert_eq!(response.text(), "a@example.net");
}

#[tokio::test]
async fn bad_input_is_told_apart() {
    let client = Client::new(app());
    let malformed = client.post("/json").body("{\"email\": 3}").await;
    assert_eq!(malformed.status(), 400);
    let text = malformed.text();
    assert!(
        text.contains("JSON is not as expected at `email`"),
        "{text}"
    );
    assert!(text.contains("line 1 column 11"), "{text}");
    let malformed = client.post("/json").body("{\"email\": ").await;
    assert!(malformed.text().contains("JSON is malformed"));
    assert_eq!(client.post("/json").await.status(), 400);
    assert_eq!(client.post("/text").body(vec![0xff]).await.status(), 400);
    assert_eq!(
        client.post("/text").body(vec![b'x'; 1000]).await.status(),
        200
    );
    assert_eq!(
        client.post("/text").body(vec![b'x'; 1001]).await.status(),
        413
    );
    assert_eq!(client.get("/none").await.status(), 404);
    let wrong = client.get("/text").await;
    assert_eq!(
        (wrong.status().as_u16(), &wrong.headers()["allow"]),
        (405, &"POST, PUT, OPTIONS".parse().expect("a value"))
    );
}

#[tokio::test]
async fn body_in_pieces_and_too_long_over_a_socket() {
    let (addr, _) = start(app()).await;
    let mut http1 = Http1::connect(addr).await;
    http1
        .send("POST /text HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n")
        .await;
    for piece in ["3\r\nabc\r\n", "2\r\nde\r\n", "1\r\nf\r\n", "0\r\n\r\n"] {
        http1.send(piece).await;
        tokio::task::yield_now().await;
    }
    assert_eq!(http1.reply(false).await.body, "abcdef");

    let mut http1 = Http1::connect(addr).await;
    http1
        .send("POST /text HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n")
        .await;
    let piece = "1ff\r\n".to_owned() + &"x".repeat(511) + "\r\n";
    http1.send(&piece).await;
    http1.send(&piece).await;
    assert_eq!(http1.reply(false).await.status(), 413);
}

#[tokio::test]
async fn declared_length_that_disagrees_never_reaches_the_client() {
    async fn lies(_req: &mut Request, res: &mut Response) {
        res.header("content-length", "7");
        res.text("hello");
    }
    let (addr, _) = start(App::new().add("/", &["get"], lies)).await;
    let reply = Http1::connect(addr).await.request("GET", "/").await;
    assert_eq!(
        (reply.status(), reply.body.as_str()),
        (500, "500 Internal Server Error")
    );
}

#[tokio::test]
async fn invalid_status_is_a_fault() {
    async fn odd(_req: &mut Request, res: &mut Response) {
        res.status(1000);
    }
    async fn early(_req: &mut Request, res: &mut Response) {
        res.status(103);
    }
    let client = Client::new(
        App::new()
            .add("/odd", &["get"], odd)
            .add("/early", &["get"], early),
    );
    assert_eq!(client.get("/odd").await.status(), 500);
    assert_eq!(client.get("/early").await.status(), 500);
}

#[tokio::test]
async fn headers_that_are_too_long_or_too_many_are_refused() {
    let (addr, _) = start(app().limits(Limits::new().max_headers(10).header_bytes(8192))).await;
    let mut many = Http1::connect(addr).await;
    let headers: String = (0..20).map(|n| format!("x-{n}: y\r\n")).collect();
    many.send(&format!("GET / HTTP/1.1\r\nhost: a\r\n{headers}\r\n"))
        .await;
    assert_eq!(many.reply(false).await.status(), 431);
    let mut long = Http1::connect(addr).await;
    long.send(&format!(
        "GET / HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n",
        "y".repeat(10_000)
    ))
    .await;
    assert_eq!(long.reply(false).await.status(), 431);
}

const FORM: &str = "application/x-www-form-urlencoded";

/// What has no `Sync` could not be held over an `await` of a view that is to be `Send`.
#[tokio::test]
async fn what_a_view_has_read_can_be_held_over_an_await() {
    async fn holds(req: &mut Request, res: &mut Response) {
        let agent = req.header("user-agent").unwrap_or("nobody");
        let query = req.query_param("q");
        tokio::task::yield_now().await;
        res.text(format!("{agent} {query:?}"));
    }
    let client = Client::new(App::new().add("/", &["get"], holds));
    let response = client.get("/?q=a%20b").header("user-agent", "me").await;
    assert_eq!(response.text(), "me Some(\"a b\")");
}

#[tokio::test]
async fn content_types_are_told_apart() {
    let client = Client::new(app());
    let body = r#"{"email": "a@example.net"}"#;
    for (content_type, status) in [
        ("application/json", 200),
        ("application/json; charset=utf-8", 200),
        ("Application/JSON", 200),
        ("application/vnd.api+json", 200),
        ("text/plain", 415),
        (FORM, 415),
        ("json", 415),
    ] {
        let request = client.post("/json").header("content-type", content_type);
        assert_eq!(request.body(body).await.status(), status, "{content_type}");
    }
    let refused = client
        .post("/json")
        .header("content-type", FORM)
        .body(body)
        .await;
    assert_eq!(
        refused.text(),
        r#"{"error":"415 Unsupported Media Type","status":415,"detail":"The content type must be `application/json`, and is `application/x-www-form-urlencoded`."}"#
    );
}

#[tokio::test]
async fn queries_and_forms_are_typed() {
    #[derive(Deserialize)]
    struct Search {
        q: String,
        page: Option<u32>,
        #[serde(default)]
        tag: Vec<String>,
    }
    async fn query(req: &mut Request, res: &mut Response) -> bocadillo::Result<()> {
        let Search { q, page, tag } = req.query()?;
        res.text(format!("{q} {page:?} {tag:?}"));
        Ok(())
    }
    async fn form(req: &mut Request, res: &mut Response) -> bocadillo::Result<()> {
        let Search { q, page, tag } = req.form().await?;
        res.text(format!("{q} {page:?} {tag:?}"));
        Ok(())
    }
    let client = Client::new(
        App::new()
            .add("/query", &["get"], query)
            .add("/form", &["post"], form)
            .limits(Limits::new().body(100)),
    );
    for (input, output) in [
        ("q=a+b%21", "a b! None []"),
        ("q=x&page=2&tag=a&tag=b", r#"x Some(2) ["a", "b"]"#),
        ("q=%F0%9F%A5%AA&unknown=1", "🥪 None []"),
        ("q=100%", "100% None []"),
    ] {
        let response = client.get(&format!("/query?{input}")).await;
        assert_eq!(response.text(), output);
        let request = client.post("/form").header("content-type", FORM);
        assert_eq!(request.body(input).await.text(), output);
    }
    for (input, reason) in [
        ("page=2", "missing field `q`"),
        ("q=a&page=two", "invalid digit"),
        ("q=a&page=-1", "invalid digit"),
        ("q=%ff", "is not UTF-8"),
        ("q=a&q=b", ""),
    ] {
        let response = client.get(&format!("/query?{input}")).await;
        assert_eq!(response.status(), 400, "{input}: {}", response.text());
        assert!(response.text().contains(reason), "{}", response.text());
        let request = client.post("/form").header("content-type", FORM);
        assert_eq!(request.body(input).await.status(), 400, "{input}");
    }
    assert_eq!(client.post("/form").body("q=a").await.status(), 415);
    let request = client.post("/form").header("content-type", FORM);
    assert_eq!(request.body("q=a&".repeat(50)).await.status(), 413);
}

#[tokio::test]
async fn query_parameters_are_read_one_by_one() {
    async fn raw(req: &mut Request, res: &mut Response) {
        let all: Vec<_> = req.query_params().collect();
        let first = req.query_param("a");
        res.text(format!("{} {first:?} {all:?}", req.raw_query()));
    }
    let client = Client::new(App::new().add("/", &["get"], raw));
    assert_eq!(
        client.get("/?a=1&b=%ff&a=2").await.text(),
        "a=1&b=%ff&a=2 Some(\"1\") [(\"a\", \"1\"), (\"b\", \"\u{fffd}\"), (\"a\", \"2\")]"
    );
    assert_eq!(client.get("/").await.text(), " None []");
}

#[tokio::test]
async fn a_body_is_streamed_as_it_comes() {
    async fn counts(req: &mut Request, res: &mut Response) -> bocadillo::Result<()> {
        let mut stream = req.stream();
        let mut sizes = Vec::new();
        while let Some(chunk) = stream.chunk().await? {
            sizes.push(chunk.len());
        }
        res.text(sizes.iter().sum::<usize>().to_string());
        let again = req.body().await.expect_err("it was taken").to_string();
        assert!(again.contains("was taken by `stream`"), "{again}");
        let again = req.stream().chunk().await.expect_err("it was taken");
        assert_eq!(again.status(), 500);
        Ok(())
    }
    async fn after_a_read(req: &mut Request, res: &mut Response) -> bocadillo::Result<()> {
        let length = req.body().await?.len();
        let chunk = req.stream().chunk().await?;
        res.text(format!("{length} {}", chunk.unwrap_or_default().len()));
        Ok(())
    }
    let limits = Limits::new().body(1000);
    let app = App::new()
        .add("/", &["post"], counts)
        .add("/read", &["post"], after_a_read)
        .limits(limits);
    let (addr, _) = start(app).await;
    let mut client = Http1::connect(addr).await;
    let head = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 100000\r\n\r\n";
    client.send(head).await;
    for _ in 0..10 {
        client.send(&"x".repeat(10_000)).await;
    }
    // No limit but the client's own applies to a stream.
    assert_eq!(client.reply(false).await.body, "100000");
    client
        .send("POST /read HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhello")
        .await;
    assert_eq!(client.reply(false).await.body, "5 5");
}

#[cfg(feature = "multipart")]
#[tokio::test]
async fn forms_with_files() {
    async fn upload(req: &mut Request, res: &mut Response) -> bocadillo::Result<()> {
        let mut form = req.multipart()?;
        let mut seen = String::new();
        while let Some(mut field) = form.next_field().await? {
            let name = field.name().unwrap_or_default().to_owned();
            let file = field.file_name().map(ToOwned::to_owned);
            let kind = field.content_type().map(ToOwned::to_owned);
            if name == "skipped" {
                continue;
            }
            seen += &format!("{name} {file:?} {kind:?} {:?}\n", field.text().await?);
        }
        res.text(seen);
        Ok(())
    }
    let app = App::new()
        .add("/", &["post"], upload)
        .limits(Limits::new().body(100));
    let client = Client::new(app);
    let post = |body: String| {
        let request = client
            .post("/")
            .header("content-type", "multipart/form-data; boundary=\"b\"");
        request.body(body)
    };
    let field = |head: &str, content: &str| {
        format!("--b\r\nContent-Disposition: form-data; {head}\r\n\r\n{content}\r\n")
    };
    let whole = field("name=\"who\"", "Ada")
        + &field("name=\"skipped\"", "not read")
        + &field(
            "name=\"f\"; filename=\"a.txt\"\r\nContent-Type: text/csv",
            "1,2\r\n--x",
        )
        + "--b--\r\n";
    let response = post(whole.clone()).await;
    assert_eq!(
        response.text(),
        "who None None \"Ada\"\nf Some(\"a.txt\") Some(\"text/csv\") \"1,2\\r\\n--x\"\n"
    );
    for (body, status) in [
        (String::new(), 400),
        ("--c\r\n".to_owned(), 400),
        (whole.replace("--b--", ""), 400),
        (field("name=\"a\"", "cut"), 400),
        (
            field("name=\"a\"", &"x".repeat(60))
                + &field("name=\"b\"", &"x".repeat(60))
                + "--b--\r\n",
            413,
        ),
    ] {
        let response = post(body.clone()).await;
        assert_eq!(response.status(), status, "{body}: {}", response.text());
    }
    for content_type in [
        "text/plain",
        "multipart/form-data",
        "multipart/mixed; boundary=b",
    ] {
        let request = client.post("/").header("content-type", content_type);
        assert_eq!(
            request.body(whole.clone()).await.status(),
            415,
            "{content_type}"
        );
    }
}

#[cfg(feature = "cookie")]
#[tokio::test]
async fn cookies_are_read() {
    async fn read(req: &mut Request, res: &mut Response) {
        let all: Vec<_> = req.cookies().map(|it| it.to_string()).collect();
        let one = req.cookie("b").map(|it| it.value().to_owned());
        res.text(format!("{all:?} {one:?}"));
    }
    let client = Client::new(App::new().add("/", &["get"], read));
    let request = client
        .get("/")
        .header("cookie", "a=1; b=x%20y")
        .header("cookie", "c=3");
    assert_eq!(
        request.await.text(),
        r#"["a=1", "b=x y", "c=3"] Some("x y")"#
    );
    let malformed = client.get("/").header("cookie", "; =; a; b=%ff; b=2;;");
    assert_eq!(malformed.await.text(), r#"["b=2"] Some("2")"#);
    assert_eq!(client.get("/").await.text(), "[] None");
}

/// Whoever reads again after an error gets that error again, and not what comes after it.
#[tokio::test]
async fn a_failed_read_fails_again() {
    async fn twice(req: &mut Request, res: &mut Response) {
        let first = req.body().await.map(|body| body.len());
        let second = req.text().await.map(|text| text.len());
        let status = |read: &bocadillo::Result<usize>| match read {
            Ok(length) => length.to_string(),
            Err(error) => error.status().as_u16().to_string(),
        };
        res.text(format!("{} {}", status(&first), status(&second)));
    }
    let limits = Limits::new().body(1000);
    let (addr, _) = start(App::new().add("/", &["post"], twice).limits(limits)).await;
    let mut client = Http1::connect(addr).await;
    client
        .send("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n")
        .await;
    for size in [900, 900, 500] {
        client
            .send(&format!("{size:x}\r\n{}\r\n", "x".repeat(size)))
            .await;
    }
    client.send("0\r\n\r\n").await;
    assert_eq!(client.reply(false).await.body, "413 413");
    let mut client = Http1::connect(addr).await;
    client
        .send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\nabc")
        .await;
    tokio::io::AsyncWriteExt::shutdown(&mut client.stream)
        .await
        .expect("half of it is closed");
    let text = String::from_utf8(client.rest().await).expect("text");
    assert!(text.is_empty() || text.ends_with("400 400"), "{text}");
}

/// A view that wants no body does not make the client's upload fail: some take a reset after the
/// response for a failure of it.
#[tokio::test]
async fn an_upload_that_nobody_reads_is_not_reset() {
    use support::{http2, soon};

    async fn ignores(_req: &mut Request, res: &mut Response) {
        res.text("answered");
    }
    let (addr, _) = start(App::new().add("/", &["post"], ignores)).await;
    let (send, _driver) = http2(addr, &h2::client::Builder::new()).await;
    let mut send = soon("the connection", send.ready())
        .await
        .expect("it lives");
    let request = http::Request::post("http://a/")
        .body(())
        .expect("a request");
    let (response, mut upload) = send.send_request(request, false).expect("sent");
    let response = soon("the response", response).await.expect("one");
    let mut body = response.into_body();
    while let Some(data) = soon("the body", body.data()).await {
        data.expect("it is whole");
    }
    // The whole answer is there, and only now comes what nobody reads.
    upload
        .send_data(bytes::Bytes::from_static(b"late"), false)
        .expect("not reset");
    upload
        .send_data(bytes::Bytes::from_static(b"later"), true)
        .expect("not reset");
    let request = http::Request::post("http://a/")
        .body(())
        .expect("a request");
    let (response, _) = send
        .send_request(request, true)
        .expect("the connection lives");
    assert_eq!(soon("another", response).await.expect("one").status(), 200);
    // But nobody's upload goes on for ever.
    let request = http::Request::post("http://a/")
        .body(())
        .expect("a request");
    let (response, mut upload) = send.send_request(request, false).expect("sent");
    soon("the response", response).await.expect("one");
    let end = soon("the reset", async {
        loop {
            upload.reserve_capacity(16 * 1024);
            match std::future::poll_fn(|cx| upload.poll_capacity(cx)).await {
                Some(Ok(size)) => {
                    let data = bytes::Bytes::from(vec![0; size]);
                    if upload.send_data(data, false).is_err() {
                        break None;
                    }
                }
                Some(Err(error)) => break error.reason(),
                None => break None,
            }
        }
    })
    .await;
    assert!(
        end.is_none_or(|reason| reason == h2::Reason::NO_ERROR),
        "{end:?}"
    );
}

#[tokio::test]
async fn mistakes_are_named_by_their_place() {
    #[derive(Deserialize)]
    struct Line {
        #[allow(dead_code, reason = "it is there to be parsed")]
        count: u32,
    }
    #[derive(Deserialize)]
    struct Order {
        #[allow(dead_code, reason = "it is there to be parsed")]
        lines: Vec<Line>,
    }
    async fn json(req: &mut Request, _res: &mut Response) -> bocadillo::Result<()> {
        req.json::<Order>().await?;
        Ok(())
    }
    async fn query(req: &mut Request, _res: &mut Response) -> bocadillo::Result<()> {
        req.query::<Line>()?;
        Ok(())
    }
    let app = App::new()
        .add("/", &["post"], json)
        .add("/", &["get"], query);
    let client = Client::new(app);
    let response = client
        .post("/")
        .body(r#"{"lines": [{"count": 1}, {"count": "x"}]}"#)
        .await;
    let text = response.text();
    assert!(text.contains("`lines[1].count`"), "{text}");
    assert!(text.contains("line 1 column"), "{text}");
    let text = client
        .post("/")
        .body(r#"{"lines": []} x"#)
        .await
        .text()
        .to_owned();
    assert!(text.contains("trailing characters"), "{text}");
    let text = client.get("/?count=x").await.text().to_owned();
    assert!(text.contains("count: invalid digit"), "{text}");
}

/// A head within a form that never ends is not kept for ever.
#[cfg(feature = "multipart")]
#[tokio::test]
async fn a_form_without_a_boundary_is_given_up() {
    async fn upload(req: &mut Request, res: &mut Response) -> bocadillo::Result<()> {
        let mut form = req.multipart()?;
        let mut fields = 0;
        // Nothing of the fields is read: they are skipped, however large they are.
        while form.next_field().await?.is_some() {
            fields += 1;
        }
        res.text(fields.to_string());
        Ok(())
    }
    let client = Client::new(App::new().add("/", &["post"], upload));
    let post = |body: Vec<u8>| {
        let request = client
            .post("/")
            .header("content-type", "multipart/form-data; boundary=b");
        let chunks: Vec<_> = body.chunks(16 * 1024).map(<[u8]>::to_vec).collect();
        request.body(bocadillo::Body::from_stream(Chunks(chunks.into())))
    };
    assert_eq!(post(vec![b'a'; 8 << 20]).await.status(), 413);
    let head = b"--b\r\nContent-Disposition: form-data; name=\"f\"\r\nx: ".to_vec();
    assert_eq!(
        post([head, vec![b'a'; 8 << 20]].concat()).await.status(),
        413
    );
    let field = [
        b"--b\r\nContent-Disposition: form-data; name=\"f\"\r\n\r\n".to_vec(),
        vec![b'a'; 4 << 20],
        b"\r\n".to_vec(),
    ]
    .concat();
    let form = [field.clone(), field, b"--b--\r\n".to_vec()].concat();
    assert_eq!(post(form).await.text(), "2");
}

#[cfg(feature = "multipart")]
struct Chunks(std::collections::VecDeque<Vec<u8>>);

#[cfg(feature = "multipart")]
impl futures_core::Stream for Chunks {
    type Item = Result<Vec<u8>, std::convert::Infallible>;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        _cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        std::task::Poll::Ready(self.0.pop_front().map(Ok))
    }
}

/// A body whose next part does not come is given up, however it is read.
#[tokio::test]
async fn a_body_that_does_not_come_is_given_up() {
    async fn whole(req: &mut Request, res: &mut Response) -> bocadillo::Result<()> {
        res.text(req.body().await?);
        Ok(())
    }
    async fn stream(req: &mut Request, _res: &mut Response) -> bocadillo::Result<()> {
        let mut stream = req.stream();
        while stream.chunk().await?.is_some() {}
        Ok(())
    }
    let app = App::new()
        .add("/whole", &["post"], whole)
        .add("/stream", &["post"], stream)
        .limits(Limits::new().body_timeout(std::time::Duration::from_millis(50)));
    let (addr, _) = start(app).await;
    for path in ["/whole", "/stream"] {
        let mut client = Http1::connect(addr).await;
        client
            .send(&format!(
                "POST {path} HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\nabc"
            ))
            .await;
        assert_eq!(client.reply(false).await.status(), 408, "{path}");
    }
}

/// A prefix such as `__Host-` is a promise of the browser's about the name as it came: a name that only
/// decodes to it is another.
#[cfg(feature = "cookie")]
#[tokio::test]
async fn names_of_cookies_are_compared_as_they_came() {
    async fn read(req: &mut Request, res: &mut Response) {
        let one = |name| req.cookie(name).map(|it| it.value().to_owned());
        let all: Vec<_> = req.cookies().map(|it| it.name().to_owned()).collect();
        res.text(format!(
            "{:?} {:?} {all:?}",
            one("__Host-sess"),
            one("__Secure-id")
        ));
    }
    let (addr, _) = start(App::new().add("/", &["get"], read)).await;
    let mut client = Http1::connect(addr).await;
    client
        .send(
            "GET / HTTP/1.1\r\nhost: a\r\n\
             cookie: %5F%5FHost-sess=evil; __Secure%2Did=evil; __Host-sess=good\r\n\
             cookie: __host-sess=evil; __Secure-id=x%3Dy\r\n\r\n",
        )
        .await;
    assert_eq!(
        client.reply(false).await.body,
        r#"Some("good") Some("x=y") ["%5F%5FHost-sess", "__Secure%2Did", "__Host-sess", "__host-sess", "__Secure-id"]"#
    );
}

/// One pair that cannot be read hides none of the others: not in its field, and not in the next.
#[cfg(feature = "cookie")]
#[tokio::test]
async fn each_cookie_stands_for_itself() {
    async fn read(req: &mut Request, res: &mut Response) {
        let all: Vec<_> = req.cookies().map(|it| it.to_string()).collect();
        res.text(all.join("|"));
    }
    let client = Client::new(App::new().add("/", &["get"], read));
    for (fields, expected) in [
        (
            vec!["session=abc; name=Jürgen".as_bytes()],
            "session=abc|name=Jürgen",
        ),
        (
            vec![b"session=abc; name=J\xfcrgen; b=2".as_slice()],
            "session=abc|b=2",
        ),
        (
            vec![b"n\xffme=1; \xfc=2; b=2".as_slice(), b"c=3"],
            "b=2|c=3",
        ),
        (
            vec!["ключ=значение;b=%D0%B9".as_bytes()],
            "ключ=значение|b=й",
        ),
        (vec![b"no pair; =none; a=; b=x=y".as_slice()], "a=|b=x=y"),
        (vec![b"a=100%; b=%zz".as_slice()], "a=100%|b=%zz"),
        (vec![b"a=\"1 2\"\t;\tb = 2 ".as_slice()], "a=\"1 2\"|b=2"),
    ] {
        let mut request = client.get("/");
        for field in fields {
            let value = http::HeaderValue::from_bytes(field).expect("a value");
            request = request.header("cookie", value);
        }
        assert_eq!(request.await.text(), expected);
    }
}

/// What a view sends is what it reads when the client sends it back.
#[cfg(feature = "cookie")]
#[tokio::test]
async fn a_cookie_comes_back_as_it_was_sent() {
    async fn sends(req: &mut Request, res: &mut Response) {
        let (name, value) = req.raw_query().split_once('=').expect("a pair");
        res.cookie((name.to_owned(), value.to_owned()));
    }
    async fn reads(req: &mut Request, res: &mut Response) {
        let value = req.cookie(req.raw_query()).map(|it| it.value().to_owned());
        res.text(value.unwrap_or_default());
    }
    let app = App::new()
        .add("/sends", &["get"], sends)
        .add("/reads", &["get"], reads);
    let client = Client::new(app);
    for (name, value) in [
        ("plain", "1"),
        ("a%20b", "100%25"),
        ("__Host-sess", "a;b,c"),
        ("x!y", "a=b"),
    ] {
        let sent = client.get(&format!("/sends?{name}={value}")).await;
        let sent = sent.headers()["set-cookie"].clone();
        let request = client.get(&format!("/reads?{name}")).header("cookie", sent);
        assert_eq!(request.await.text(), value, "{name}");
    }
    for name in ["a(b", "a@b", "a,b"] {
        let sent = client.get(&format!("/sends?{name}=1")).await;
        assert_eq!(sent.status(), 500, "{name} is no name of a cookie");
    }
}

#[tokio::test]
async fn blanks_around_a_parameter_of_a_content_type_are_legal() {
    async fn form(req: &mut Request, res: &mut Response) -> bocadillo::Result<()> {
        #[derive(Deserialize)]
        struct Form {
            a: String,
        }
        let form: Form = req.form().await?;
        res.text(form.a);
        Ok(())
    }
    let client = Client::new(app().add("/form", &["post"], form));
    let json = r#"{"email": "a"}"#;
    for (path, body, content_type, status) in [
        (
            "/form",
            "a=1",
            "application/x-www-form-urlencoded ; charset=utf-8",
            200,
        ),
        (
            "/form",
            "a=1",
            "application/x-www-form-urlencoded\t;charset=UTF-8",
            200,
        ),
        ("/form", "a=1", "Application/X-WWW-Form-Urlencoded;", 200),
        ("/form", "a=1", " application/x-www-form-urlencoded;;", 200),
        ("/form", "a=1", "application/x-www-form-urlencoded x", 415),
        ("/form", "a=1", "application/x-www-form-urlencodedx", 415),
        ("/json", json, "application/json ; charset=utf-8", 200),
        (
            "/json",
            json,
            "application/problem+json ;charset=\"utf-8\"",
            200,
        ),
        ("/json", json, "application/json;", 200),
        ("/json", json, "application/jsonp", 415),
        ("/json", json, "application/+json", 415),
        ("/json", json, "/json", 415),
    ] {
        let request = client.post(path).header("content-type", content_type);
        assert_eq!(request.body(body).await.status(), status, "{content_type}");
    }
}

#[cfg(feature = "multipart")]
#[tokio::test]
async fn a_boundary_is_found_however_it_is_written() {
    async fn upload(req: &mut Request, res: &mut Response) -> bocadillo::Result<()> {
        let mut form = req.multipart()?;
        let mut field = form.next_field().await?.expect("a field");
        res.text(field.text().await?);
        Ok(())
    }
    let client = Client::new(App::new().add("/", &["post"], upload));
    for (content_type, boundary, status) in [
        ("multipart/form-data ; boundary=b", "b", 200),
        ("Multipart/Form-Data; charset=utf-8; BOUNDARY=b;", "b", 200),
        ("multipart/form-data; boundary=\"a;b c\"", "a;b c", 200),
        (
            "multipart/form-data; x=\"boundary=no;\"; boundary=\"a\\b\"",
            "ab",
            200,
        ),
        ("multipart/form-data; boundary=", "", 415),
        ("multipart/form-data; boundary=\"\"", "", 415),
        ("multipart/form-data; xboundary=b", "b", 415),
        ("multipart/form-data; boundary=\"open", "open", 415),
    ] {
        let body = format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nx\r\n--{boundary}--\r\n"
        );
        let request = client.post("/").header("content-type", content_type);
        assert_eq!(request.body(body).await.status(), status, "{content_type}");
    }
}

#[tokio::test]
async fn a_path_parameter_beyond_its_type_says_so() {
    #[bocadillo::route("/u32/{n}")]
    async fn unsigned(_req: &mut Request, _res: &mut Response, n: u32) {
        let _ = n;
    }
    #[bocadillo::route("/i64/{n}")]
    async fn signed(_req: &mut Request, _res: &mut Response, n: i64) {
        let _ = n;
    }
    #[bocadillo::route("/f32/{n}")]
    async fn float(_req: &mut Request, _res: &mut Response, n: f32) {
        let _ = n;
    }
    let app = App::new().route(unsigned).route(signed).route(float);
    let client = Client::new(app);
    for (path, words) in [
        ("/u32/4294967296", "Must be from 0 to 4294967295."),
        ("/u32/-1", "Must be a whole number that is not negative."),
        ("/u32/x", "Must be a whole number that is not negative."),
        (
            "/i64/9223372036854775808",
            "Must be from -9223372036854775808 to 9223372036854775807.",
        ),
        (
            "/i64/-9223372036854775809",
            "Must be from -9223372036854775808 to 9223372036854775807.",
        ),
        ("/i64/1.5", "Must be a whole number."),
        ("/f32/1e39", "Must be from -3.4028235e38 to 3.4028235e38."),
        ("/f32/x", "Must be a number."),
    ] {
        let response = client.get(path).await;
        assert_eq!(response.status(), 400, "{path}");
        assert!(
            response.text().contains(words),
            "{path}: {}",
            response.text()
        );
    }
    assert_eq!(client.get("/u32/4294967295").await.status(), 200);
}

/// Fields by their names, whatever their order; files with their content, in memory or not.
#[cfg(feature = "multipart")]
mod form_data {
    use super::*;

    const HEAD: &str = "content-type: multipart/form-data; boundary=b\r\n";

    fn field(head: &str, content: &str) -> String {
        format!("--b\r\nContent-Disposition: form-data; {head}\r\n\r\n{content}\r\n")
    }

    fn file(name: &str, file_name: &str, content: &str) -> String {
        let head = format!("name=\"{name}\"; filename=\"{file_name}\"\r\nContent-Type: text/csv");
        field(&head, content)
    }

    async fn post(addr: std::net::SocketAddr, path: &str, form: &str) -> support::Reply {
        let mut client = Http1::connect(addr).await;
        let body = format!("{form}--b--\r\n");
        let length = body.len();
        client
            .send(&format!(
                "POST {path} HTTP/1.1\r\nhost: a\r\n{HEAD}content-length: {length}\r\n\r\n{body}"
            ))
            .await;
        client.reply(false).await
    }

    /// Tells texts and files, each file with a sum of its bytes.
    async fn tells(req: &mut Request, res: &mut Response) -> bocadillo::Result<()> {
        let form = req.form_data_within(8 * 1024 * 1024).await?;
        let mut told = Vec::new();
        for name in ["a", "b"] {
            told.extend(form.texts(name).map(|text| format!("{name}={text}")));
            for file in form.files(name) {
                let bytes = file.bytes().await?;
                let again = file.bytes().await?;
                assert_eq!(bytes, again);
                assert_eq!(bytes.len() as u64, file.len());
                let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!(
                    "saved-{}-{}",
                    std::process::id(),
                    file.file_name()
                ));
                file.save(&path).await?;
                assert_eq!(std::fs::read(&path)?, bytes);
                std::fs::remove_file(&path)?;
                let sum: u64 = bytes.iter().map(|byte| u64::from(*byte)).sum();
                let (file_name, kind) = (file.file_name(), file.content_type());
                told.push(format!("{name}:{file_name}:{kind:?}:{}:{sum}", bytes.len()));
            }
        }
        res.text(told.join("|"));
        Ok(())
    }

    #[tokio::test]
    async fn is_read_whole() {
        let (addr, _) = start(App::new().add("/", &["post"], tells)).await;
        let form = file("a", "1.csv", "1,2")
            + &field("name=\"b\"", "ü")
            + &field("name=\"a\"", "one")
            + &file("b", "", "")
            + &field("name=\"a\"", "two")
            + &file("a", "2.csv", "");
        assert_eq!(
            post(addr, "/", &form).await.body,
            "a=one|a=two|a:1.csv:Some(\"text/csv\"):3:143|a:2.csv:Some(\"text/csv\"):0:0|b=ü"
        );
        assert_eq!(post(addr, "/", "").await.body, "");
    }

    /// Each of them is told from the others, on disk too.
    #[tokio::test]
    async fn large_files_are_kept_on_disk() {
        let (addr, _) = start(App::new().add("/", &["post"], tells)).await;
        let sizes = [600_000, 600_000, 10, 1_500_000, 400_000];
        let mut form = String::new();
        let mut expected = Vec::new();
        for (at, size) in sizes.into_iter().enumerate() {
            let letter = char::from(b'a' + at as u8);
            form += &file("a", &letter.to_string(), &letter.to_string().repeat(size));
            let sum = size as u64 * letter as u64;
            expected.push(format!("a:{letter}:Some(\"text/csv\"):{size}:{sum}"));
        }
        assert_eq!(post(addr, "/", &form).await.body, expected.join("|"));
    }

    #[tokio::test]
    async fn has_its_limits() {
        async fn small(req: &mut Request, res: &mut Response) -> bocadillo::Result<()> {
            let form = req.form_data().await?;
            res.text(form.text("a").unwrap_or_default().to_owned());
            Ok(())
        }
        let app = App::new()
            .add("/", &["post"], small)
            .limits(Limits::new().body(100));
        let (addr, _) = start(app).await;
        let long = |bytes| "x".repeat(bytes);
        for (what, form, status) in [
            ("just fits", field("name=\"a\"", &long(99)), 200),
            (
                "with its name too long",
                field("name=\"aa\"", &long(99)),
                413,
            ),
            (
                "two together",
                field("name=\"a\"", &long(50)).repeat(2),
                413,
            ),
            ("a file that fits", file("a", "f", &long(100)), 200),
            ("a file that does not", file("a", "f", &long(101)), 413),
            ("two files", file("a", "f", &long(51)).repeat(2), 413),
            (
                "a text beside a file",
                field("name=\"a\"", &long(80)) + &file("b", "f", &long(100)),
                200,
            ),
            ("too many", field("name=\"\"", "").repeat(1001), 413),
            ("not too many", field("name=\"\"", "").repeat(1000), 200),
            ("no name", field("x=\"a\"", "1"), 400),
        ] {
            let reply = post(addr, "/", &form).await;
            assert_eq!(reply.status(), status, "{what}: {}", reply.body);
        }
    }

    #[tokio::test]
    async fn that_is_cut_off_or_malformed_is_no_form() {
        let client = Client::new(App::new().add("/", &["post"], tells));
        for (body, content_type, status) in [
            (
                field("name=\"a\"", "cut"),
                "multipart/form-data; boundary=b",
                400,
            ),
            (String::new(), "multipart/form-data; boundary=b", 400),
            (field("name=\"a\"", "1"), "text/plain", 415),
            (field("name=\"a\"", "1"), "multipart/form-data", 415),
        ] {
            let request = client.post("/").header("content-type", content_type);
            assert_eq!(request.body(body).await.status(), status, "{content_type}");
        }
        let mut bytes = field("name=\"a\"", "?").into_bytes();
        let at = bytes
            .iter()
            .position(|byte| *byte == b'?')
            .expect("it is there");
        bytes[at] = 0xff;
        bytes.extend(b"--b--\r\n");
        let request = client
            .post("/")
            .header("content-type", "multipart/form-data; boundary=b");
        assert_eq!(
            request.body(bytes).await.status(),
            400,
            "a text that is not UTF-8"
        );
    }

    #[tokio::test]
    async fn has_texts_with_a_type() {
        #[derive(Deserialize)]
        struct Order {
            email: String,
            #[serde(default)]
            tag: Vec<String>,
        }
        async fn order(req: &mut Request, res: &mut Response) -> bocadillo::Result<()> {
            let form = req.form_data().await?;
            let Order { email, tag } = form.parse()?;
            res.text(format!("{email} {tag:?}"));
            Ok(())
        }
        let (addr, _) = start(App::new().add("/", &["post"], order)).await;
        let form = field("name=\"tag\"", "a&b=c")
            + &field("name=\"email\"", "a+b@example.net")
            + &field("name=\"tag\"", "ü");
        let reply = post(addr, "/", &form).await;
        assert_eq!(reply.body, "a+b@example.net [\"a&b=c\", \"ü\"]");
        let without = post(addr, "/", &field("name=\"tag\"", "a")).await;
        assert_eq!(without.status(), 400);
        assert!(
            without.body.contains("missing field `email`"),
            "{without:?}"
        );
    }
}
