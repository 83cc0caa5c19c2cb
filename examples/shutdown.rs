//! What happens to tasks at the end: Ctrl-C, or SIGTERM, waits for them.
//!
//! Run with `cargo run --example shutdown`, and try
//!
//! ```text
//! curl -i -X POST http://127.0.0.1:8000/orders                   # 201, log: confirmed
//! curl -i -X POST http://127.0.0.1:8000/forever                  # 202, log: for ever
//! ```
//!
//! and then Ctrl-C. The task that never ends is told first, then cut off, and named. A second Ctrl-C
//! would end all at once.

use bocadillo::{App, Request, Response, Runner, background, route};
use std::time::Duration;
use tokio::time::sleep;

#[route("/orders", methods = ["post"])]
async fn create_order(_req: &mut Request, res: &mut Response) {
    #[background]
    async fn confirm() {
        sleep(Duration::from_secs(1)).await;
        tracing::info!("confirmed");
    }
    res.status(201);
}

#[route("/forever", methods = ["post"])]
async fn forever(_req: &mut Request, res: &mut Response) {
    #[background]
    async fn watch() {
        tracing::info!("for ever");
        background::current().cancelled().await;
        tracing::info!("asked to end, and not willing to");
        std::future::pending::<()>().await;
    }
    res.status(202);
}

#[bocadillo::main]
async fn main() -> bocadillo::Result<()> {
    let runner = Runner::builder().drain_timeout(Duration::from_secs(5));
    App::new()
        .route(create_order)
        .route(forever)
        .background(runner)
        .on_shutdown(|| async {
            tracing::info!("the database is closed");
            Ok(())
        })
        .serve("127.0.0.1:8000")
        .await
}
