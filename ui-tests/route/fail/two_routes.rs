//! A function has one route.

use bocadillo::{App, Request, Response, route};

#[route("/")]
#[route("/index")]
async fn index(_req: &mut Request, res: &mut Response) {
    res.text("hello");
}

#[bocadillo::route("/orders")]
#[cfg_attr(all(), doc = "documented", bocadillo::route("/order"))]
async fn orders(_req: &mut Request, res: &mut Response) {
    res.text("hello");
}

fn main() {
    let _ = App::new().route(index).route(orders);
}
