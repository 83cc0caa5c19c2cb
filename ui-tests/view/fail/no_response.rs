//! A view takes the request and the response.

use bocadillo::{Request, view};

#[view]
async fn index(_req: &mut Request) {}

fn main() {}
