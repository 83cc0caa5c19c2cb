//! Where tasks run.

use std::{
    fmt,
    sync::{Arc, OnceLock},
    thread,
};

use tokio::runtime::{Builder, Handle, Runtime};

use super::worker::{self, BoxedWork, Pool, Worker};

#[derive(Debug)]
pub(super) enum Executor {
    /// The runtime that serves the requests.
    Current {
        /// The workers of the first runtime that served. They also run tasks that are released outside of
        /// any runtime.
        adopted: OnceLock<Arc<Pool>>,
    },
    /// A runtime of its own.
    Dedicated(Dedicated),
}

impl Executor {
    pub(super) fn current() -> Self {
        Self::Current {
            adopted: OnceLock::new(),
        }
    }

    pub(super) fn dedicated(threads: usize) -> Self {
        Self::Dedicated(Dedicated {
            threads: threads.max(1),
            runtime: OnceLock::new(),
        })
    }

    /// Returns half the number of processors: the requests have the other half.
    pub(super) fn default_threads() -> usize {
        let processors = thread::available_parallelism().map_or(1, |number| number.get());
        (processors / 2).max(1)
    }

    /// Returns whether there is a runtime for a task that is registered here.
    pub(super) fn has_runtime(&self) -> bool {
        match self {
            Self::Dedicated(_) => true,
            Self::Current { adopted } => adopted.get().is_some() || Handle::try_current().is_ok(),
        }
    }

    /// Remembers the current runtime, for tasks whose runtime is not known.
    pub(super) fn adopt_current(&self) {
        if let Ok(runtime) = Handle::try_current() {
            self.pool_of(runtime);
        }
    }

    /// Returns the workers of a runtime that serves requests. The first runtime is remembered.
    pub(super) fn pool_of(&self, runtime: Handle) -> Arc<Pool> {
        if let Self::Current { adopted } = self {
            let pool = adopted.get_or_init(|| Arc::new(Pool::here(runtime.clone())));
            if pool.is_of(&runtime) {
                return Arc::clone(pool);
            }
        }
        Arc::new(Pool::here(runtime))
    }

    /// Runs a task; `known` are the workers of its runtime, where the door or the test kit knows it.
    #[inline]
    pub(super) fn run(&self, work: BoxedWork, known: Option<Arc<Pool>>) {
        match known.or_else(|| self.pool()) {
            Some(pool) => pool.run(work),
            None => run_here(work),
        }
    }

    /// Does the same as [`run`](Self::run) for a task that another task starts, which may go on.
    #[cold]
    pub(super) fn run_behind(&self, work: BoxedWork, known: Option<Arc<Pool>>) {
        match known.or_else(|| self.pool()) {
            Some(pool) => {
                Arc::clone(&pool).run(work);
                pool.clear_last_woken();
            }
            None => run_here(work),
        }
    }

    fn pool(&self) -> Option<Arc<Pool>> {
        match self {
            Self::Dedicated(dedicated) => dedicated.pool(),
            Self::Current { adopted } => adopted_here(adopted.get()),
        }
    }
}

/// Returns the adopted workers, unless the caller is on another runtime.
fn adopted_here(adopted: Option<&Arc<Pool>>) -> Option<Arc<Pool>> {
    let pool = adopted?;
    let is_here = Handle::try_current().map_or(true, |current| pool.is_of(&current));
    is_here.then(|| Arc::clone(pool))
}

/// Runs a task on the current runtime. Without a runtime the worker is dropped, which cancels the task.
#[cold]
fn run_here(work: BoxedWork) {
    match Handle::try_current() {
        Ok(runtime) => drop(runtime.spawn(Worker::new(work))),
        Err(_) => drop(Worker::new(work)),
    }
}

/// A runtime that its first task starts.
pub(super) struct Dedicated {
    threads: usize,
    /// `None` if the system could not start its threads.
    runtime: OnceLock<Option<(Runtime, Arc<Pool>)>>,
}

impl Dedicated {
    fn pool(&self) -> Option<Arc<Pool>> {
        let started = self.runtime.get_or_init(|| start(self.threads));
        started.as_ref().map(|(_, pool)| Arc::clone(pool))
    }
}

fn start(threads: usize) -> Option<(Runtime, Arc<Pool>)> {
    let started = Builder::new_multi_thread()
        .worker_threads(threads)
        .thread_name("bocadillo-task")
        .on_thread_park(worker::yield_after_work)
        .enable_all()
        .build();
    let runtime = started
        .inspect_err(|error| {
            tracing::error!(%error, "no runtime for background tasks; they run with the requests");
        })
        .ok()?;
    let pool = Arc::new(Pool::dedicated(runtime.handle().clone()));
    Some((runtime, pool))
}

impl Drop for Dedicated {
    /// Shuts down without waiting: a plain drop of a runtime within async code panics.
    fn drop(&mut self) {
        if let Some(Some((runtime, _))) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl fmt::Debug for Dedicated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dedicated")
            .field("threads", &self.threads)
            .finish_non_exhaustive()
    }
}
