//! Sets up a log on stderr for programs that have none.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

static IS_WANTED: AtomicBool = AtomicBool::new(false);

/// Asks for a log, for `#[bocadillo::main]`. It is set up when the first server starts, unless the
/// program has set up its own by then.
pub fn want() {
    IS_WANTED.store(true, Relaxed);
}

/// Sets up the log, if it is wanted. Its filter is `RUST_LOG`, or else `info`.
pub(crate) fn init() {
    if IS_WANTED.load(Relaxed) && !tracing::dispatcher::has_been_set() {
        set_up();
    }
}

#[cfg(feature = "log")]
fn set_up() {
    use std::io::{IsTerminal as _, stderr};
    use tracing_subscriber::EnvFilter;

    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(stderr);
    // If another thread has set up a log meanwhile, that one stays.
    let _ = log.with_ansi(stderr().is_terminal()).try_init();
}

#[cfg(not(feature = "log"))]
fn set_up() {}
