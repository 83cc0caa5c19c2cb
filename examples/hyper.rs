//! A function on hyper's own connections, in a loop of one's own: the tasks start when hyper has sent.
//!
//! Run with `cargo run --example hyper`, and try
//!
//! ```text
//! curl -i http://127.0.0.1:8000/ # 200, log: sent
//! ```

use std::convert::Infallible;

use bocadillo::{
    Body, HyperService, Runner, after_response,
    sent::{Streams, TrackedIo},
    service_fn,
};
use http::{Request, Response};
use hyper_util::{rt::TokioIo, server::conn::auto::Builder};

async fn hello(_req: Request<Body>) -> Result<Response<Body>, Infallible> {
    after_response(async { tracing::info!("sent") });
    Ok(Response::new(Body::from("hello\n")))
}

#[tokio::main]
async fn main() -> bocadillo::Result<()> {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .init();
    let runner = Runner::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:8000").await?;
    tracing::info!("listening on {}", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        let (io, connection) = TrackedIo::new(stream);
        let service = HyperService::new(service_fn(hello), &connection, &runner);
        let served = Builder::new(Streams::new())
            .serve_connection_with_upgrades(TokioIo::new(io), service)
            .into_owned();
        tokio::spawn(connection.drive(served));
    }
}
