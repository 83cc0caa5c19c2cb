//! What a task captures must not borrow from the request.

use bocadillo::{Request, Response, view};

#[view]
async fn create_order(req: &mut Request, res: &mut Response) {
    let agent = req.header("user-agent").unwrap_or_default();

    #[background]
    async fn log() {
        println!("{agent}");
    }
}

fn main() {}
