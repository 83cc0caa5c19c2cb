//! A task is not extern.

use bocadillo::{Request, Response, view};

#[view]
async fn create_order(_req: &mut Request, res: &mut Response) {
    #[background(blocking)]
    extern "C" fn send_confirmation() {}

    res.status(201);
}

fn main() {}
