//! Not within a function.

use bocadillo::background;

#[background]
async fn send_confirmation() {}

fn main() {}
