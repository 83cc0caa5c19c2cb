//! An option that stands alone.

use bocadillo::{Request, Response, view};

#[view]
async fn create_order(_req: &mut Request, res: &mut Response) {
    #[background(add = true)]
    async fn send_confirmation() {}

    res.status(201);
}

fn main() {}
