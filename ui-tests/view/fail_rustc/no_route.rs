//! `App::route` takes what has a route.

use bocadillo::{App, Request, Response, view};

#[view]
async fn index(_req: &mut Request, res: &mut Response) {
    res.text("hello");
}

fn main() {
    let _ = App::new().route(index);
}
