//! A mistake in a task within a task.

use bocadillo::{Request, Response, background};

async fn create_order(_req: &mut Request, res: &mut Response) {
    #[background]
    async fn send_confirmation() {
        #[background]
        fn write_log() {}
    }

    res.status(201);
}

fn main() {}
