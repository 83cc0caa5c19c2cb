//! A task captures; it has no parameters.

use bocadillo::{Request, Response, route};

#[route("/")]
async fn create_order(_req: &mut Request, res: &mut Response) {
    #[background]
    async fn send_confirmation(who: &str) {
        println!("to {who}");
    }

    res.status(201);
}

fn main() {}
