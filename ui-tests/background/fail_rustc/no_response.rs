//! Without an attribute around it, the response is called `res`, or named: `#[background(response)]`.

use bocadillo::{Request, Response, background};

async fn create_order(_req: &mut Request, response: &mut Response) {
    #[background]
    async fn send_confirmation() {}

    response.status(201);
}

fn main() {
    let _ = create_order;
}
