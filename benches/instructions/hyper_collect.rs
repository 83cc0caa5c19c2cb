//! hyper by hand, as most write it.

mod by_hand;

use std::io;

use http_body_util::BodyExt as _;
use hyper::body::{Bytes, Incoming};

use by_hand::ReadBody;

fn main() -> io::Result<()> {
    by_hand::run::<ByCollect>()
}

/// As hyper's own examples have it.
struct ByCollect;

impl ReadBody for ByCollect {
    async fn read(body: Incoming) -> Result<Bytes, hyper::Error> {
        Ok(body.collect().await?.to_bytes())
    }
}
