//! hyper by hand: what its ways share.
//!
//! Each is an executable of its own: with two types of service in one, hyper's code is compiled twice and
//! less of it is inlined.

#[path = "server.rs"]
mod server;

use std::convert::Infallible;
use std::io;

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body as _, Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use tokio::net::TcpListener;

use server::Order;

/// A `const`, because `from_static` at run time checks the value byte by byte.
const TEXT: HeaderValue = HeaderValue::from_static("text/plain");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Serves in one way.
pub(crate) fn run<W: Way>() -> io::Result<()> {
    server::run(serve::<W>)
}

async fn serve<W: Way>(listener: TcpListener) -> io::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(async move {
            // A connection that fails is seen by the driver, at its other end.
            let _ = Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(stream), service_fn(answer::<W>))
                .await;
        });
    }
}

async fn answer<W: Way>(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(match (request.method(), request.uri().path()) {
        (&Method::GET, "/plain") => plain(),
        (&Method::POST, "/orders") => create_order::<W>(request.into_body()).await,
        (&Method::POST, "/at-once") => at_once::<W>(request.into_body()).await,
        _ => empty(StatusCode::NOT_FOUND),
    })
}

fn plain() -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from_static(b"hello")));
    response.headers_mut().insert(CONTENT_TYPE, TEXT);
    response
}

async fn create_order<W: Way>(body: Incoming) -> Response<Full<Bytes>> {
    let order = match read::<W>(body).await {
        Ok(order) => order,
        Err(response) => return response,
    };
    W::spawn(async move { server::confirm_later(&order.email).await });
    let mut response = Response::new(Full::new(Bytes::from_static(server::CREATED.as_bytes())));
    *response.status_mut() = StatusCode::CREATED;
    response.headers_mut().insert(CONTENT_TYPE, JSON);
    response
}

async fn at_once<W: Way>(body: Incoming) -> Response<Full<Bytes>> {
    let order = match read::<W>(body).await {
        Ok(order) => order,
        Err(response) => return response,
    };
    W::spawn(async move { server::confirm(&order.email) });
    empty(StatusCode::CREATED)
}

async fn read<W: Way>(body: Incoming) -> Result<Order, Response<Full<Bytes>>> {
    let json = W::read(body).await;
    let json = json.map_err(|_| empty(StatusCode::BAD_REQUEST))?;
    serde_json::from_slice(&json).map_err(|_| empty(StatusCode::BAD_REQUEST))
}

/// What differs.
pub(crate) trait Way: 'static {
    /// Reads a body.
    fn read(body: Incoming) -> impl Future<Output = Result<Bytes, hyper::Error>> + Send {
        first_frame(body)
    }

    /// Starts the background work.
    fn spawn(work: impl Future<Output = ()> + Send + 'static) {
        tokio::spawn(work);
    }
}

/// Takes the first frame itself: `collect` on a body of one frame costs some 400 instructions more.
async fn first_frame(mut body: Incoming) -> Result<Bytes, hyper::Error> {
    let Some(frame) = body.frame().await else {
        return Ok(Bytes::new());
    };
    let first = frame?.into_data().unwrap_or_default();
    if body.is_end_stream() {
        return Ok(first);
    }
    let rest = body.collect().await?.to_bytes();
    Ok(if rest.is_empty() {
        first
    } else {
        [first, rest].concat().into()
    })
}

fn empty(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response
}
