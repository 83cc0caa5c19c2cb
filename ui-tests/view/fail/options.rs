//! A view has no path.

use bocadillo::{Request, Response, view};

#[view("/orders")]
async fn index(_req: &mut Request, res: &mut Response) {
    res.text("hello");
}

fn main() {}
