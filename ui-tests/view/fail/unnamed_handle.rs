//! A task has nothing to be registered on.

use bocadillo::{background::Background, view};

#[view]
async fn unnamed(_: Background) {
    #[background]
    async fn task() {}
}

#[view]
fn blocking(res: Background) {
    #[background]
    async fn task() {}
}

fn main() {
    let _ = unnamed;
    let _ = blocking;
}
