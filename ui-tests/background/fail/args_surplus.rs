//! A value without a parameter.

use bocadillo::{Request, Response, background};

async fn create_order(_req: &mut Request, res: &mut Response) {
    #[background(args(who = "Ada", number = 3))]
    async fn send_confirmation(who: &'static str) {
        println!("{who}");
    }

    res.status(201);
}

fn main() {}
