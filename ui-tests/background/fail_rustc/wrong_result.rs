//! Nobody waits for a task's result.

use bocadillo::{Request, Response, view};

#[view]
async fn create_order(_req: &mut Request, res: &mut Response) {
    #[background]
    async fn count() -> u32 {
        7
    }
}

fn main() {}
