//! The crate is named by a path.

use bocadillo::{Request, Response, route};

#[route("/", crate = "bocadillo")]
async fn index(_req: &mut Request, res: &mut Response) {
    res.text("hello");
}

fn main() {}
