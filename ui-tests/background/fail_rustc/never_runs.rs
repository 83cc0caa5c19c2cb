//! The first can never run. A warning, which is an error here.

use bocadillo::{Request, Response, view};

#[deny(deprecated)]
#[view]
async fn create_order(_req: &mut Request, res: &mut Response) {
    #[background]
    async fn send_confirmation() {}

    #[background]
    async fn write_log() {}

    res.status(201);
}

fn main() {}
