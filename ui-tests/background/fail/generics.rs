//! A task has no generics of its own.

use bocadillo::{Request, Response, view};

#[view]
async fn create_order(_req: &mut Request, res: &mut Response) {
    #[background]
    async fn send_confirmation<T: Send>() {}

    res.status(201);
}

fn main() {}
