//! How an app is built, begins and ends.

use std::{io, mem, time::Duration};

use tokio::net::{TcpListener, ToSocketAddrs, lookup_host};

use crate::{
    app::{
        builder::{App, Hook},
        connection,
        service::Built,
    },
    error::{Error, Result},
    guard::{catch, guarded},
    server::{
        listener::{Listener, Removing},
        log,
        shutdown::Shutdown,
    },
};

impl App {
    /// Awaits this before the first connection is accepted; several, in their order.
    ///
    /// If it returns an error, so does [`serve`](Self::serve). Without a server of its own (in a test,
    /// or mounted) nothing calls it.
    ///
    /// # Examples
    ///
    /// What it makes goes to the views by a state that both have:
    ///
    /// ```
    /// use bocadillo::App;
    /// use std::sync::{Arc, OnceLock};
    ///
    /// let greeting = Arc::new(OnceLock::new());
    /// let set = Arc::clone(&greeting);
    /// let app = App::new().state(greeting).on_startup(move || async move {
    ///     let text = tokio::fs::read_to_string("greeting.txt").await?;
    ///     set.get_or_init(|| text);
    ///     Ok(())
    /// });
    /// # drop(app);
    /// ```
    #[must_use]
    #[doc(alias = "on")]
    #[doc(alias = "lifespan")]
    pub fn on_startup<Fut>(mut self, hook: impl FnOnce() -> Fut + Send + 'static) -> Self
    where
        Fut: Future<Output = Result<()>> + Send + 'static,
    {
        self.on_startup.push(boxed(hook));
        self
    }

    /// Awaits this when the server has ended, and all tasks with it; several, in their order, each
    /// whatever became of the others. Also if a function of [`on_startup`](Self::on_startup) failed.
    #[must_use]
    pub fn on_shutdown<Fut>(mut self, hook: impl FnOnce() -> Fut + Send + 'static) -> Self
    where
        Fut: Future<Output = Result<()>> + Send + 'static,
    {
        self.on_shutdown.push(boxed(hook));
        self
    }

    /// Ends the server gracefully when `signal` is ready, in place of on SIGTERM and SIGINT.
    ///
    /// # Examples
    ///
    /// ```
    /// use bocadillo::App;
    ///
    /// # #[tokio::main] async fn main() -> bocadillo::Result<()> {
    /// let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    /// let app = App::new().with_graceful_shutdown(async { drop(stopped.await) });
    /// stop.send(()).expect("the app waits for it");
    /// app.serve("127.0.0.1:0").await
    /// # }
    /// ```
    #[must_use]
    pub fn with_graceful_shutdown(
        mut self,
        signal: impl Future<Output = ()> + Send + 'static,
    ) -> Self {
        self.shutdown = Shutdown::when(signal);
        self.own_settings.push("with_graceful_shutdown");
        self
    }

    /// Goes on accepting for so long after the signal, in place of not at all.
    ///
    /// A load balancer goes on sending requests until it has noticed that this server is not ready any
    /// more. Meanwhile every request is answered as ever, and [`is_shutting_down`] says `true` to the
    /// view that the balancer asks. On HTTP/1 responses say `Connection: close`, until 200 ms before the
    /// end of the delay, so that the balancer parts with its connections. See `docs/running.md`.
    ///
    /// [`is_shutting_down`]: crate::Request::is_shutting_down
    ///
    /// # Examples
    ///
    /// ```
    /// use bocadillo::{App, Request, Response, route};
    /// use std::time::Duration;
    ///
    /// #[route("/ready")]
    /// async fn ready(req: &mut Request, res: &mut Response) {
    ///     res.status(if req.is_shutting_down() { 503 } else { 204 });
    /// }
    ///
    /// let app = App::new().route(ready).shutdown_delay(Duration::from_secs(5));
    /// # drop(app);
    /// ```
    #[must_use]
    pub fn shutdown_delay(mut self, delay: Duration) -> Self {
        self.shutdown_delay = delay;
        self.own_settings.push("shutdown_delay");
        self
    }

    /// Serves on this address until it is to end: on SIGTERM, on SIGINT (Ctrl-C), or
    /// [when it is told](Self::with_graceful_shutdown).
    ///
    /// Then it stops to accept, finishes the responses that are under way (for at most half of the
    /// [time](crate::background::Builder::drain_timeout)), and waits for their tasks, follow-ups and views without a
    /// client included. What has not ended in time is cut off, and the log names it. A second signal
    /// ends the process at once.
    ///
    /// # Errors
    ///
    /// Returns an [`io::Error`] of the system's kind if the address cannot be bound, as
    /// [`AddrInUse`](io::ErrorKind::AddrInUse): `error.downcast_ref::<io::Error>()`. Returns an error that
    /// names both routes if two conflict, and one that names the tasks if some still run in the end because
    /// they never yield.
    pub async fn serve(self, addr: impl ToSocketAddrs) -> Result<()> {
        let addrs: Vec<_> = lookup_host(addr).await?.collect();
        let listener = TcpListener::bind(&*addrs).await;
        let listener = listener.map_err(|error| {
            let text = format!("cannot listen on {addrs:?}: {error}");
            io::Error::new(error.kind(), text)
        })?;
        self.serve_with(listener).await
    }

    /// Serves the connections of this listener; as [`serve`](Self::serve).
    ///
    /// The file of a Unix socket is removed at the end.
    ///
    /// # Errors
    ///
    /// As [`serve`](Self::serve).
    pub async fn serve_with(mut self, listener: impl Listener) -> Result<()> {
        log::init();
        // Signals first: one that comes while the app starts ends it, and not the process.
        let mut stopped = Box::pin(mem::take(&mut self.shutdown).wait());
        let listener = Removing::new(listener);
        let limits = self.limits.clone();
        let shutdown_delay = self.shutdown_delay;
        let on_startup = mem::take(&mut self.on_startup);
        let on_shutdown = mem::take(&mut self.on_shutdown);
        let built = self.build_or_explain()?;
        built.app.runner.adopt_current();
        let started = tokio::select! {
            biased;
            started = start(on_startup) => started.map(|()| true),
            _ = &mut stopped => Ok(false),
        };
        let mut served = match started {
            Ok(true) => connection::serve(listener, built, &limits, shutdown_delay, stopped).await,
            Ok(false) => {
                tracing::info!("told to end before the app had started");
                Ok(())
            }
            Err(error) => Err(error),
        };
        // In each case, and all of them: what was opened is to be closed.
        for hook in on_shutdown {
            if let Err(error) = call(hook, "on_shutdown").await {
                tracing::error!(%error, "a function of `on_shutdown` failed");
                served = served.and(Err(error));
            }
        }
        served
    }

    /// Builds the app.
    ///
    /// # Errors
    ///
    /// Returns all faults of its routes and settings.
    fn build_or_explain(&self) -> Result<Built> {
        let (built, conflicts) = self.build();
        let conflicts = conflicts.iter().map(ToString::to_string);
        let faults: Vec<_> = self.faults.iter().cloned().chain(conflicts).collect();
        if faults.is_empty() {
            return Ok(built);
        }
        Err(Error::msg(faults.join("; ")))
    }
}

async fn start(hooks: Vec<Hook>) -> Result<()> {
    for hook in hooks {
        call(hook, "on_startup").await?;
    }
    Ok(())
}

/// Calls a function of the user's; a panic is an error.
async fn call(hook: Hook, kind: &str) -> Result<()> {
    let called = match guarded(hook) {
        Ok(future) => catch(future).await,
        Err(panic) => Err(panic),
    };
    called.unwrap_or_else(|panic| {
        let error = format!("a function of `{kind}` panicked: {panic}");
        Err(Error::msg(error))
    })
}

fn boxed<Fut>(hook: impl FnOnce() -> Fut + Send + 'static) -> Hook
where
    Fut: Future<Output = Result<()>> + Send + 'static,
{
    Box::new(|| Box::pin(hook()))
}
