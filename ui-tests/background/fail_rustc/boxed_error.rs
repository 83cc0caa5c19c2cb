//! An error goes to another thread, and into the log.

use bocadillo::{Request, Response, view};

#[view]
async fn create_order(_req: &mut Request, res: &mut Response) {
    #[background]
    async fn send_confirmation() -> Result<(), Box<dyn std::error::Error>> {
        let _number: u32 = "7".parse()?;
        Ok(())
    }
}

fn main() {}
