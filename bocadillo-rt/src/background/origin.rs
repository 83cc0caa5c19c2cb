//! Where a task was registered, as `tracing` sees it.

use std::fmt;

use tracing::{Dispatch, Span, dispatcher, level_filters::LevelFilter};

/// The dispatcher and the span at a task's registration, where anybody listens.
#[derive(Default)]
pub(super) struct Origin(Option<Box<Scope>>);

pub(super) struct Scope {
    dispatch: Dispatch,
    /// At first the span of the registration, then that of the task within it.
    span: Span,
}

impl Scope {
    fn open(&mut self, name: &str, id: u64) {
        let parent = &self.span;
        self.span = dispatcher::with_default(&self.dispatch, || {
            let span = tracing::info_span!(
                parent: parent,
                "background",
                task = name,
                id,
                sent_us = tracing::field::Empty,
                started_us = tracing::field::Empty,
                ended_us = tracing::field::Empty,
            );
            span.follows_from(parent);
            span
        });
    }

    pub(super) fn within<R>(&self, f: impl FnOnce() -> R) -> R {
        dispatcher::with_default(&self.dispatch, || self.span.in_scope(f))
    }
}

impl Origin {
    pub(super) fn capture() -> Self {
        if LevelFilter::current() == LevelFilter::OFF {
            return Self(None);
        }
        let dispatch = dispatcher::get_default(Clone::clone);
        let span = Span::current();
        Self(Some(Box::new(Scope { dispatch, span })))
    }

    /// Opens the task's own span. The request's may be closed by then: it follows from that, and is
    /// within it, so that what the task logs shows the request's fields.
    #[inline]
    pub(super) fn open(&mut self, name: &str, id: u64) {
        if let Some(scope) = &mut self.0 {
            scope.open(name, id);
        }
    }

    /// Records on the task's span how long after its registration something happened.
    pub(super) fn record(&self, field: &'static str, micros: u64) {
        if let Some(scope) = &self.0 {
            scope.span.record(field, micros);
        }
    }

    /// Whether anybody may want to know.
    pub(super) fn is_listened_to(&self) -> bool {
        self.0.is_some()
    }

    #[inline]
    pub(super) fn within<R>(&self, f: impl FnOnce() -> R) -> R {
        match &self.0 {
            None => f(),
            Some(scope) => scope.within(f),
        }
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Origin").finish_non_exhaustive()
    }
}
