//! A task has no self.

use bocadillo::{Request, Response, view};

#[view]
async fn create_order(_req: &mut Request, res: &mut Response) {
    #[background]
    async fn send_confirmation(&self) {}

    res.status(201);
}

fn main() {}
