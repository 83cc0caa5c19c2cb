//! The path's parameters and the function's are the same.

use bocadillo::{Request, Response, route};

#[route("/orders/{id}")]
async fn order(_req: &mut Request, res: &mut Response, number: u64) {
    res.json(&number);
}

fn main() {}
