//! What is known of a task.

use std::{
    borrow::Cow,
    cell::Cell,
    fmt,
    panic::Location,
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};

use http::StatusCode;

use super::{Group, Runner, Task, When, origin::Origin, worker::Pool};
use crate::sent::Delivery;

/// What is known of a task, filled in on its way from its registration to its end.
pub(super) struct Info {
    pub(super) shared: Shared,
    pub(super) timeout: Option<Duration>,
    pub(super) when: When,
    pub(super) origin: Origin,
    /// The next one of its response, which starts when this one is polled for the first time.
    pub(super) next: Option<Task>,
    pub(super) started_at: Cell<Option<Instant>>,
    /// The place in the ledger, from the start on.
    pub(super) key: usize,
    /// There is one from the first time that the task has to wait: most never do.
    pub(super) timer: Option<Timer>,
    /// The ledger knows how to wake it.
    pub(super) is_wakeable: bool,
    /// It waits for a place where functions may block: its time does not run yet.
    pub(super) is_queued: Cell<bool>,
    /// A poll that took too long is logged once.
    pub(super) has_blocked: bool,
}

/// A `Sleep`, which as such takes longer to drop where there is none.
pub(super) type Timer = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What a task can ask, and others be told.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) id: u64,
    pub(super) name: Cow<'static, str>,
    pub(super) location: &'static Location<'static>,
    /// Since its view has ended.
    pub(super) runner: Option<Runner>,
    pub(super) about: About,
}

/// Which response a task belongs to, and what became of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct About {
    pub(crate) status: Option<StatusCode>,
    pub(crate) route: Option<Arc<str>>,
    pub(crate) group: Option<Arc<Group>>,
    /// Of the runtime that serves the request, where that is known; of the one that runs the task, when
    /// it does.
    pub(crate) pool: Option<Arc<Pool>>,
    pub(crate) delivery: Option<Delivery>,
    pub(crate) times: Times,
}

/// Points in time that only reports and spans tell: where there are none, nobody looks at the clock.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Times {
    pub(super) registered_at: Option<Instant>,
    pub(super) sent_at: Option<Instant>,
}

impl Info {
    /// Where the task is registered.
    #[inline]
    pub(super) fn register(
        &mut self,
        name: Cow<'static, str>,
        location: &'static Location<'static>,
    ) {
        self.shared.name = name;
        self.shared.location = location;
        self.origin = Origin::capture();
    }

    /// Gives back what it holds. Mostly little, so that this looks for it: to put another in its place
    /// takes longer.
    pub(super) fn clear(&mut self) {
        let Shared {
            name,
            runner,
            about,
            ..
        } = &mut self.shared;
        *runner = None;
        if matches!(name, Cow::Owned(_)) {
            *name = Cow::Borrowed("");
        }
        if about.group.is_some() || about.route.is_some() || about.pool.is_some() {
            *about = About::default();
        }
        if self.origin.is_listened_to() {
            self.origin = Origin::default();
        }
        if self.timer.is_some() {
            self.timer = None;
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.shared.name
    }

    pub(super) fn location(&self) -> &'static Location<'static> {
        self.shared.location
    }
}

/// The present, as tokio tells it: a test may have paused it.
pub(super) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// That of no task.
impl Default for Info {
    #[inline]
    #[track_caller]
    fn default() -> Self {
        Self {
            shared: Shared {
                id: 0,
                name: Cow::Borrowed(""),
                location: Location::caller(),
                runner: None,
                about: About::default(),
            },
            timeout: None,
            when: When::Always,
            origin: Origin::default(),
            next: None,
            started_at: Cell::new(None),
            key: 0,
            timer: None,
            is_wakeable: false,
            is_queued: Cell::new(false),
            has_blocked: false,
        }
    }
}

impl fmt::Debug for Info {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Info")
            .field("id", &self.shared.id)
            .field("name", &self.shared.name)
            .finish_non_exhaustive()
    }
}
