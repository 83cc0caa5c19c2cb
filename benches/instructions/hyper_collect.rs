//! hyper by hand, its bodies read as hyper's own examples have it.

mod by_hand;

use std::io;

use http_body_util::BodyExt as _;
use hyper::body::{Bytes, Incoming};

use by_hand::Way;

fn main() -> io::Result<()> {
    by_hand::run::<ByCollect>()
}

struct ByCollect;

impl Way for ByCollect {
    async fn read(body: Incoming) -> Result<Bytes, hyper::Error> {
        Ok(body.collect().await?.to_bytes())
    }
}
