//! A function of the same name and visibility is left behind.

use bocadillo::{App, Request, Response, route, testing::Client};

mod orders {
    use bocadillo::{Request, Response, route};

    /// Documented.
    #[route("/orders/{id}/{rest:path}", methods = ["get", "Post"])]
    pub async fn index(
        _req: &mut Request,
        res: &mut Response,
        rest: String,
        id: u64,
    ) -> bocadillo::Result<()> {
        res.text(format!("{id} {rest}"));
        Ok(())
    }
}

#[route("/")]
async fn index(_req: &mut Request, res: &mut Response) {
    res.text("index");
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> bocadillo::Result<()> {
    let client = Client::new(App::new().route(index).route(orders::index));
    assert_eq!(client.get("/").await.text(), "index");
    assert_eq!(client.post("/orders/7/a/b").await.text(), "7 a/b");
    let refused = client.get("/orders/x/a").await;
    assert_eq!(refused.status(), 400);
    assert!(refused.text().contains("\"detail\":{\"id\":\"Must be a whole number"));

    let mut req = bocadillo::testing::request(http::Request::new("".into()));
    let mut res = bocadillo::testing::response();
    orders::index(&mut req, &mut res, "rest".to_owned(), 8).await?;
    assert_eq!(res.status_code(), 200);
    Ok(())
}
