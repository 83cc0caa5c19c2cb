//! `App::serve`: binds the address, calls the hooks, and serves until the end.

use std::{io, mem, time::Duration};

use tokio::net::{TcpListener, ToSocketAddrs, lookup_host};

use crate::{
    app::{
        builder::{App, Hook},
        connection,
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
    /// Adds a function that runs before the first connection is accepted. Several functions run one
    /// after the other, in the order in which they were added.
    ///
    /// If a function returns an error, [`serve`](Self::serve) returns it. The functions do not run
    /// for an app that is mounted or called by the test client.
    ///
    /// # Examples
    ///
    /// The function shares its result with the views by a state:
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

    /// Adds a function that runs after the server and all tasks have ended. Several functions run
    /// one after the other. All of them run, even if one fails, and also if a function of
    /// [`on_startup`](Self::on_startup) has failed.
    #[must_use]
    pub fn on_shutdown<Fut>(mut self, hook: impl FnOnce() -> Fut + Send + 'static) -> Self
    where
        Fut: Future<Output = Result<()>> + Send + 'static,
    {
        self.on_shutdown.push(boxed(hook));
        self
    }

    /// Shuts the server down gracefully when `signal` is ready, and no longer on SIGTERM and
    /// SIGINT.
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

    /// Sets how long the server goes on accepting connections after the signal. By default it stops
    /// at once.
    ///
    /// A load balancer sends requests until it has noticed that this server is not ready any more.
    /// During the delay requests are answered as before, and [`is_shutting_down`] returns `true` to
    /// the view that the balancer asks. HTTP/1 responses have `Connection: close` until 200 ms
    /// before the end of the delay, so that the balancer closes its connections. See
    /// `docs/running.md`.
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

    /// Serves on this address until a shutdown: on SIGTERM, on SIGINT (Ctrl-C), or [by a signal of
    /// your own](Self::with_graceful_shutdown).
    ///
    /// At a shutdown the server stops accepting connections. It finishes the responses that are
    /// under way, which takes at most half of the [drain
    /// time](crate::background::Builder::drain_timeout). Then it waits for the tasks, their
    /// follow-ups, and the views whose clients have left. Whatever has not ended in time is
    /// aborted, and the log names it. A second signal ends the process at once.
    ///
    /// # Errors
    ///
    /// * Returns an [`io::Error`] if the address cannot be bound. It keeps the kind of the system's
    ///   error, such as [`AddrInUse`](io::ErrorKind::AddrInUse): `error.downcast_ref::<io::Error>()`.
    /// * Returns an error that names both routes if two routes conflict.
    /// * Returns an error that names the tasks that still run at the end because they never yield.
    pub async fn serve(self, addr: impl ToSocketAddrs) -> Result<()> {
        let addrs: Vec<_> = lookup_host(addr).await?.collect();
        let listener = TcpListener::bind(&*addrs).await;
        let listener = listener.map_err(|error| {
            let text = format!("cannot listen on {addrs:?}: {error}");
            io::Error::new(error.kind(), text)
        })?;
        self.serve_with(listener).await
    }

    /// Serves the connections of this listener, as [`serve`](Self::serve) does.
    ///
    /// The file of a Unix socket is removed when the server stops accepting.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`serve`](Self::serve).
    pub async fn serve_with(mut self, listener: impl Listener) -> Result<()> {
        log::init();
        // Listen for signals first: a signal during the start shuts the app down, and does not kill
        // the process.
        let mut stopped = Box::pin(mem::take(&mut self.shutdown).wait());
        let listener = Removing::new(listener);
        let limits = self.limits.clone();
        let shutdown_delay = self.shutdown_delay;
        let on_startup = mem::take(&mut self.on_startup);
        let on_shutdown = mem::take(&mut self.on_shutdown);
        let (built, faults) = self.build();
        if !faults.is_empty() {
            return Err(Error::msg(faults.join("; ")));
        }
        built.app.runner.adopt_current();
        let started = tokio::select! {
            biased;
            started = start(on_startup) => started.map(|()| true),
            _ = &mut stopped => Ok(false),
        };
        let mut served = match started {
            Ok(true) => connection::serve(listener, built, &limits, shutdown_delay, stopped).await,
            Ok(false) => {
                tracing::info!("shut down before the app had started");
                Ok(())
            }
            Err(error) => Err(error),
        };
        // All functions run in each case, because each may have to close something.
        for hook in on_shutdown {
            if let Err(error) = call(hook, "on_shutdown").await {
                tracing::error!(%error, "a function of `on_shutdown` failed");
                served = served.and(Err(error));
            }
        }
        served
    }
}

async fn start(hooks: Vec<Hook>) -> Result<()> {
    for hook in hooks {
        call(hook, "on_startup").await?;
    }
    Ok(())
}

/// Calls a user's function. A panic becomes an error.
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
