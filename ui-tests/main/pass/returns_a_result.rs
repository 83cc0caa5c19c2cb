//! `main` may end in a result.

#[bocadillo::main]
async fn main() -> bocadillo::Result<()> {
    let number: u32 = "7".parse()?;
    assert_eq!(number, 7);
    Ok(())
}
