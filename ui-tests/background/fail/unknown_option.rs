//! An option that does not exist.

use bocadillo::{Request, Response, background};

async fn create_order(_req: &mut Request, res: &mut Response) {
    #[background(prority = 3)]
    async fn send_confirmation() {}

    res.status(201);
}

fn main() {}
