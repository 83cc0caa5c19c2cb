//! A view is asynchronous.

use bocadillo::{Request, Response, view};

#[view]
fn index(_req: &mut Request, res: &mut Response) {
    res.text("hello");
}

fn main() {}
