#[background]
async fn send_confirmation() {
    #[background(name = "log")]
    async fn write_log() {}
}
