//! Where tasks run.

use std::{
    fmt, future,
    pin::Pin,
    sync::{Arc, OnceLock},
    thread,
};

use tokio::runtime::{Builder, Handle, Runtime, RuntimeFlavor};

use super::{
    job::Job,
    worker::{Pool, Worker},
};

#[derive(Debug)]
pub(super) enum Home {
    /// The runtime that serves the requests.
    Current {
        /// The workers of the first that served, also for tasks that are released outside of any.
        adopted: OnceLock<Arc<Pool>>,
    },
    /// One of their own.
    Dedicated(Dedicated),
}

impl Home {
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

    /// As many threads as leave half of the processors to the requests.
    pub(super) fn default_threads() -> usize {
        let processors = thread::available_parallelism().map_or(1, |number| number.get());
        (processors / 2).max(1)
    }

    /// As it was made, before anything ran.
    pub(super) fn again(&self) -> Self {
        match self {
            Self::Current { .. } => Self::current(),
            Self::Dedicated(dedicated) => Self::dedicated(dedicated.threads),
        }
    }

    /// Remembers the current runtime, for tasks of which nothing else is known.
    pub(super) fn adopt_current(&self) {
        if let Ok(runtime) = Handle::try_current() {
            self.pool_of(runtime);
        }
    }

    /// The workers of a runtime that serves requests. The first such is remembered.
    pub(super) fn pool_of(&self, runtime: Handle) -> Arc<Pool> {
        if let Self::Current { adopted } = self {
            let pool = adopted.get_or_init(|| Arc::new(Pool::here(runtime.clone())));
            if pool.is_of(&runtime) {
                return Arc::clone(pool);
            }
        }
        Arc::new(Pool::here(runtime))
    }

    /// Runs a task; `known` are the workers of the runtime that serves the request, where that is
    /// known. If there is no runtime at all it is dropped, which accounts for it.
    #[inline]
    pub(super) fn run(&self, job: Pin<Box<dyn Job>>, known: Option<Arc<Pool>>) {
        let (pool, adopted) = match self {
            Self::Dedicated(dedicated) => (dedicated.pool(), None),
            Self::Current { adopted } => (known, adopted.get()),
        };
        match pool {
            Some(pool) => pool.run(job),
            None => run_here(job, adopted),
        }
    }
}

/// Has the task that was woken last on this thread wait its turn behind those before it.
///
/// A thread of tokio's runs that one first, from a slot that no other thread takes from. Something that
/// does nothing takes its place there.
pub(super) fn push_out() {
    if let Ok(runtime) = Handle::try_current() {
        if runtime.runtime_flavor() == RuntimeFlavor::MultiThread {
            runtime.spawn(future::ready(()));
        }
    }
}

/// Runs a task on the current runtime; without one on the one that was adopted.
fn run_here(job: Pin<Box<dyn Job>>, adopted: Option<&Arc<Pool>>) {
    let current = Handle::try_current().ok();
    let is_here = |pool: &&Arc<Pool>| current.as_ref().is_none_or(|it| pool.is_of(it));
    if let Some(pool) = adopted.filter(is_here) {
        Arc::clone(pool).run(job);
    } else if let Some(runtime) = current {
        runtime.spawn(Worker::new(job));
    } else {
        drop(Worker::new(job));
    }
}

/// A runtime that is started when its first task is.
pub(super) struct Dedicated {
    threads: usize,
    /// `None` if the system has no threads for it.
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
        .enable_all()
        .build();
    let runtime = started
        .inspect_err(|error| {
            tracing::error!(%error, "no runtime for background tasks; they run with the requests");
        })
        .ok()?;
    let pool = Arc::new(Pool::apart(runtime.handle().clone()));
    Some((runtime, pool))
}

impl Drop for Dedicated {
    /// A runtime that is dropped within async code panics; this does not wait for anything.
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
