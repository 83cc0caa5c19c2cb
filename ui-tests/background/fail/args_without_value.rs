//! Arguments without a name, or without a value.

use bocadillo::{Request, Response, view};

#[view]
async fn create_order(_req: &mut Request, res: &mut Response) {
    #[background(args(who = , number = 3))]
    async fn send_confirmation(who: u8) {
        println!("{who}");
    }

    #[background(add, args(1 + 2))]
    async fn write_log(number: u8) {
        println!("{number}");
    }

    res.status(201);
}

fn main() {}
