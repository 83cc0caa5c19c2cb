//! An option that stands twice.

use bocadillo::{Request, Response, view};

#[view]
async fn create_order(_req: &mut Request, res: &mut Response) {
    #[background(add, name = "mail", add)]
    async fn send_confirmation() {}

    res.status(201);
}

fn main() {}
