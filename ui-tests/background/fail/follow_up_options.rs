//! What means nothing for a follow-up.

use bocadillo::{Request, Response, view};

#[view]
async fn create_order(_req: &mut Request, res: &mut Response) {
    #[background]
    async fn send_confirmation() {
        #[background(res, add, when = "delivered")]
        async fn write_log() {}
    }

    res.status(201);
}

fn main() {}
