//! A webhook that is called after the response, again and again until it answers.
//!
//! Run with `cargo run --example webhook`, and try
//!
//! ```text
//! curl -i -X POST http://127.0.0.1:8000/orders                   # 201, log: delivered after 3 attempts
//! ```

use std::{
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    time::Duration,
};

use bocadillo::{App, Request, Response, background, route};
use tokio::time::sleep;

#[route("/orders", methods = ["post"])]
async fn create_order(_req: &mut Request, res: &mut Response) {
    let url = "https://example.net/hook";

    // The time is for all attempts together.
    #[background(timeout = "5m", when = "success")]
    async fn call_webhook() -> Result<(), HookFailed> {
        let context = background::current();
        let mut pause = Duration::from_millis(50);
        for attempt in 1..=5 {
            let res = post(url).await; // not the view's: a response of its own
            match res {
                Ok(()) => {
                    tracing::info!("delivered after {attempt} attempts");
                    return Ok(());
                }
                Err(error) => tracing::warn!(attempt, "{error}"),
            }
            tokio::select! {
                () = sleep(pause) => pause *= 2,
                // A shutdown does not wait for a pause: better to say so than to be cut off.
                () = context.cancelled() => return Err(HookFailed),
            }
        }
        Err(HookFailed)
    }

    res.status(201);
}

/// Stands for an HTTP client: it fails twice.
async fn post(_url: &str) -> Result<(), HookFailed> {
    static CALLS: AtomicU32 = AtomicU32::new(0);
    if CALLS.fetch_add(1, Relaxed) < 2 {
        Err(HookFailed)
    } else {
        Ok(())
    }
}

#[derive(Debug)]
struct HookFailed;

impl std::fmt::Display for HookFailed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the webhook did not answer")
    }
}

impl std::error::Error for HookFailed {}

#[bocadillo::main]
async fn main() -> bocadillo::Result<()> {
    App::new().route(create_order).serve("127.0.0.1:8000").await
}
