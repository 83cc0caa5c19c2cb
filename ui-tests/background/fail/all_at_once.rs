//! Several mistakes, each on its own token.

use bocadillo::{Request, Response, view};

#[view]
async fn create_order(_req: &mut Request, res: &mut Response) {
    #[background(colour = "red")]
    #[inline]
    unsafe extern "C" fn send<T>(who: T) {}
}

fn main() {}
