#[background(self.res, add)]
async fn write_log() -> io::Result<()> {
    log.write(line).await?;
    Ok(())
}
