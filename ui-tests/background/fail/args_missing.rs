//! A parameter without a value.

use bocadillo::{Request, Response, view};

#[view]
async fn create_order(_req: &mut Request, res: &mut Response) {
    #[background(args(who = "Ada"))]
    async fn send_confirmation(who: &'static str, number: u32) {
        println!("{who} {number}");
    }

    res.status(201);
}

fn main() {}
