//! Several tasks of one response: each on its own, or some as one.
//!
//! Run with `cargo run --example several`, and try
//!
//! ```text
//! curl -i -X POST http://127.0.0.1:8000/orders                   # 201, log: the log is written
//! curl -i -X POST http://127.0.0.1:8000/newsletter               # 202, log: to grace@example.net
//! ```
//!
//! The first also logs the failure of one of its tasks, which keeps no other from running.

use bocadillo::{App, Request, Response, gather, route};

async fn send(to: &'static str) {
    tracing::info!("to {to}");
}

#[route("/orders", methods = ["post"])]
async fn create_order(_req: &mut Request, res: &mut Response) {
    #[background]
    async fn send_confirmation() -> Result<(), std::io::Error> {
        Err(std::io::Error::other("the mail server is away"))
    }

    // Without `add` it would take the place of the first: as in the original, the latest wins.
    #[background(add)]
    async fn write_log() {
        tracing::info!("the log is written");

        // What a task leaves behind is tracked as itself.
        #[background]
        async fn rotate_log() {}
    }

    res.status(201);
}

/// One task of several futures, at the same time: `asyncio.gather`.
#[route("/newsletter", methods = ["post"])]
async fn newsletter(_req: &mut Request, res: &mut Response) {
    res.background(gather((send("ada@example.net"), send("grace@example.net"))));
    res.status(202);
}

#[bocadillo::main]
async fn main() -> bocadillo::Result<()> {
    App::new()
        .route(create_order)
        .route(newsletter)
        .serve("127.0.0.1:8000")
        .await
}
