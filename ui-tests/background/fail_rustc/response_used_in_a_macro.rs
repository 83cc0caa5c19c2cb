//! What a name in a macro's input is, only that macro knows.

use bocadillo::{Request, Response, background};

async fn create_order(_req: &mut Request, res: &mut Response) {
    #[background]
    async fn send_confirmation() {
        println!("{:?}", res);
    }

    res.status(201);
}

fn main() {}
