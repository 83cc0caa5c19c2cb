//! A log on stderr, where the program has set up none.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

static IS_WANTED: AtomicBool = AtomicBool::new(false);

/// `#[bocadillo::main]` wants a log, unless one is set up by the time when a server starts: the
/// program's own, in `main`, comes first then.
pub fn want() {
    IS_WANTED.store(true, Relaxed);
}

/// Sets up the log: `RUST_LOG`, or else `info`.
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
    // Set by another thread in between: then that one is the log.
    let _ = log.with_ansi(stderr().is_terminal()).try_init();
}

#[cfg(not(feature = "log"))]
fn set_up() {}
