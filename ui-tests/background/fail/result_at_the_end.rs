//! A task that ends in a `Result`, and does not say so.

use bocadillo::{Request, Response, view};

#[view]
async fn create_order(_req: &mut Request, res: &mut Response) {
    #[background]
    async fn send_confirmation() {
        let _number: u32 = "7".parse()?;
        Ok(())
    }

    res.status(201);
}

fn main() {}
