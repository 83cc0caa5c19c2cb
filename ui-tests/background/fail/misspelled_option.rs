//! A misspelled option with a value.

use bocadillo::{Request, Response, view};

#[view]
async fn create_order(_req: &mut Request, res: &mut Response) {
    #[background(tmeout = "30s")]
    async fn send_confirmation() {}

    res.status(201);
}

fn main() {}
