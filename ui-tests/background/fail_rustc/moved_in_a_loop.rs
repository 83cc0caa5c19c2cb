//! What was moved into the first task is not there for the second.

use bocadillo::{Request, Response, view};

#[view]
async fn create_order(_req: &mut Request, res: &mut Response) {
    let email = String::from("ada@example.net");
    for _ in 0..2 {
        #[background(add)]
        async fn send_confirmation() {
            println!("{email}");
        }
    }

    res.status(201);
}

fn main() {}
