//! A duration is a string.

use bocadillo::{Request, Response, background};

async fn create_order(_req: &mut Request, res: &mut Response) {
    #[background(timeout = 30)]
    async fn send_confirmation() {}

    res.status(201);
}

fn main() {}
