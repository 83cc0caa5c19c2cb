//! A service of axum's, with work after its responses: `axum::serve` has become `bocadillo::serve`.
//!
//! Run with `cargo run --example axum --features axum`, and try
//!
//! ```text
//! curl -i http://127.0.0.1:8000/orders -H 'content-type: application/json' -d '{"email": "ada@example.net"}' # 201, log: confirmation to ada@example.net
//! curl -i http://127.0.0.1:8000/orders/7 # 200, log: audit: order 7 was read
//! ```

use std::net::SocketAddr;

use axum::{
    Json, Router,
    extract::{ConnectInfo, Path, State},
    http::StatusCode,
    response::IntoResponse,
    routing::{get, post},
};
use bocadillo::{after_response, background::Background, view};
use serde::Deserialize;

#[derive(Clone)]
struct Shop {
    name: &'static str,
}

#[derive(Deserialize)]
struct Order {
    email: String,
}

#[view]
async fn create_order(
    State(shop): State<Shop>,
    res: Background,
    Json(order): Json<Order>,
) -> impl IntoResponse {
    #[background(timeout = "30s", when = "success")]
    async fn send_confirmation() {
        tracing::info!("confirmation to {} of {}", order.email, shop.name);
    }

    StatusCode::CREATED
}

async fn read_order(ConnectInfo(client): ConnectInfo<SocketAddr>, Path(id): Path<u64>) -> String {
    audit(id);
    format!("order {id} for {client}")
}

/// Deep below a handler: nobody has handed the response down.
fn audit(id: u64) {
    after_response(async move { tracing::info!("audit: order {id} was read") });
}

#[bocadillo::main]
async fn main() -> bocadillo::Result<()> {
    let router = Router::new()
        .route("/orders", post(create_order))
        .route("/orders/{id}", get(read_order))
        .with_state(Shop { name: "the shop" });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:8000").await?;
    bocadillo::serve(listener, router).await
}
