//! A function as a tower service.

use std::{
    any::type_name,
    fmt,
    task::{Context, Poll},
};

use tower_service::Service;

use crate::message::body::Body;

/// Creates a tower service from a function, for [`serve`](crate::serve).
///
/// # Examples
///
/// ```
/// use bocadillo::{Body, service_fn, testing::Client};
/// use http::{Request, Response};
/// use std::convert::Infallible;
///
/// async fn hello(_req: Request<Body>) -> Result<Response<Body>, Infallible> {
///     Ok(Response::new(Body::from("hello")))
/// }
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// assert_eq!(Client::new(service_fn(hello)).get("/").await.text(), "hello");
/// # }
/// ```
pub fn service_fn<F, Fut, B, E>(f: F) -> ServiceFn<F>
where
    F: FnMut(http::Request<Body>) -> Fut,
    Fut: Future<Output = Result<http::Response<B>, E>>,
{
    ServiceFn { f }
}

/// The service of [`service_fn`].
#[derive(Clone, Copy)]
pub struct ServiceFn<F> {
    f: F,
}

impl<F, Fut, B, E> Service<http::Request<Body>> for ServiceFn<F>
where
    F: FnMut(http::Request<Body>) -> Fut,
    Fut: Future<Output = Result<http::Response<B>, E>>,
{
    type Response = http::Response<B>;
    type Error = E;
    type Future = Fut;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), E>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Fut {
        (self.f)(request)
    }
}

impl<F> fmt::Debug for ServiceFn<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ServiceFn").field(&type_name::<F>()).finish()
    }
}
