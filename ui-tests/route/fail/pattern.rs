//! A path parameter is found by its name.

use bocadillo::{App, Request, Response, route};

#[route("/{id}")]
async fn index(_req: &mut Request, _res: &mut Response, (_, _): (u8, u8)) {}

fn main() {
    let _ = App::new().route(index);
}
