//! TLS, with HTTP/2 and HTTP/1.1 on one port. The certificate is made at the start, for tests.
//!
//! Run with `cargo run --example tls --features tls`, and try
//!
//! ```text
//! curl -ik https://127.0.0.1:8000/                               # 200, log: sent by HTTP/2.0
//! curl -ik --http1.1 https://127.0.0.1:8000/                     # 200, log: sent by HTTP/1.1
//! ```

use bocadillo::{App, Request, Response, route, tls};
use tokio::net::TcpListener;

#[route("/")]
async fn index(req: &mut Request, res: &mut Response) {
    let version = req.version();

    // When the last encrypted byte was accepted by the kernel.
    #[background]
    async fn note() {
        tracing::info!("sent by {version:?}");
    }
    res.text("hello, in private");
}

#[bocadillo::main]
async fn main() -> bocadillo::Result<()> {
    // From files: `tls::Config::from_pem_files("cert.pem", "key.pem")?`.
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
    let config = tls::Config::from_pem(made.cert.pem(), made.signing_key.serialize_pem())?;

    let listener = TcpListener::bind("127.0.0.1:8000").await?;
    App::new()
        .route(index)
        .serve_with(tls::Listener::new(listener, config))
        .await
}
