//! Registers tasks where there is no `Response` of ours: in any tower service.

use std::{
    mem,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use super::{About, Group, IntoTask, Runner, Slot, Task, slot::LetGo};
use crate::sent::Delivery;

/// The tasks of one response, in the extensions of its request.
///
/// [`serve`](crate::serve) and the [test client](crate::testing::Client) put one there; a service
/// that is no [`App`](crate::App) takes it out and registers on it.
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

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    group: Option<Arc<Group>>,
    /// The path of the route of an app within, where there is one.
    route: OnceLock<Arc<str>>,
}

#[derive(Debug)]
enum State {
    Open(Slot),
    /// The response was handed over, or there will be none: what comes now starts at once.
    Closed(Runner),
}

impl Default for State {
    fn default() -> Self {
        Self::Open(Slot::default())
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

    /// Registers a task in place of all before it.
    ///
    /// After the response was handed over there is nothing to wait for: the task starts at once,
    /// and its delivery is [`Unknown`](Delivery::Unknown).
    #[track_caller]
    pub fn background(&self, task: impl IntoTask) {
        self.register(task.into_task(), Slot::replace);
    }

    /// Registers a task beside those before it; otherwise as [`background`](Self::background).
    #[track_caller]
    pub fn add_background(&self, task: impl IntoTask) {
        self.register(task.into_task(), Slot::add);
    }

    fn register(&self, task: Task, register: impl FnOnce(&mut Slot, Task) -> LetGo) {
        let mut state = self.state();
        match &mut *state {
            State::Open(slot) => {
                let let_go = register(slot, task);
                drop(state);
                let_go.log();
            }
            State::Closed(runner) => {
                let runner = runner.clone();
                drop(state);
                tracing::debug!(
                    task = task.info().name(),
                    location = %task.info().location(),
                    "background task registered after its response was handed over; it starts now"
                );
                runner.start_one(task, self.about(), Delivery::Unknown);
            }
        }
    }

    /// Hands on what an app within has registered; its view may have outlived its client.
    pub(crate) fn append(&self, mut tasks: Slot, route: Option<Arc<str>>) {
        if let Some(route) = route {
            let _ = self.shared.route.set(route);
        }
        let mut state = self.state();
        match &mut *state {
            State::Open(slot) => slot.append(tasks),
            State::Closed(runner) => {
                let runner = runner.clone();
                drop(state);
                let about = About {
                    group: None,
                    ..self.about()
                };
                let on_done = runner.accept(&mut tasks, |known| *known = about);
                on_done.done(Delivery::Aborted { bytes: 0 });
            }
        }
    }

    /// Takes what was registered; `runner` has whatever comes later.
    pub(crate) fn close(&self, runner: &Runner) -> Slot {
        match mem::replace(&mut *self.state(), State::Closed(runner.clone())) {
            State::Open(slot) => slot,
            State::Closed(_) => Slot::default(),
        }
    }

    /// What is known of whatever is registered here.
    pub(crate) fn about(&self) -> About {
        About {
            group: self.shared.group.clone(),
            route: self.shared.route.get().cloned(),
            ..About::default()
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
