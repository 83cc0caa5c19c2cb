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
    assert!(
        malformed.text().contains("line 1 column 11"),
        "{}",
        malformed.text()
    );
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
        (405, &"POST, PUT".parse().expect("a value"))
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
    let (addr, _) = start(app().limits(Limits::new().headers(10).header_bytes(8192))).await;
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
