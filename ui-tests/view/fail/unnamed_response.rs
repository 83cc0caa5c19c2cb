//! A task is registered on the response, by its name.

use bocadillo::{Request, Response, view};

#[view]
async fn create_order(_req: &mut Request, _: &mut Response) {
    #[background]
    async fn send_confirmation() {}
}

fn main() {}
