//! `main` is asynchronous.

#[bocadillo::main]
fn main() {}
