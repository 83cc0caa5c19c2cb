//! A name that is in both.

use bocadillo::{Request, Response, view};

#[view]
async fn create_order(_req: &mut Request, res: &mut Response) {
    let email = String::new();
    #[background(args(email), clone(email))]
    async fn send_confirmation(email: String) {
        println!("{email}");
    }

    res.status(201);
}

fn main() {}
