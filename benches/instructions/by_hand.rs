//! hyper by hand, its background work by `tokio::spawn`: what both of its ways share.
//!
//! Each is an executable of its own: with two types of service in one, hyper's code is compiled twice and
//! less of it is inlined.

#[path = "server.rs"]
mod server;

use std::convert::Infallible;
use std::io;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use tokio::net::TcpListener;

use server::Order;

/// A `const`, because `from_static` at run time checks the value byte by byte.
const TEXT: HeaderValue = HeaderValue::from_static("text/plain");

/// Serves; `R` says how a body is read.
pub(crate) fn run<R: ReadBody>() -> io::Result<()> {
    server::run(serve::<R>)
}

async fn serve<R: ReadBody>(listener: TcpListener) -> io::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(async move {
            // A connection that fails is seen by the driver, at its other end.
            let _ = Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(stream), service_fn(answer::<R>))
                .await;
        });
    }
}

async fn answer<R: ReadBody>(
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(match (request.method(), request.uri().path()) {
        (&Method::GET, "/plain") => plain(),
        (&Method::POST, "/orders") => create_order::<R>(request.into_body()).await,
        _ => empty(StatusCode::NOT_FOUND),
    })
}

fn plain() -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from_static(b"hello")));
    response.headers_mut().insert(CONTENT_TYPE, TEXT);
    response
}

async fn create_order<R: ReadBody>(body: Incoming) -> Response<Full<Bytes>> {
    let Ok(json) = R::read(body).await else {
        return empty(StatusCode::BAD_REQUEST);
    };
    let Ok(order) = serde_json::from_slice::<Order>(&json) else {
        return empty(StatusCode::BAD_REQUEST);
    };
    tokio::spawn(async move { server::confirm(&order.email) });
    empty(StatusCode::CREATED)
}

/// How the body is read.
pub(crate) trait ReadBody: 'static {
    fn read(body: Incoming) -> impl Future<Output = Result<Bytes, hyper::Error>> + Send;
}

fn empty(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response
}
