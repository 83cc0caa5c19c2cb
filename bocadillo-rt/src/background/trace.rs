//! The trace context of a task: the dispatcher of its registration, and a span of its own.
//!
//! The span *follows from* the span of the registration, mostly that of the request. It is no child
//! of it: a child would keep the request's span open until the task has ended, and the time of the
//! request would be that of its slowest task. So no handle of the request's span is kept here. The
//! fields of the request are found by the link (`follows_from`), which OpenTelemetry shows as a span
//! link.

use std::fmt;

use tracing::{Dispatch, Span, dispatcher, field::Empty, level_filters::LevelFilter};

/// The dispatcher and the span of a task, if a subscriber was there at the registration.
#[derive(Clone, Default)]
pub(super) struct TraceContext(Option<Box<Scope>>);

#[derive(Clone)]
struct Scope {
    dispatch: Dispatch,
    span: Span,
}

impl TraceContext {
    /// Opens the span of a task that is registered here.
    pub(super) fn capture() -> Self {
        if LevelFilter::current() == LevelFilter::OFF {
            return Self(None);
        }
        let span = tracing::info_span!(
            parent: None,
            "background",
            task = Empty,
            id = Empty,
            sent_us = Empty,
            started_us = Empty,
            ended_us = Empty,
        );
        span.follows_from(Span::current());
        let dispatch = dispatcher::get_default(Clone::clone);
        Self(Some(Box::new(Scope { dispatch, span })))
    }

    /// Records the name of the task: it may have been set after the registration.
    #[inline]
    pub(super) fn name(&self, name: &str, id: u64) {
        if let Some(scope) = &self.0 {
            scope.span.record("task", name);
            scope.span.record("id", id);
        }
    }

    /// Records how long after its registration something happened to the task.
    pub(super) fn record(&self, field: &'static str, micros: u64) {
        if let Some(scope) = &self.0 {
            scope.span.record(field, micros);
        }
    }

    /// Returns whether a subscriber was there at the registration.
    pub(super) fn is_listened_to(&self) -> bool {
        self.0.is_some()
    }

    /// Calls `f` within the span, with the dispatcher of the registration as the thread's.
    #[inline]
    pub(super) fn within<R>(&self, f: impl FnOnce() -> R) -> R {
        match &self.0 {
            None => f(),
            Some(scope) => dispatcher::with_default(&scope.dispatch, || scope.span.in_scope(f)),
        }
    }
}

impl fmt::Debug for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TraceContext").finish_non_exhaustive()
    }
}
