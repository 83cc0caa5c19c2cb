//! Tasks that a view drops together with the response that they were registered on, when it puts
//! another one in its place: they will never run, and are accounted for all the same.

use std::{
    cell::{Cell, RefCell},
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
};

use super::slot::Gone;

thread_local! {
    static VIEW: Cell<View> = const { Cell::new(View::None) };
    static LOST: RefCell<Vec<Gone>> = const { RefCell::new(Vec::new()) };
}

/// What is polled on this thread. Apart from `LOST`, since this is looked at in each poll.
#[derive(Clone, Copy, PartialEq, Eq)]
enum View {
    None,
    /// It has lost nothing.
    Whole,
    /// Something is in `LOST`.
    Lost,
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
        let outer = VIEW.replace(View::Whole);
        let others = (outer == View::Lost).then(|| LOST.take());
        let result = poll();
        if VIEW.replace(outer) == View::Lost {
            self.add();
        }
        if let Some(others) = others {
            LOST.set(others);
        }
        result
    }

    /// What a view that is [dropped](dropped) has lost by that.
    pub(crate) fn gather(&mut self) {
        if VIEW.get() == View::Lost {
            VIEW.set(View::Whole);
            self.add();
        }
    }

    #[cold]
    fn add(&mut self) {
        let mut all = self.take();
        all.append(&mut LOST.take());
        self.0 = Some(all.into());
    }

    pub(super) fn take(&mut self) -> Vec<Gone> {
        self.0.take().unwrap_or_default().into()
    }
}

/// Drops a view that may not have ended: what it loses by that is its own, and its exchange, which is
/// dropped last, gathers it.
pub(crate) fn dropped<T>(view: T) {
    let dropped = Lost::default().within(|| catch_unwind(AssertUnwindSafe(|| drop(view))));
    if let Err(panic) = dropped {
        resume_unwind(panic);
    }
}

/// Notes what is lost. Outside of any view it is nobody's.
pub(super) fn note(gone: Vec<Gone>) {
    if gone.is_empty() || VIEW.get() == View::None {
        return;
    }
    // It is there, as there is a view.
    LOST.with_borrow_mut(|lost| lost.extend(gone));
    VIEW.set(View::Lost);
}
