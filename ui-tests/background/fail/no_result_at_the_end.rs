//! A forgotten `Ok(())`.

use bocadillo::{Request, Response, background};

async fn create_order(_req: &mut Request, res: &mut Response) {
    #[background]
    async fn send_confirmation() -> Result<(), std::num::ParseIntError> {
        let _number: u32 = "7".parse()?;
    }

    res.status(201);
}

fn main() {}
