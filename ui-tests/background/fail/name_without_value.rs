//! An option that needs a value.

use bocadillo::{Request, Response, view};

#[view]
async fn create_order(_req: &mut Request, res: &mut Response) {
    #[background(add, name)]
    async fn send_confirmation() {}

    res.status(201);
}

fn main() {}
