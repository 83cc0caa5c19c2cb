//! The arguments for a unit test of a view.

use crate::message::{body::Body, request::Request, response::Response};

/// Creates a request for a unit test of a view. It belongs to no app, so it has no path parameters
/// and no state.
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

/// Creates an empty response with status 200 for a unit test of a view. The tasks that the view
/// registers on it never run; use the [`Client`](super::Client) to run them.
#[must_use]
pub fn response() -> Response {
    Response::new()
}
