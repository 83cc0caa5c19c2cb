//! Calls a user's code where a panic must not pass.
//!
//! A user's code comes in many forms: views, tasks, callbacks, the `Display` of errors, the
//! destructors of values, and the payloads of panics. Each of them may panic when it is called and
//! when it is dropped. All such calls go through this file. A panic then becomes one line in the
//! log, and harms no counter, no lock and no connection.

use std::{
    any::Any,
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;

/// Calls `f`. A panic becomes an error with its message.
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

/// Writes to the log. The subscriber is a user's code as well.
#[inline]
pub(crate) fn log(write: impl FnOnce()) {
    let _ = guarded(write);
}

/// Drops a user's value, and logs a panic. `what` names the value in the log.
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

/// Awaits a user's future. A panic becomes an error with its message.
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
