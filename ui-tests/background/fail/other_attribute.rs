//! An attribute that would do nothing.

use bocadillo::{Request, Response, view};

#[view]
async fn create_order(_req: &mut Request, res: &mut Response) {
    #[background]
    #[inline]
    async fn send_confirmation() {}

    res.status(201);
}

fn main() {}
