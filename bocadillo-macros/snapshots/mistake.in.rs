#[background(tmeout = "3s")]
fn send_confirmation() {
    mailer::send(&order.email).await;
}
