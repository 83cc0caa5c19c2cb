//! Only variables are cloned: what else is to be in the task is an argument.

use bocadillo::{Request, Response, view};

#[view]
async fn create_order(_req: &mut Request, res: &mut Response) {
    #[background(clone(self.db))]
    async fn send_confirmation() {}

    res.status(201);
}

fn main() {}
