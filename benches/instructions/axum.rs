//! The peer: axum, its background work by `tokio::spawn`.

mod server;

use std::io;

use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use axum::routing::{get, post};
use axum::serve::ListenerExt as _;
use axum::{Json, Router};
use tokio::net::TcpListener;

use server::Order;

/// A `const`, because `from_static` at run time checks the value byte by byte.
const TEXT: HeaderValue = HeaderValue::from_static("text/plain");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

fn main() -> io::Result<()> {
    server::run(serve)
}

async fn serve(listener: TcpListener) -> io::Result<()> {
    let router = Router::new()
        .route("/plain", get(plain))
        .route("/orders", post(create_order))
        .route("/at-once", post(at_once));
    let listener = listener.tap_io(|stream| {
        stream
            .set_nodelay(true)
            .expect("a fresh connection takes TCP_NODELAY");
    });
    axum::serve(listener, router).await
}

async fn plain() -> ([(HeaderName, HeaderValue); 1], &'static str) {
    ([(CONTENT_TYPE, TEXT)], "hello")
}

async fn create_order(
    Json(order): Json<Order>,
) -> (StatusCode, [(HeaderName, HeaderValue); 1], &'static str) {
    tokio::spawn(async move { server::confirm_later(&order.email).await });
    (StatusCode::CREATED, [(CONTENT_TYPE, JSON)], server::CREATED)
}

async fn at_once(Json(order): Json<Order>) -> StatusCode {
    tokio::spawn(async move { server::confirm(&order.email) });
    StatusCode::CREATED
}
