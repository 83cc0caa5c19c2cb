//! A duration has a unit.

use bocadillo::{Request, Response, view};

#[view]
async fn create_order(_req: &mut Request, res: &mut Response) {
    #[background(timeout = "30")]
    async fn send_confirmation() {}

    res.status(201);
}

fn main() {}
