//! Something of the response is still in use when a task is registered on it.

use bocadillo::{Request, Response, view};

#[view]
async fn create_order(_req: &mut Request, res: &mut Response) {
    let headers = res.headers_mut();

    #[background]
    async fn send_confirmation() {}

    headers.clear();
}

fn main() {}
