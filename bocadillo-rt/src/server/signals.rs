//! The signals that ask the process to end.
//!
//! A thread of its own listens, so that a second signal ends the process also when every other
//! thread is stuck. It listens for all servers of the process, from the first on. Without one that
//! serves a signal ends the process at once, as it would without this.

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

/// How many servers a signal is to end.
static SERVING: AtomicUsize = AtomicUsize::new(0);

/// What the servers that end now have under way.
static ENDING: Mutex<Slab<Runner>> = Mutex::new(Slab::new());

fn ending() -> MutexGuard<'static, Slab<Runner>> {
    ENDING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A server that a signal ends: gracefully, or at once if it ends already.
pub(crate) struct Signalled {
    /// The first signal is for this server.
    is_first: bool,
}

impl Signalled {
    /// Begins to listen: a signal ends this server gracefully.
    pub(crate) fn listen() -> Self {
        SIGNALS.get_or_init(listen);
        SERVING.fetch_add(1, SeqCst);
        Self { is_first: true }
    }

    /// Begins to listen for a server that was told to end by something else: a signal ends it at once.
    pub(crate) fn elsewhere() -> Self {
        SIGNALS.get_or_init(listen);
        Self { is_first: false }
    }

    /// A signal that ends the process at once names what this server has under way.
    pub(crate) fn names(&self, runner: Runner) -> Names {
        Names(ending().insert(runner))
    }

    /// Waits for SIGTERM or SIGINT; elsewhere than on Unix, for Ctrl-C.
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

/// Keeps the names at hand until the server has ended.
pub(crate) struct Names(usize);

impl Drop for Names {
    fn drop(&mut self) {
        ending().try_remove(self.0);
    }
}

/// Says what ends with the process.
fn name_all() {
    let runners: Vec<_> = ending().iter().map(|(_, runner)| runner.clone()).collect();
    for runner in runners {
        background::cut_off_by_signal(&runner);
    }
}

/// Returns when it listens.
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
    // It does not if it cannot, and has said so.
    listening.recv().ok()?;
    Some(signalled)
}

fn run(signalled: &CancellationToken, listens: mpsc::Sender<()>) -> io::Result<()> {
    let runtime = Builder::new_current_thread().enable_io().build()?;
    runtime.block_on(async {
        let mut signals = Signals::new()?;
        // Whoever waits for it is there.
        let _ = listens.send(());
        drop(listens);
        loop {
            let code = signals.next().await?;
            if signalled.is_cancelled() || SERVING.load(SeqCst) == 0 {
                if signalled.is_cancelled() || !ending().is_empty() {
                    tracing::warn!("a second signal: ending at once");
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

    /// The exit code that says which signal it was.
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
