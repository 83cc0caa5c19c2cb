#[background]
async fn poll() -> ! {
    loop {
        step().await;
    }
}
