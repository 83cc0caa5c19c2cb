//! A route is a function.

use bocadillo::{Request, Response, route};

struct Shop;

impl Shop {
    #[route("/orders")]
    async fn orders(&self, _req: &mut Request, res: &mut Response) {
        res.text("hello");
    }
}

fn main() {}
