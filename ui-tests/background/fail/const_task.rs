//! A task is not const.

use bocadillo::{Request, Response, view};

#[view]
async fn create_order(_req: &mut Request, res: &mut Response) {
    #[background(blocking)]
    const fn send_confirmation() {}

    res.status(201);
}

fn main() {}
