//! Tasks that a view drops together with the response that they were registered on, when it puts
//! another one in its place: they will never run, and are accounted for all the same.

use std::cell::{Cell, RefCell};

use super::slot::Gone;

thread_local! {
    static IS_IN_VIEW: Cell<bool> = const { Cell::new(false) };
    /// Something is in `LOST`; apart from that, since this is read after each poll.
    static HAS_LOST: Cell<bool> = const { Cell::new(false) };
    static LOST: RefCell<Vec<Gone>> = const { RefCell::new(Vec::new()) };
}

/// What one view has lost.
#[derive(Debug, Default)]
pub(crate) struct Lost(Option<Box<[Gone]>>);

impl Lost {
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Calls `poll`, which must not unwind: what is lost meanwhile is this view's.
    #[inline]
    pub(crate) fn within<R>(&mut self, poll: impl FnOnce() -> R) -> R {
        let is_within_another = IS_IN_VIEW.replace(true);
        let others = is_within_another.then(take);
        let result = poll();
        IS_IN_VIEW.set(is_within_another);
        if HAS_LOST.get() {
            self.add();
        }
        if let Some(others) = others {
            note(others);
        }
        result
    }

    #[cold]
    fn add(&mut self) {
        let mut all = self.take();
        all.append(&mut take());
        self.0 = Some(all.into());
    }

    pub(super) fn take(&mut self) -> Vec<Gone> {
        self.0.take().unwrap_or_default().into()
    }
}

/// Notes what is lost. Outside of any view it is nobody's.
pub(super) fn note(gone: Vec<Gone>) {
    if gone.is_empty() || !IS_IN_VIEW.get() {
        return;
    }
    // Without the thread's local state (the thread is ending) there is no view.
    let noted = LOST.try_with(|lost| lost.borrow_mut().extend(gone));
    HAS_LOST.set(noted.is_ok());
}

#[cold]
fn take() -> Vec<Gone> {
    HAS_LOST.set(false);
    LOST.take()
}
