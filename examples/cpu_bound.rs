//! A task that computes, on a thread where that hurts nobody.
//!
//! Run with `cargo run --example cpu_bound`, and try
//!
//! ```text
//! curl -i -X POST http://127.0.0.1:8000/thumbnails -d 'a large picture'     # 202, log: thumbnail of 15 bytes
//! ```

use bocadillo::{App, Request, Response, background, route};

#[route("/thumbnails", methods = ["post"])]
async fn create_thumbnail(req: &mut Request, res: &mut Response) -> bocadillo::Result<()> {
    let picture = req.body().await?;

    // A plain `fn`: what blocks or computes is no async function.
    #[background(blocking)]
    fn make_thumbnail() {
        let context = background::current();
        let mut sum = 0_u64;
        for (step, byte) in (0..2_000_000).zip(picture.iter().cycle()) {
            // Nothing can end a function from outside: one that takes long looks itself.
            if step % 100_000 == 0 && context.is_cancelled() {
                return;
            }
            sum = sum.wrapping_mul(31).wrapping_add(u64::from(*byte));
        }
        tracing::info!(sum, "thumbnail of {} bytes", picture.len());
    }

    res.status(202);
    Ok(())
}

#[bocadillo::main]
async fn main() -> bocadillo::Result<()> {
    App::new()
        .route(create_thumbnail)
        .serve("127.0.0.1:8000")
        .await
}
