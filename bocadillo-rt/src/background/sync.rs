//! Locks and atomics, or loom's, whose tests try every order of what two threads do:
//! `RUSTFLAGS="--cfg bocadillo_loom" cargo test -p bocadillo-rt --lib --release loom`.

#[cfg(bocadillo_loom)]
pub(crate) use loom::sync::{Mutex, MutexGuard, atomic::AtomicBool};
#[cfg(not(bocadillo_loom))]
pub(crate) use std::sync::{Mutex, MutexGuard, atomic::AtomicBool};
