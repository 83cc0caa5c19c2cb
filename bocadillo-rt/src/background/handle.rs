//! Registers tasks where there is no `Response` of ours: in any tower service.

use std::{
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{Group, IntoTask, Slot};

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
    slot: Mutex<Slot>,
    group: Option<Arc<Group>>,
}

impl Background {
    pub(crate) fn with_group(group: Arc<Group>) -> Self {
        let shared = Shared {
            slot: Mutex::default(),
            group: Some(group),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Registers a task in place of all before it.
    #[track_caller]
    pub fn background(&self, task: impl IntoTask) {
        let task = task.into_task();
        self.slot().replace(task);
    }

    /// Registers a task beside those before it.
    #[track_caller]
    pub fn add_background(&self, task: impl IntoTask) {
        let task = task.into_task();
        self.slot().add(task);
    }

    /// Hands on what an app within has registered.
    pub(crate) fn append(&self, slot: Slot) {
        self.slot().append(slot);
    }

    pub(crate) fn take(&self) -> Slot {
        mem::take(&mut *self.slot())
    }

    pub(crate) fn group(&self) -> Option<Arc<Group>> {
        self.shared.group.clone()
    }

    fn slot(&self) -> MutexGuard<'_, Slot> {
        self.shared
            .slot
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
