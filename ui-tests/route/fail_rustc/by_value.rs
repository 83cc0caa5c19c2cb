//! A view borrows the request.

use bocadillo::{App, Request, Response, route};

#[route("/")]
async fn index(_req: Request, res: &mut Response) {
    res.text("hello");
}

fn main() {
    let _ = App::new().route(index);
}
