#[route("/orders/{id}", methods = ["get", "post"])]
pub async fn order(req: &mut Request, res: &mut Response, id: u64) -> bocadillo::Result<()> {
    res.json(&load(id).await?);
    Ok(())
}
