//! One task for several views: a function of its own, called with its arguments.
//!
//! Run with `cargo run --example parametrised`, and try
//!
//! ```text
//! curl -i -X POST http://127.0.0.1:8000/orders/7                 # 201, log: order 7: thank you
//! curl -i -X DELETE http://127.0.0.1:8000/orders/7               # 204, log: order 7: what a pity
//! ```

use bocadillo::{App, Request, Response, Task, route};
use std::time::Duration;

/// Reusable, and an ordinary function: a unit test can await it.
async fn notify(order: u64, text: &'static str) -> Result<(), std::io::Error> {
    tokio::time::sleep(Duration::from_millis(100)).await;
    tracing::info!("order {order}: {text}");
    Ok(())
}

#[route("/orders/{id}", methods = ["post"])]
async fn create_order(_req: &mut Request, res: &mut Response, id: u64) {
    res.background(notify(id, "thank you"));
    res.status(201);
}

/// The same with options: the builder says what the attribute could.
#[route("/orders/{id}", methods = ["delete"])]
async fn cancel_order(_req: &mut Request, res: &mut Response, id: u64) {
    let task = Task::new(notify(id, "what a pity"))
        .name("notify_cancelled")
        .timeout(Duration::from_secs(30));
    res.background(task);
    res.status(204);
}

#[bocadillo::main]
async fn main() -> bocadillo::Result<()> {
    App::new()
        .route(create_order)
        .route(cancel_order)
        .serve("127.0.0.1:8000")
        .await
}
