//! The first example of the original's page, as it stands there: a `def` that awaits.

use bocadillo::{Request, Response, view};

#[view]
async fn create_order(_req: &mut Request, res: &mut Response) {
    #[background]
    fn send_confirmation() {
        sleep(1).await;
    }

    res.status(201);
}

async fn sleep(_seconds: u64) {}

fn main() {}
