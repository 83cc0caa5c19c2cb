//! The same without an attribute on the view.

use bocadillo::{Request, Response, background};

async fn create_order(_req: &mut Request, res: &mut Response) {
    #[background]
    fn send_confirmation() {
        sleep(1).await;
    }

    res.status(201);
}

async fn sleep(_seconds: u64) {}

fn main() {}
