#[background]
async fn send_confirmation() {
    mailer::send(&order.email).await;
}
