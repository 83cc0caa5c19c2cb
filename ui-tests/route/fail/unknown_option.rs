//! An option that does not exist.

use bocadillo::{Request, Response, route};

#[route("/", method = "get")]
async fn index(_req: &mut Request, res: &mut Response) {
    res.text("hello");
}

fn main() {}
