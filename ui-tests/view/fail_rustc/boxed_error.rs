//! The error of a view converts into `bocadillo::Error`.

use bocadillo::{App, Request, Response, view};

#[view]
async fn index(
    _req: &mut Request,
    _res: &mut Response,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    Err("text".into())
}

fn main() {
    let _ = App::new().add("/", &["get"], index);
}
