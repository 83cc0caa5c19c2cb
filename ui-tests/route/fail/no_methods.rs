//! A route without a method would answer nothing but 405.

use bocadillo::{App, Request, Response, route};

#[route("/", methods = [])]
async fn index(_req: &mut Request, res: &mut Response) {
    res.text("hello");
}

fn main() {
    let _ = App::new().route(index);
}
