//! This project, with its tasks on the request runtime: equal work to a `tokio::spawn` in the peers.

mod server;

use std::io;

use bocadillo::{App, Request, Response, Runner, route};
use tokio::net::TcpListener;

use server::Order;

fn main() -> io::Result<()> {
    server::run(serve)
}

async fn serve(listener: TcpListener) -> bocadillo::Result<()> {
    App::new()
        .route(plain)
        .route(create_order)
        .background(Runner::current())
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
        server::confirm(&order.email);
    }
    res.status(201);
    Ok(())
}
