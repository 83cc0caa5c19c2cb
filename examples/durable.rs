//! A task that survives `kill -9`: it is committed to a file before its response leaves.
//!
//! Run with `cargo run --example durable --features sqlite`, and try
//!
//! ```text
//! curl -i -X POST http://127.0.0.1:8000/orders -d 'ada@example.net'         # 201, log: sent to ada@example.net
//! curl -i -X POST http://127.0.0.1:8000/orders/kill -d 'bob@example.net'    # 201
//! (run it again)                                                            # log: sent to bob@example.net, attempt 2
//! ```
//!
//! The task of the second order kills the process, as `kill -9` does, the first time that it runs. The file is `durable-example.db` in
//! the folder for temporary files; `TASKS` names another.

use std::{env, path::PathBuf};

use bocadillo::{
    App, HttpError, Request, Response, Runner, background, durable::Sqlite, route, task,
};

#[task(name = "orders.confirm", retries = 3)]
async fn confirm(who: String, is_deadly: bool) {
    let context = background::current();
    if is_deadly && context.attempt() == 1 {
        // Nothing of this process runs after it: no destructor, no shutdown.
        std::process::abort();
    }
    // A mailer that takes a key sends once for each.
    let key = context.task_id().map(|id| id.to_string());
    tracing::info!(key, "sent to {who}, attempt {}", context.attempt());
}

async fn address(req: &mut Request) -> bocadillo::Result<String> {
    let who = req.text().await?;
    if !who.contains('@') {
        return Err(HttpError::new(422).detail("no address").into());
    }
    Ok(who)
}

#[route("/orders", methods = ["post"])]
async fn create_order(req: &mut Request, res: &mut Response) -> bocadillo::Result<()> {
    res.background(confirm(address(req).await?, false));
    res.status(201);
    Ok(())
}

#[route("/orders/kill", methods = ["post"])]
async fn create_deadly_order(req: &mut Request, res: &mut Response) -> bocadillo::Result<()> {
    res.background(confirm(address(req).await?, true));
    res.status(201);
    Ok(())
}

#[bocadillo::main]
async fn main() -> bocadillo::Result<()> {
    let path = env::var_os("TASKS").map(PathBuf::from);
    let path = path.unwrap_or_else(|| env::temp_dir().join("durable-example.db"));
    let app = App::new().route(create_order).route(create_deadly_order);
    let runner = Runner::builder().store(Sqlite::open(path)?);
    app.background(runner).serve("127.0.0.1:8000").await
}
