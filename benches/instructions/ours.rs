//! This project, with its tasks on the request runtime, which is equal work to a `tokio::spawn` in the
//! peers; or on the default runner, a runtime of their own.

mod server;
mod starts;

use std::io;

use bocadillo::{App, Request, Response, Runner, route};
use http::header::{CONTENT_TYPE, HeaderValue};
use tokio::net::TcpListener;

use server::Order;

const JSON: HeaderValue = HeaderValue::from_static("application/json");

fn main() -> io::Result<()> {
    server::run(serve)
}

async fn serve(listener: TcpListener) -> bocadillo::Result<()> {
    let mut runner = if server::is_asked_for("default") {
        Runner::builder()
    } else {
        Runner::current()
    };
    if server::is_asked_for("starts") {
        runner = starts::record(runner);
    }
    App::new()
        .route(plain)
        .route(create_order)
        .route(at_once)
        .background(runner)
        .serve_with(listener)
        .await
}

#[route("/plain")]
async fn plain(_req: &mut Request, res: &mut Response) {
    res.text("hello");
}

#[route("/orders", methods = ["post"])]
async fn create_order(req: &mut Request, res: &mut Response) -> bocadillo::Result<()> {
    let order: Order = req.json().await?;
    #[background]
    async fn confirm() {
        server::confirm_later(&order.email).await;
    }
    res.status(201);
    res.body(server::CREATED.into());
    res.header(CONTENT_TYPE, JSON);
    Ok(())
}

#[route("/at-once", methods = ["post"])]
async fn at_once(req: &mut Request, res: &mut Response) -> bocadillo::Result<()> {
    let order: Order = req.json().await?;
    #[background]
    async fn confirm() {
        server::confirm(&order.email);
    }
    res.status(201);
    Ok(())
}
