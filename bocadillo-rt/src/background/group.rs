//! The tasks of one response, for the test kit, which waits for exactly these.

use std::{
    borrow::Cow,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

use super::report::Report;

/// Follows tasks, their follow-ups included, from their release to their end.
#[derive(Debug, Default)]
pub(crate) struct Group {
    progress: Mutex<Progress>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Progress {
    is_released: bool,
    pending: Vec<(u64, Cow<'static, str>)>,
    reports: Vec<Report>,
}

impl Group {
    /// All tasks of the response have been started.
    pub(super) fn released(&self) {
        self.progress().is_released = true;
        self.changed.notify_waiters();
    }

    pub(super) fn started(&self, id: u64, name: Cow<'static, str>) {
        self.progress().pending.push((id, name));
    }

    pub(super) fn ended(&self, report: Report) {
        let mut progress = self.progress();
        progress.pending.retain(|(id, _)| *id != report.id);
        progress.reports.push(report);
        drop(progress);
        self.changed.notify_waiters();
    }

    /// Waits until all have ended; returns at once if they have.
    pub(crate) async fn all_ended(&self) -> Vec<Report> {
        loop {
            // Before the look, so that no change between the two is missed.
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            if let Some(reports) = self.if_ended() {
                return reports;
            }
            changed.await;
        }
    }

    fn if_ended(&self) -> Option<Vec<Report>> {
        let progress = self.progress();
        let is_ended = progress.is_released && progress.pending.is_empty();
        is_ended.then(|| progress.reports.clone())
    }

    /// Names what has not ended, in the order of the starts.
    pub(crate) fn pending(&self) -> Vec<String> {
        let progress = self.progress();
        progress
            .pending
            .iter()
            .map(|(_, name)| name.to_string())
            .collect()
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
