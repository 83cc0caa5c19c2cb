//! Where the original does what its users did not expect, row by row: what it does, and what is done
//! here.

mod support;

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bocadillo::{App, HttpError, Request, Response, background::TaskState, route, testing::Client};
use futures_core::Stream;
use support::{Http1, start};

async fn mail() {}

/// Yields this many chunks, and then fails.
struct Fails(u8);

impl Stream for Fails {
    type Item = Result<&'static str, std::io::Error>;

    fn poll_next(mut self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.0 == 0 {
            return Poll::Ready(Some(Err(std::io::Error::other("within the stream"))));
        }
        self.0 -= 1;
        Poll::Ready(Some(Ok("chunk")))
    }
}

async fn plain_error(_req: &mut Request, res: &mut Response) -> bocadillo::Result<()> {
    res.header("x-kept", "yes");
    res.background(mail());
    Err(std::fmt::Error)?;
    Ok(())
}

async fn http_error(_req: &mut Request, res: &mut Response) -> bocadillo::Result<()> {
    res.header("x-kept", "yes");
    res.background(mail());
    Err(HttpError::new(403).into())
}

async fn redirects(_req: &mut Request, res: &mut Response) {
    res.header("x-kept", "yes");
    res.background(mail());
    res.redirect("/elsewhere");
}

async fn stream_fails(_req: &mut Request, res: &mut Response) {
    res.header("x-kept", "yes");
    res.background(mail());
    res.stream(Fails(2));
}

async fn stream_then_error(_req: &mut Request, res: &mut Response) -> bocadillo::Result<()> {
    res.header("x-kept", "yes");
    res.background(mail());
    res.stream(Fails(9));
    Err(HttpError::new(403).into())
}

async fn ok(_req: &mut Request, res: &mut Response) {
    res.header("x-kept", "yes");
    res.header("Content-Type", "text/x");
    res.header("content-type", "text/y");
    res.background(mail());
}

/// Headers that were set and tasks that were registered stay, whatever the view ends with.
#[tokio::test]
async fn tasks_and_headers_are_kept() {
    let app = App::new()
        .add("/plain", &["get"], plain_error)
        .add("/http", &["get"], http_error)
        .add("/redirect", &["get"], redirects)
        .add("/stream", &["get"], stream_fails)
        .add("/stream-error", &["get"], stream_then_error)
        .add("/ok", &["get"], ok);
    let client = Client::new(app);
    for (path, status, why) in [
        (
            "/plain",
            500,
            "as there; its connection is closed, and ours is not",
        ),
        ("/http", 403, "as there"),
        ("/redirect", 302, "there both are lost"),
        ("/stream", 200, "there the task does not run"),
        (
            "/stream-error",
            403,
            "there the content is that of the stream",
        ),
        ("/ok", 200, "there both types are sent"),
    ] {
        let response = client.get(path).await;
        assert_eq!(response.status(), status, "{path}: {why}");
        assert_eq!(response.headers()["x-kept"], "yes", "{path}: {why}");
        let reports = response.tasks().await;
        assert_eq!(reports.len(), 1, "{path}: {why}");
        assert_eq!(reports[0].outcome, TaskState::Completed, "{path}: {why}");
    }
    let response = client.get("/stream-error").await;
    assert_eq!(response.text(), r#"{"error":"403 Forbidden","status":403}"#);
    let types = client.get("/ok").await;
    let types = types.headers().get_all("content-type").iter();
    assert_eq!(types.collect::<Vec<_>>(), ["text/y"]);
}

/// A task or a view that fails costs no connection; there it is closed.
#[tokio::test]
async fn the_connection_lives_on() {
    async fn task_fails(_req: &mut Request, res: &mut Response) {
        #[bocadillo::background(res)]
        async fn fails() -> Result<(), std::fmt::Error> {
            Err(std::fmt::Error)
        }
    }
    let app = App::new()
        .add("/plain", &["get"], plain_error)
        .add("/task", &["get"], task_fails);
    let (addr, _) = start(app).await;
    let mut client = Http1::connect(addr).await;
    for (path, status) in [
        ("/task", 200),
        ("/plain", 500),
        ("/task", 200),
        ("/plain", 500),
    ] {
        assert_eq!(client.request("GET", path).await.status(), status);
    }
}

/// Empty content is declared as such: there 201 is chunked, and 204 has a length.
#[tokio::test]
async fn empty_content_is_framed_as_such() {
    #[route("/created")]
    async fn created(_req: &mut Request, res: &mut Response) {
        res.status(201);
    }
    #[route("/none")]
    async fn none(_req: &mut Request, res: &mut Response) {
        res.text("is not sent");
        res.status(204);
    }
    let (addr, _) = start(App::new().route(created).route(none)).await;
    let mut client = Http1::connect(addr).await;
    let created = client.request("GET", "/created").await;
    assert!(created.has("content-length: 0"), "{created:?}");
    assert!(!created.has("transfer-encoding"), "{created:?}");
    let none = client.request("GET", "/none").await;
    for header in ["content-length", "content-type", "transfer-encoding"] {
        assert!(!none.has(header), "{none:?}");
    }
    assert_eq!(client.request("GET", "/created").await.status(), 201);
}
