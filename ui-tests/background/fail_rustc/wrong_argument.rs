//! An argument of another type.

use bocadillo::{Request, Response, view};

#[view]
async fn create_order(_req: &mut Request, res: &mut Response) {
    #[background(args(who = 3))]
    async fn send_confirmation(who: String) {
        println!("{who}");
    }

    res.status(201);
}

fn main() {}
