#[background(args(who = order.email, number))]
async fn send_confirmation(number: u32, mut who: String) {
    who.push_str("@example.net");
}
