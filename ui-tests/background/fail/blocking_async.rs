//! A blocking task is a plain function.

use bocadillo::{Request, Response, view};

#[view]
async fn create_order(_req: &mut Request, res: &mut Response) {
    #[background(blocking)]
    async fn make_thumbnail() {}

    res.status(201);
}

fn main() {}
