//! A view that keeps over an `await` what must stay on its thread.

use bocadillo::{Request, Response, route};
use std::rc::Rc;

#[route("/orders")]
async fn order(_req: &mut Request, res: &mut Response) {
    let counter = Rc::new(1);
    save().await;
    res.json(&*counter);
}

async fn save() {}

fn main() {
    let _ = bocadillo::App::new().route(order);
}
