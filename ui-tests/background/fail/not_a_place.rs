//! The response is named, not computed.

use bocadillo::{Response, background};

fn response() -> Response {
    bocadillo::testing::response()
}

async fn create_order() {
    #[background(response())]
    async fn send_confirmation() {}
}

fn main() {}
