#[view]
pub async fn create_order(_req: &mut Request, response: &mut Response) {
    #[background]
    async fn send_confirmation() {}

    response.status(201);
}
