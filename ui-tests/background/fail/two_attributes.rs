//! One is enough.

use bocadillo::{Request, Response, background};

async fn create_order(_req: &mut Request, res: &mut Response) {
    #[background]
    #[background(add)]
    async fn send_confirmation() {}

    res.status(201);
}

fn main() {}
