//! The response is gone when the task runs.

use bocadillo::{Request, Response, view};

#[view]
async fn create_order(_req: &mut Request, res: &mut Response) {
    #[background]
    async fn send_confirmation() {
        if true {
            res.text("sent");
        }
    }

    res.status(201);
}

fn main() {}
