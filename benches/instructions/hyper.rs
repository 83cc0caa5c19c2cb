//! The baseline: hyper by hand, its background work by `tokio::spawn`.

mod by_hand;

use std::io;

use by_hand::Way;

fn main() -> io::Result<()> {
    by_hand::run::<ByHand>()
}

struct ByHand;

impl Way for ByHand {}
