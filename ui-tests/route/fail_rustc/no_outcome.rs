//! A view that returns its content.

use bocadillo::{App, Request, Response, route};

#[route("/")]
async fn index(_req: &mut Request, _res: &mut Response) -> &'static str {
    "hello"
}

fn main() {
    let _ = App::new().route(index);
}
