//! Methods that are none, or twice.

use bocadillo::{Request, Response, route};

#[route("/", methods = ["get", "a b", "GET"])]
async fn index(_req: &mut Request, res: &mut Response) {
    res.text("hello");
}

fn main() {}
