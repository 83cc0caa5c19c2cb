//! A unit test can call a view.

use bocadillo::{Request, Response, view};

#[view]
async fn index(_req: &mut Request, res: &mut Response) {
    #[background]
    async fn task() {}

    res.status(202);
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut req = bocadillo::testing::request(http::Request::new("".into()));
    let mut res = bocadillo::testing::response();
    index(&mut req, &mut res).await;
    assert_eq!(res.status_code(), 202);
}
