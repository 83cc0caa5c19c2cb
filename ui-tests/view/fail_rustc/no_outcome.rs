//! A view that returns its content.

use bocadillo::{App, Request, Response, view};

#[view]
async fn index(_req: &mut Request, _res: &mut Response) -> &'static str {
    "hello"
}

fn main() {
    let _ = App::new().add("/", &["get"], index);
}
