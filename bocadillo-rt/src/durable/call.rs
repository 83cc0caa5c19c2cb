//! A call of a durable task, before it is kept.

use std::{
    fmt,
    panic::Location,
    time::{Duration, SystemTime},
};

use crate::{
    background::{Due, Entry, IntoTask, NewTask, Store, StoreError, Task, TaskId, When, Work},
    durable::{
        definition::Definition,
        envelope::{Args, Values},
    },
};

/// A call of a function with `#[task]`: its arguments, to be kept and to be run.
///
/// Nothing has happened yet. `res.background(call)` commits it before the response and runs it after;
/// [`enqueue`](Self::enqueue) commits it anywhere else.
///
/// # Examples
///
/// ```
/// use bocadillo::{durable::Memory, task};
///
/// #[task(name = "mail.confirm")]
/// async fn send_confirmation(who: String, order: u64) {
///     println!("order {order} of {who}");
/// }
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> bocadillo::Result<()> {
/// let store = Memory::new();
/// send_confirmation("ada@example.net".to_owned(), 7).enqueue(&store).await?;
/// assert_eq!(store.enqueued()[0].args["order"], 7);
/// # Ok(()) }
/// ```
#[must_use = "a call does nothing until it is registered or enqueued: `res.background(call)`"]
pub struct Call {
    definition: &'static Definition,
    /// Its task and its first attempt, if its arguments can be kept.
    begun: Result<(NewTask, Work), StoreError>,
    when: When,
    location: &'static Location<'static>,
}

impl Call {
    /// The first attempt is made of what was written, and not of the arguments themselves: a value
    /// that does not come back as it was shows at once, and not in a retry at night.
    #[track_caller]
    pub(crate) fn new(definition: &'static Definition, values: Values) -> Self {
        let begun = values.seal(definition.name).and_then(|payload| {
            let work = definition.begin(Args::open(&payload)?)?;
            Ok((NewTask::new(definition.name, payload, Due::Held), work))
        });
        Self {
            definition,
            begun,
            when: When::Always,
            location: Location::caller(),
        }
    }

    /// Returns the task's number; none if its arguments cannot be kept.
    #[must_use]
    pub fn id(&self) -> Option<TaskId> {
        self.begun.as_ref().ok().map(|(task, _)| task.id)
    }

    /// Runs the task after this time, and not at once.
    ///
    /// Registered on a response it is still committed before that. Who runs it is not said: any
    /// process with this store.
    pub fn run_in(mut self, time: Duration) -> Self {
        if let Ok((task, _)) = &mut self.begun {
            task.due = Due::After(time);
        }
        self
    }

    /// Runs the task at this time, and not at once; at once if it is over.
    pub fn run_at(self, time: SystemTime) -> Self {
        let after = time.duration_since(SystemTime::now());
        self.run_in(after.unwrap_or_default())
    }

    /// Sets when the task exists at all: with [`When::Success`] it is committed only if the view
    /// has succeeded.
    ///
    /// [`When::Delivered`] contradicts a durable task, which must exist before the response. The
    /// request is answered by a 500 then.
    pub fn when(mut self, when: When) -> Self {
        if when == When::Delivered {
            let what =
                "a durable task cannot wait for the delivery of its response, which it precedes";
            self.begun = Err(StoreError::fault_of(what));
        }
        self.when = when;
        self
    }

    /// Commits the task to a store, outside of any response. Any process with this store runs it.
    ///
    /// # Errors
    ///
    /// Fails if the arguments cannot be written, or the store cannot commit them; there is no task
    /// then.
    ///
    /// # Cancel safety
    ///
    /// If it is dropped before its end, the task may exist or not.
    pub async fn enqueue(self, store: &(impl Store + ?Sized)) -> Result<TaskId, StoreError> {
        let task = self.into_queued()?;
        let id = task.id;
        store.put(vec![task]).await?;
        Ok(id)
    }

    /// Returns the task, to be claimed by any process.
    pub(crate) fn into_queued(self) -> Result<NewTask, StoreError> {
        let (mut task, _) = self.begun?;
        if task.due == Due::Held {
            task.due = Due::After(Duration::ZERO);
        }
        Ok(task)
    }
}

impl IntoTask for Call {
    #[track_caller]
    fn into_task(self) -> Task {
        let (definition, location) = (self.definition, self.location);
        let task = match self.begun {
            Ok((task, work)) => {
                let entry = Entry::new(task);
                Task::durable(entry, definition.policy, work, location)
            }
            Err(fault) => {
                let entry = Entry::faulty(definition.name, &fault);
                let nothing = Box::pin(async { Ok(()) });
                Task::durable(entry, definition.policy, nothing, location)
            }
        };
        let task = task.when(self.when);
        match definition.timeout {
            Some(timeout) => task.timeout(timeout),
            None => task,
        }
    }
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("task", &self.definition.name)
            .field("id", &self.id())
            .finish_non_exhaustive()
    }
}
