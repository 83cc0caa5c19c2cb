//! The signals that end the process: SIGTERM and SIGINT.
//!
//! A thread of its own waits for them, so that a second signal ends the process even if every other
//! thread is stuck. The thread starts with the first server and serves all servers of the process.
//! While no server runs, a signal ends the process at once, as it would without this thread.

use std::{
    io,
    sync::{
        Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicUsize, Ordering::SeqCst},
        mpsc,
    },
    thread,
};

use slab::Slab;
use tokio::runtime::Builder;
use tokio_util::sync::CancellationToken;

use crate::background::{self, Runner};

static SIGNALS: OnceLock<Option<CancellationToken>> = OnceLock::new();

/// The number of servers that a signal shuts down.
static SERVING: AtomicUsize = AtomicUsize::new(0);

/// The runners of the servers that are shutting down.
static ENDING: Mutex<Slab<Runner>> = Mutex::new(Slab::new());

fn ending() -> MutexGuard<'static, Slab<Runner>> {
    ENDING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A server that a signal ends: gracefully at first, and at once if it is shutting down already.
pub(crate) struct Signalled {
    /// The first signal shuts this server down.
    is_first: bool,
}

impl Signalled {
    /// Starts to listen: a signal shuts this server down gracefully.
    pub(crate) fn listen() -> Self {
        SIGNALS.get_or_init(listen);
        SERVING.fetch_add(1, SeqCst);
        Self { is_first: true }
    }

    /// Starts to listen for a server that is shutting down for another reason: a signal ends it at
    /// once.
    pub(crate) fn elsewhere() -> Self {
        SIGNALS.get_or_init(listen);
        Self { is_first: false }
    }

    /// Registers this server's runner. A signal that ends the process names the tasks of the
    /// runner.
    pub(crate) fn names(&self, runner: Runner) -> Names {
        Names(ending().insert(runner))
    }

    /// Waits for SIGTERM or SIGINT, or for Ctrl-C on systems other than Unix.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub(crate) async fn signal(&self) {
        match SIGNALS.get_or_init(listen) {
            Some(signalled) => signalled.cancelled().await,
            None => std::future::pending().await,
        }
    }
}

impl Drop for Signalled {
    fn drop(&mut self) {
        if self.is_first {
            SERVING.fetch_sub(1, SeqCst);
        }
    }
}

/// Keeps a runner registered until the server has ended.
pub(crate) struct Names(usize);

impl Drop for Names {
    fn drop(&mut self) {
        ending().try_remove(self.0);
    }
}

/// Logs the tasks that end with the process.
fn name_all() {
    let runners: Vec<_> = ending().iter().map(|(_, runner)| runner.clone()).collect();
    for runner in runners {
        background::cut_off_by_signal(&runner);
    }
}

/// Starts the thread, and returns when it listens.
fn listen() -> Option<CancellationToken> {
    let signalled = CancellationToken::new();
    let told = signalled.clone();
    let (listens, listening) = mpsc::channel();
    let started = thread::Builder::new()
        .name("bocadillo-signals".into())
        .spawn(move || {
            if let Err(error) = run(&told, listens) {
                tracing::error!(%error, "cannot listen for signals; they end the process at once");
            }
        });
    started
        .inspect_err(|error| tracing::error!(%error, "no thread to listen for signals"))
        .ok()?;
    // An error here means that the thread could not listen, and has logged that.
    listening.recv().ok()?;
    Some(signalled)
}

fn run(signalled: &CancellationToken, listens: mpsc::Sender<()>) -> io::Result<()> {
    let runtime = Builder::new_current_thread().enable_io().build()?;
    runtime.block_on(async {
        let mut signals = Signals::new()?;
        // The receiver waits for this message.
        let _ = listens.send(());
        drop(listens);
        loop {
            let code = signals.next().await?;
            if signalled.is_cancelled() || SERVING.load(SeqCst) == 0 {
                if signalled.is_cancelled() || !ending().is_empty() {
                    tracing::warn!("second signal; the process ends at once");
                    name_all();
                }
                #[allow(clippy::exit, reason = "what a signal is for")]
                std::process::exit(code);
            }
            signalled.cancel();
        }
    })
}

#[cfg(unix)]
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Returns the exit code for the signal.
    async fn next(&mut self) -> io::Result<i32> {
        Ok(tokio::select! {
            _ = self.terminate.recv() => 128 + 15,
            _ = self.interrupt.recv() => 128 + 2,
        })
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) -> io::Result<i32> {
        tokio::signal::ctrl_c().await?;
        Ok(130)
    }
}
