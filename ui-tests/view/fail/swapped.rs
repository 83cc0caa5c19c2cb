//! The request comes first.

use bocadillo::{App, Request, Response, view};

#[view]
async fn create_order(res: &mut Response, _req: &mut Request) {
    #[background]
    async fn send_confirmation() {}

    res.status(201);
}

fn main() {
    let _ = App::new().add("/orders", &["post"], create_order);
}
