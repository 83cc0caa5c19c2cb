//! Calls a user's code where a panic must not pass.
//!
//! A user hands us code in many forms: views, tasks, callbacks, errors with their `Display`, values
//! with their destructors, and the payloads of panics. Each may panic, when it is called and when it
//! is dropped. Everything of the kind goes through this file, so that a panic ends in one line of
//! the log and changes no account, no lock and no connection.

use std::{
    any::Any,
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;

/// Calls `f`; a panic becomes its message.
#[inline]
pub(crate) fn guarded<R>(f: impl FnOnce() -> R) -> Result<R, String> {
    catch_unwind(AssertUnwindSafe(f)).map_err(panic_message)
}

/// Returns the message of a panic, and drops its payload.
#[cold]
#[allow(
    clippy::mem_forget,
    reason = "a payload whose own destructor panicked cannot be dropped"
)]
pub(crate) fn panic_message(panic: Box<dyn Any + Send>) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    let text = text.unwrap_or("a panic without a message").to_owned();
    if let Err(second) = catch_unwind(AssertUnwindSafe(|| drop(panic))) {
        mem::forget(second);
    }
    text
}

/// Writes to the log: the subscriber is a user's too.
#[inline]
pub(crate) fn log(write: impl FnOnce()) {
    let _ = guarded(write);
}

/// Drops a value of a user's; a panic is logged. `what` names the value.
#[inline]
pub(crate) fn drop_guarded<T>(what: &'static str, value: T) {
    if let Err(panic) = guarded(|| drop(value)) {
        log(|| tracing::error!(panic, "{what} panicked when it was dropped"));
    }
}

pin_project! {
    /// Future of [`catch`].
    pub(crate) struct Catch<F> {
        #[pin]
        future: F,
    }
}

/// Awaits a user's future; a panic becomes its message.
pub(crate) fn catch<F: Future>(future: F) -> Catch<F> {
    Catch { future }
}

impl<F: Future> Future for Catch<F> {
    type Output = Result<F::Output, String>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let future = self.project().future;
        match guarded(|| future.poll(cx)) {
            Ok(polled) => polled.map(Ok),
            Err(panic) => Poll::Ready(Err(panic)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::panic::panic_any;

    use super::*;

    struct Bomb;

    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("dropped");
        }
    }

    #[test]
    fn a_panic_becomes_its_message() {
        assert_eq!(
            guarded(|| panic!("as planned")),
            Err::<(), _>("as planned".to_owned())
        );
    }

    #[test]
    fn a_payload_may_panic_when_it_is_dropped() {
        let result = guarded(|| panic_any(Bomb));
        assert_eq!(result, Err::<(), _>("a panic without a message".to_owned()));
    }

    #[test]
    fn a_value_may_panic_when_it_is_dropped() {
        drop_guarded("the value", Bomb);
    }
}
