//! A parameter is found by its name.

use bocadillo::{Request, Response, view};

#[view]
async fn create_order(_req: &mut Request, res: &mut Response) {
    let pair = (1, 2);
    #[background(args(pair))]
    async fn send_confirmation((_, _): (u8, u8)) {}

    res.status(201);
}

fn main() {}
