//! A path that is none.

use bocadillo::{Request, Response, route};

#[route("/orders/{id")]
async fn order(_req: &mut Request, res: &mut Response, id: u64) {
    res.json(&id);
}

fn main() {}
