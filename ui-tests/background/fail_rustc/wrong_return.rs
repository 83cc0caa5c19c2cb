//! What is returned is not what the signature says.

use bocadillo::{Request, Response, view};

#[view]
async fn create_order(_req: &mut Request, res: &mut Response) {
    #[background]
    async fn send_confirmation() -> Result<(), std::fmt::Error> {
        Ok(3)
    }

    res.status(201);
}

fn main() {}
