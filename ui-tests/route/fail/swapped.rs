//! The request comes first.

use bocadillo::{App, Request, Response, route};

#[route("/")]
async fn index(res: &mut Response, _req: &mut Request) {
    res.text("hello");
}

fn main() {
    let _ = App::new().route(index);
}
