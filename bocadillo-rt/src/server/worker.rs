//! Runs durable tasks without a server.

use std::{fmt, sync::Arc};

use crate::{
    background::{Builder, Deadline, Runner, Store},
    durable::Keeper,
    error::Result,
    server::{
        log,
        shutdown::{Shutdown, result},
        signals::Signalled,
    },
};

/// Runs the durable tasks of a store, in a process that serves no requests.
///
/// It runs what the store has for it: tasks that were enqueued elsewhere, delayed ones, retries, and
/// those of processes that have died. The tasks are those of its own program: a task that another
/// crate defines is known if the program names that crate (`use tasks as _;`).
///
/// # Examples
///
/// ```no_run
/// use bocadillo::durable::{Sqlite, Worker};
///
/// #[bocadillo::main]
/// async fn main() -> bocadillo::Result<()> {
///     Worker::new(Sqlite::open("tasks.db")?).run().await
/// }
/// ```
#[must_use = "a worker does nothing until it runs: `.run().await`"]
pub struct Worker {
    store: Arc<dyn Store>,
    settings: Builder,
    shutdown: Shutdown,
}

impl Worker {
    /// Creates a worker with the default settings.
    pub fn new(store: impl Store) -> Self {
        Self {
            store: Arc::new(store),
            settings: Runner::builder(),
            shutdown: Shutdown::default(),
        }
    }

    /// Sets how tasks are run: their limits, reports and [values](Builder::state).
    pub fn background(self, settings: Builder) -> Self {
        Self { settings, ..self }
    }

    /// Ends the worker gracefully when `signal` is ready, in place of on SIGTERM and SIGINT.
    pub fn with_graceful_shutdown(self, signal: impl Future<Output = ()> + Send + 'static) -> Self {
        let shutdown = Shutdown::when(signal);
        Self { shutdown, ..self }
    }

    /// Runs until it is to end: on SIGTERM, on SIGINT (Ctrl-C), or
    /// [when it is told](Self::with_graceful_shutdown).
    ///
    /// Then it claims nothing more, and waits for what runs, as a server does. A task that has not
    /// ended in time is cut off and given back: it runs again, and no attempt is counted.
    ///
    /// # Errors
    ///
    /// Returns an error if two tasks of the program have one name, or if tasks were cut off in the
    /// end.
    pub async fn run(self) -> Result<()> {
        log::init();
        // Signals first: one that comes while the worker starts ends it, and not the process.
        let stopped = self.shutdown.wait();
        let runner = self.settings.store(self.store).build().of_server();
        let keeper = Keeper::start(&runner)?;
        let signalled = stopped.await.unwrap_or_else(Signalled::elsewhere);
        let _names = signalled.names(runner.clone());
        if let Some(keeper) = keeper {
            keeper.stop().await;
        }
        let deadline = Deadline::after(runner.drain_timeout());
        result(&runner.drain_share(deadline).await)
    }
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker")
            .field("store", &self.store)
            .finish_non_exhaustive()
    }
}
