//! The handle that registers tasks from any tower service.

#[cfg(feature = "durable")]
use std::pin::Pin;
use std::{
    mem,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

#[cfg(feature = "durable")]
use super::commit::Refused;
use super::{
    events,
    group::Group,
    job::Meta,
    registrations::Registrations,
    runner::Runner,
    task::{IntoTask, Task},
};
use crate::sent::{Connection, Delivery};

/// The commit of durable tasks, and what its failure makes of the response.
#[cfg(feature = "durable")]
pub(crate) type Commit = Pin<Box<dyn Future<Output = Option<Refused>> + Send>>;

/// The tasks of one response, in the extensions of its request.
///
/// [`serve`](crate::serve) and the [test client](crate::testing::Client) insert one. A service that is no
/// [`App`](crate::App) gets it from there and registers tasks on it.
///
/// # Examples
///
/// ```
/// use bocadillo::{Body, background::Background};
/// use http::{Request, Response};
///
/// async fn respond(req: Request<Body>) -> Result<Response<Body>, std::convert::Infallible> {
///     if let Some(res) = req.extensions().get::<Background>() {
///         res.background(async { println!("sent") });
///     }
///     Ok(Response::new(Body::from("hello")))
/// }
/// # drop(respond);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Background {
    shared: Arc<Shared>,
}

/// The handle of the test client when it calls an app. A type of its own, so that the app's views do not
/// see a [`Background`] in a test that they would not see on a server.
#[derive(Clone)]
pub(crate) struct TestDoor(pub(crate) Background);

/// The connection of our own server that a request came by.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) connection: Connection,
    pub(crate) addr: Option<SocketAddr>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    peer: Option<Arc<Peer>>,
    group: Option<Arc<Group>>,
    /// The path of the route of an app within, where there is one.
    route: OnceLock<Arc<str>>,
}

#[derive(Debug)]
enum State {
    Open(Registrations),
    /// The response was handed over, or there will be none: further tasks start at once.
    Closed(Runner),
}

impl Default for State {
    fn default() -> Self {
        Self::Open(Registrations::default())
    }
}

impl Background {
    pub(crate) fn with_group(group: Arc<Group>) -> Self {
        let shared = Shared {
            group: Some(group),
            ..Shared::default()
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    pub(crate) fn with_peer(peer: Arc<Peer>) -> Self {
        let shared = Shared {
            peer: Some(peer),
            ..Shared::default()
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Returns the connection of the request, if our own server has it. That server then sees to what
    /// HTTP allows of a response.
    pub(crate) fn peer(&self) -> Option<&Peer> {
        self.shared.peer.as_deref()
    }

    /// Registers a task.
    ///
    /// Every registration is kept: a response may have several authors, such as a handler and its
    /// middleware, and none of them replaces the tasks of another. All tasks start when the response was
    /// sent.
    ///
    /// After the response was handed over, the task starts at once, and its delivery is
    /// [`Unknown`](Delivery::Unknown).
    #[track_caller]
    pub fn background(&self, task: impl IntoTask) {
        self.register(task.into_task());
    }

    /// Does the same as [`background`](Self::background): for `#[background(add)]`.
    #[track_caller]
    pub fn add_background(&self, task: impl IntoTask) {
        self.register(task.into_task());
    }

    fn register(&self, task: Task) {
        let mut state = self.state();
        match &mut *state {
            State::Open(tasks) => {
                let discarded = tasks.add(task);
                drop(state);
                discarded.log();
            }
            State::Closed(runner) => {
                let runner = runner.clone();
                drop(state);
                events::late(task.info());
                let mut meta = Meta::new();
                self.describe(&mut meta);
                runner.start_late(task, &meta);
            }
        }
    }

    /// Adds the tasks of an app within this service. Its view may have outlived its client.
    pub(crate) fn append(&self, mut tasks: Registrations, route: Option<Arc<str>>) {
        if let Some(route) = route {
            let _ = self.shared.route.set(route);
        }
        let mut state = self.state();
        match &mut *state {
            State::Open(slot) => slot.append(tasks),
            State::Closed(runner) => {
                let runner = runner.clone();
                drop(state);
                let on_done = runner.accept(&mut tasks, |meta| {
                    self.describe(meta);
                    meta.group = None;
                });
                on_done.done(Delivery::Aborted { bytes: 0 });
            }
        }
    }

    /// Commits the durable tasks before a response; none if there are none. The future
    /// returns what the response is to be instead, if that fails.
    #[cfg(feature = "durable")]
    pub(crate) fn commit(&self, runner: &Runner, has_failed: bool) -> Option<Commit> {
        if !matches!(&*self.state(), State::Open(tasks) if tasks.has_uncommitted()) {
            return None;
        }
        if has_failed {
            self.change(Registrations::view_failed);
        }
        let entries = match &*self.state() {
            State::Open(tasks) => tasks.uncommitted(),
            State::Closed(_) => return None,
        };
        let (background, runner) = (self.clone(), runner.clone());
        Some(Box::pin(async move {
            let refused = runner.commit_or_refuse(&entries).await.err()?;
            background.change(Registrations::refuse_uncommitted);
            Some(refused)
        }))
    }

    /// Changes what was registered, outside of the lock: a task that is discarded is a user's.
    #[cfg(feature = "durable")]
    fn change(&self, change: impl FnOnce(&mut Registrations)) {
        let mut tasks = match &mut *self.state() {
            State::Open(tasks) => mem::take(tasks),
            State::Closed(_) => return,
        };
        change(&mut tasks);
        self.append(tasks, None);
    }

    /// Takes the registered tasks. `runner` starts tasks that are registered later.
    pub(crate) fn close(&self, runner: &Runner) -> Registrations {
        match mem::replace(&mut *self.state(), State::Closed(runner.clone())) {
            State::Open(slot) => slot,
            State::Closed(_) => Registrations::default(),
        }
    }

    /// Describes the response.
    pub(crate) fn describe(&self, meta: &mut Meta) {
        meta.group.clone_from(&self.shared.group);
        meta.route = self.shared.route.get().cloned();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
