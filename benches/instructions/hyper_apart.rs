//! hyper by hand, its background work on a runtime of its own: what isolation costs without anything else.

mod by_hand;

use std::io;
use std::sync::OnceLock;

use tokio::runtime::{Builder, Runtime};

use by_hand::Way;

static APART: OnceLock<Runtime> = OnceLock::new();

fn main() -> io::Result<()> {
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    APART.get_or_init(|| runtime);
    by_hand::run::<Apart>()
}

struct Apart;

impl Way for Apart {
    fn spawn(work: impl Future<Output = ()> + Send + 'static) {
        if let Some(runtime) = APART.get() {
            runtime.spawn(work);
        }
    }
}
