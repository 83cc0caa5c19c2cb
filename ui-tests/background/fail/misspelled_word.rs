//! A word that is nearly an option is none for a response.

use bocadillo::{Request, Response, background};

async fn create_order(_req: &mut Request, res: &mut Response) {
    #[background(ad)]
    async fn send_confirmation() {}

    res.status(201);
}

fn main() {}
