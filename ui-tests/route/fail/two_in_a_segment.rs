//! What a parameter can stand beside.

use bocadillo::{Request, Response, route};

#[route("/files/{name}.{extension}")]
async fn file(_req: &mut Request, res: &mut Response, name: String, extension: String) {
    res.text(name + &extension);
}

fn main() {}
