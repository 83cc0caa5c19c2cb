//! There are no options.

#[bocadillo::main(flavor = "current_thread")]
async fn main() {}
