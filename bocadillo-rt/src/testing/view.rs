//! What a unit test calls a view with.

use crate::message::{body::Body, request::Request, response::Response};

/// Makes the request that a unit test calls a view with. It belongs to no app: it has no path
/// parameters and no state.
///
/// # Examples
///
/// ```
/// use bocadillo::{Request, Response, testing};
///
/// async fn hello(req: &mut Request, res: &mut Response) {
///     res.text(format!("asked for {}", req.path()));
/// }
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> bocadillo::Result<()> {
/// let mut req = testing::request(http::Request::get("/?name=Ada").body("".into())?);
/// let mut res = testing::response();
/// hello(&mut req, &mut res).await;
/// assert_eq!(res.status_code(), 200);
/// # Ok(()) }
/// ```
#[must_use]
pub fn request(request: http::Request<Body>) -> Request {
    Request::without_app(request)
}

/// Makes the empty response, with status 200, that a unit test calls a view with. The tasks that the
/// view registers on it never run: for that there is the [`Client`](super::Client).
#[must_use]
pub fn response() -> Response {
    Response::new()
}
