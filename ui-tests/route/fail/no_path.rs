//! A route has a path.

use bocadillo::{Request, Response, route};

#[route]
async fn index(_req: &mut Request, res: &mut Response) {
    res.text("hello");
}

fn main() {}
