//! Where tasks run.

use std::{fmt, sync::OnceLock, thread};

use tokio::runtime::{Builder, Handle, Runtime};

use super::run::Run;

#[derive(Debug)]
pub(super) enum Home {
    /// The runtime that serves the requests.
    Current {
        /// The one that is used where there is no current one.
        fallback: OnceLock<Handle>,
    },
    /// One of their own.
    Dedicated(Dedicated),
}

impl Home {
    pub(super) fn current() -> Self {
        Self::Current {
            fallback: OnceLock::new(),
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

    /// Remembers the current runtime, for tasks that are released outside of any.
    pub(super) fn adopt_current(&self) {
        if let (Self::Current { fallback }, Ok(handle)) = (self, Handle::try_current()) {
            let _ = fallback.set(handle);
        }
    }

    /// Runs a task. If there is no runtime at all it is dropped, and accounts for that itself.
    #[inline]
    pub(super) fn spawn(&self, run: Run, known: Option<Handle>) {
        match self {
            Self::Dedicated(dedicated) => {
                if let Some(runtime) = dedicated.runtime() {
                    runtime.spawn(run);
                    return;
                }
                spawn_here(run, known, None);
            }
            Self::Current { fallback } => spawn_here(run, known, fallback.get()),
        }
    }
}

#[inline(always)]
fn spawn_here(run: Run, known: Option<Handle>, fallback: Option<&Handle>) {
    if let Some(runtime) = known.or_else(|| Handle::try_current().ok()) {
        runtime.spawn(run);
    } else if let Some(runtime) = fallback {
        runtime.spawn(run);
    }
}

/// A runtime that is started when its first task is.
pub(super) struct Dedicated {
    threads: usize,
    /// `None` if the system has no threads for it.
    runtime: OnceLock<Option<Runtime>>,
}

impl Dedicated {
    fn runtime(&self) -> Option<&Runtime> {
        self.runtime.get_or_init(|| start(self.threads)).as_ref()
    }
}

fn start(threads: usize) -> Option<Runtime> {
    let runtime = Builder::new_multi_thread()
        .worker_threads(threads)
        .thread_name("bocadillo-task")
        .enable_all()
        .build();
    runtime
        .inspect_err(|error| {
            tracing::error!(%error, "no runtime for background tasks; they run with the requests");
        })
        .ok()
}

impl Drop for Dedicated {
    /// A runtime that is dropped within async code panics; this does not wait for anything.
    fn drop(&mut self) {
        if let Some(Some(runtime)) = self.runtime.take() {
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
