//! A condition is one of three.

use bocadillo::{Request, Response, view};

#[view]
async fn create_order(_req: &mut Request, res: &mut Response) {
    #[background(when = "sent")]
    async fn send_confirmation() {}

    res.status(201);
}

fn main() {}
