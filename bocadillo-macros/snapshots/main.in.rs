#[main]
async fn main() -> bocadillo::Result<()> {
    bocadillo::App::new().serve("127.0.0.1:8000").await
}
