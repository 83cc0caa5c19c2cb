//! An option that is to come.

use bocadillo::{Request, Response, view};

#[view]
async fn create_order(_req: &mut Request, res: &mut Response) {
    #[background(add)]
    async fn send_confirmation() {}

    #[background(res, timeout = "30s")]
    async fn write_log() {}
}

fn main() {}
