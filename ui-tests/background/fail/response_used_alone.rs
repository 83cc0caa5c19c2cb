//! The same without an attribute on the view.

use bocadillo::{Request, Response, background};

async fn create_order(_req: &mut Request, res: &mut Response) {
    #[background]
    async fn send_confirmation() {
        log(res);
    }

    res.status(201);
}

fn log(_res: &Response) {}

fn main() {}
