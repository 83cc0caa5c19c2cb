//! An item that is no function.

use bocadillo::{Request, Response, background};

async fn create_order(_req: &mut Request, res: &mut Response) {
    #[background]
    struct Task;

    res.status(201);
}

fn main() {}
