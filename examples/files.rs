//! Files: one by a view, a folder by a service, and one that comes from the client.
//!
//! Run with `cargo run --example files --features file,multipart`, and try
//!
//! ```text
//! curl -i http://127.0.0.1:8000/readme -r 0-20                   # 206, log: the readme went out
//! curl -i http://127.0.0.1:8000/examples/files.rs                # 200
//! curl -i http://127.0.0.1:8000/examples/todo                    # 307
//! curl -i http://127.0.0.1:8000/upload -F file=@Cargo.toml       # 201, log: scanned Cargo.toml
//! ```

use bocadillo::{App, Request, Response, route};
use tower_http::services::ServeDir;

#[route("/readme")]
async fn readme(req: &mut Request, res: &mut Response) -> bocadillo::Result<()> {
    #[background(when = "delivered")]
    async fn count_download() {
        tracing::info!("the readme went out");
    }
    res.file(req, concat!(env!("CARGO_MANIFEST_DIR"), "/README.md"))
        .await
}

#[route("/upload", methods = ["post"])]
async fn upload(req: &mut Request, res: &mut Response) -> bocadillo::Result<()> {
    let mut form = req.multipart()?;
    while let Some(mut field) = form.next_field().await? {
        // A name that the client gave is no path to be trusted: it is only shown.
        let name = field.file_name().unwrap_or("no name").to_owned();
        let content = field.bytes().await?;

        #[background(add)]
        async fn scan() {
            tracing::info!("scanned {name}, {} bytes", content.len());
        }
    }
    res.status(201);
    Ok(())
}

#[bocadillo::main]
async fn main() -> bocadillo::Result<()> {
    let folder = ServeDir::new(concat!(env!("CARGO_MANIFEST_DIR"), "/examples"));
    // Or the redirect to the folder's own address would go astray.
    let folder = folder.redirect_path_prefix("/examples");
    App::new()
        .route(readme)
        .route(upload)
        .mount("/examples", folder)
        .serve("127.0.0.1:8000")
        .await
}
