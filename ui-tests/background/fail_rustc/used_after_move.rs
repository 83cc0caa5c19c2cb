//! What a task captures is moved into it.

use bocadillo::{Request, Response, view};

#[view]
async fn create_order(_req: &mut Request, res: &mut Response) {
    let email = String::from("ada@example.net");

    #[background]
    async fn send_confirmation() {
        println!("to {email}");
    }

    res.text(email);
}

fn main() {}
