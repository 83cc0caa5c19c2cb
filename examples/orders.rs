//! An order is confirmed by e-mail after its response has been sent.
//!
//! Run with `cargo run --example orders`, and try
//!
//! ```text
//! curl -i http://127.0.0.1:8000/orders -H 'content-type: application/json' -d '{"email": "ada@example.net"}' # 201, log: confirmation sent
//! ```

use bocadillo::{App, Request, Response, route};
use serde::Deserialize;

#[derive(Deserialize)]
struct Order {
    email: String,
}

#[route("/orders", methods = ["post"])]
async fn create_order(req: &mut Request, res: &mut Response) -> bocadillo::Result<()> {
    let order: Order = req.json().await?;

    #[background]
    async fn send_confirmation() {
        mailer::send(&order.email).await; // `order` is moved into the task
    }

    res.status(201);
    Ok(())
}

#[bocadillo::main]
async fn main() -> bocadillo::Result<()> {
    App::new().route(create_order).serve("127.0.0.1:8000").await
}

/// Takes a second, as mail servers do.
mod mailer {
    use std::time::Duration;

    pub(super) async fn send(to: &str) {
        tokio::time::sleep(Duration::from_secs(1)).await;
        tracing::info!(to, "confirmation sent");
    }
}
