//! Every request is logged to a remote system, after its response: by a layer, for all routes.
//!
//! Run with `cargo run --example log_shipping`, and try
//!
//! ```text
//! curl -i http://127.0.0.1:8000/                                 # 200, log: shipped GET / 200
//! curl -i http://127.0.0.1:8000/nowhere                          # 404, log: shipped GET /nowhere 404
//! ```

use std::task::{Context, Poll};

use bocadillo::{
    App, Body, BoxedService, Request, Response,
    background::{self, Background},
    route,
};
use tower_layer::layer_fn;
use tower_service::Service;

#[route("/")]
async fn index(_req: &mut Request, res: &mut Response) {
    res.text("hello");
}

/// Registers a task beside those of the view.
#[derive(Clone)]
struct Ship(BoxedService);

impl Service<http::Request<Body>> for Ship {
    type Response = http::Response<Body>;
    type Error = std::convert::Infallible;
    type Future = bocadillo::BoxedFuture;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let line = format!("{} {}", request.method(), request.uri().path());
        if let Some(res) = request.extensions().get::<Background>() {
            res.add_background(ship(line));
        }
        self.0.call(request)
    }
}

async fn ship(line: String) {
    let context = background::current();
    let status = context.status().map_or(0, |status| status.as_u16());
    tracing::info!("shipped {line} {status}: {:?}", context.delivery());
}

#[bocadillo::main]
async fn main() -> bocadillo::Result<()> {
    App::new()
        .route(index)
        .layer(layer_fn(Ship))
        .serve("127.0.0.1:8000")
        .await
}
