//! The signals that ask the process to end.
//!
//! A thread of its own listens, so that a second signal ends the process also when every other
//! thread is stuck. It listens for all servers of the process, from the first on. Without one that
//! serves a signal ends the process at once, as it would without this.

use std::{
    io,
    sync::{
        OnceLock,
        atomic::{AtomicUsize, Ordering::SeqCst},
        mpsc,
    },
    thread,
};

use tokio::runtime::Builder;
use tokio_util::sync::CancellationToken;

static SIGNALS: OnceLock<Option<CancellationToken>> = OnceLock::new();

/// How many servers wait for a signal, or have seen it and end in peace.
static SERVING: AtomicUsize = AtomicUsize::new(0);

/// A server that a signal is to end gracefully.
pub(crate) struct Serving(());

impl Serving {
    /// From here on signals are seen.
    pub(crate) fn new() -> Self {
        SIGNALS.get_or_init(listen);
        SERVING.fetch_add(1, SeqCst);
        Self(())
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

impl Drop for Serving {
    fn drop(&mut self) {
        SERVING.fetch_sub(1, SeqCst);
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
                if signalled.is_cancelled() {
                    tracing::warn!("a second signal: ending at once");
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
