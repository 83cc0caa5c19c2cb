#[view]
async fn create_order(_req: &mut Request, res: &mut Response) {
    #[bocadillo::background]
    async fn first() {}

    #[bocadillo::background]
    async fn second() {}
}
