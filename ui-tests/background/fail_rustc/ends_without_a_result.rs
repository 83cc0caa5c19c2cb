//! A forgotten `Ok(())` where only rustc can know.

use bocadillo::{Request, Response, view};

#[view]
async fn create_order(_req: &mut Request, res: &mut Response) {
    #[background]
    async fn send_confirmation() -> Result<(), std::fmt::Error> {
        send().await;
    }
}

async fn send() {}

fn main() {}
