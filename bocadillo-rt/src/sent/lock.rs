//! Locks whose holders cannot leave them in a bad state.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks; a thread that panicked cannot have left these small states half-written.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
