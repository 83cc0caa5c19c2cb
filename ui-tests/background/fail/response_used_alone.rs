//! The same without an attribute on the view.

use bocadillo::{Request, Response, background};

async fn create_order(_req: &mut Request, res: &mut Response) {
    #[background]
    async fn send_confirmation() {
        println!("{:?}", res);
    }

    res.status(201);
}

fn main() {}
