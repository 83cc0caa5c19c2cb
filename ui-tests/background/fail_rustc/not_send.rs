//! What a task captures crosses threads.

use bocadillo::{Request, Response, view};

#[view]
async fn create_order(_req: &mut Request, res: &mut Response) {
    let counter = std::rc::Rc::new(1);

    #[background]
    async fn send_confirmation() {
        println!("{counter}");
    }

    res.status(201);
}

fn main() {}
