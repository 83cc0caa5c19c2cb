//! A task is not unsafe.

use bocadillo::{Request, Response, background};

async fn create_order(_req: &mut Request, res: &mut Response) {
    #[background]
    async unsafe fn send_confirmation() {}

    res.status(201);
}

fn main() {}
