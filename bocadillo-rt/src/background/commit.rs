//! The commit of durable tasks: by a door before a response, or by a task that nobody has committed.

use std::sync::Arc;

use super::{
    entry::{Entry, Hold},
    job::Meta,
    runner::Runner,
    states::Shared,
    store::Store,
    store_error::StoreError,
    task::Task,
};
use crate::{
    error::{Chain, HttpError},
    guard::log,
};

impl Runner {
    /// Commits durable tasks to the runner's store, all or none: from then on this process holds
    /// them.
    ///
    /// # Cancel safety
    ///
    /// Dropped before its end, it leaves the tasks uncommitted.
    pub(crate) async fn commit(&self, entries: &[Arc<Entry>]) -> Result<(), StoreError> {
        let Some(store) = self.store() else {
            return Err(StoreError::fault_of(
                "the runner has no store for durable tasks; give it one by `Runner::builder().store(…)`",
            ));
        };
        if let Some(fault) = entries.iter().find_map(|entry| entry.fault.as_ref()) {
            return Err(StoreError::fault_of(fault.clone()));
        }
        for entry in entries {
            let _ = entry.store.set(Arc::clone(store));
        }
        let tasks = entries.iter().map(|entry| entry.task.clone()).collect();
        store.put(tasks).await?;
        for entry in entries {
            let runner = self.clone();
            let _ = entry.hold.set(Hold { runner, attempt: 1 });
        }
        Ok(())
    }
}

impl Runner {
    /// As [`commit`](Self::commit), for a door: an error becomes its answer, and is logged.
    pub(crate) async fn commit_or_refuse(&self, entries: &[Arc<Entry>]) -> Result<(), Refused> {
        self.commit(entries).await.map_err(|error| {
            let tasks: Vec<_> = entries.iter().map(|entry| &*entry.task.name).collect();
            let error_text = Chain(&error).to_string();
            log(|| {
                tracing::error!(
                    ?tasks,
                    error = error_text,
                    "durable tasks were not committed"
                );
            });
            Refused {
                is_fault: error.is_fault(),
            }
        })
    }
}

/// The answer to a request whose durable tasks could not be committed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Refused {
    /// It will be the same next time.
    is_fault: bool,
}

impl Refused {
    pub(crate) fn error(self) -> HttpError {
        if self.is_fault {
            HttpError::new(500)
        } else {
            HttpError::new(503).detail("The work of this request could not be stored.")
        }
    }

    /// In seconds.
    pub(crate) fn retry_after(self) -> Option<&'static str> {
        (!self.is_fault).then_some("1")
    }
}

impl Runner {
    pub(crate) fn store(&self) -> Option<&Arc<dyn Store>> {
        self.settings().store.as_ref()
    }

    pub(crate) fn max_running(&self) -> usize {
        self.settings().max_running
    }

    /// Shares an app's value with tasks.
    pub(crate) fn adopt_state(&self, value: Shared) {
        self.settings().states.insert(value);
    }

    pub(super) fn state<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        self.settings().states.get()
    }

    /// Starts a task that was claimed.
    pub(crate) fn start_claimed(&self, task: Task) {
        self.start_late(task, &Meta::new());
    }

    /// Waits until the ends of attempts are written: otherwise the process would seem to have died
    /// within them.
    pub(super) async fn flush(&self) {
        let Some(store) = self.store() else {
            return;
        };
        if let Err(error) = store.flush().await {
            log(|| tracing::error!(%error, "ends of durable tasks were not written"));
        }
    }
}
