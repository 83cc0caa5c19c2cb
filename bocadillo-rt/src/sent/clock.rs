//! The time of the watch.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

/// The time when the watch last looked. It is up to half a second old, and costs no call of the system.
#[derive(Clone, Debug)]
pub(crate) struct Clock {
    begin: Instant,
    /// Milliseconds since `begin`. Set by the watch.
    elapsed: Arc<AtomicU64>,
}

impl Clock {
    pub(super) fn new() -> Self {
        Self {
            begin: Instant::now(),
            elapsed: Arc::default(),
        }
    }

    pub(super) fn set(&self, now: Instant) {
        let elapsed = now.duration_since(self.begin).as_millis();
        self.elapsed
            .store(u64::try_from(elapsed).unwrap_or(u64::MAX), Relaxed);
    }

    pub(crate) fn now(&self) -> Instant {
        self.begin + Duration::from_millis(self.elapsed.load(Relaxed))
    }
}
