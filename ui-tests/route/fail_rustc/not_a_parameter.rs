//! A type that text does not become.

use bocadillo::{Request, Response, route};

struct Id(#[allow(dead_code)] u64);

#[route("/orders/{id}")]
async fn order(_req: &mut Request, _res: &mut Response, id: Id) {
    let _ = id;
}

fn main() {
    let _ = bocadillo::App::new().route(order);
}
