#[background(clone(db, email), name = "mail", timeout = "30s", when = "success")]
async fn send_confirmation() {
    db.mark(email).await;
}
