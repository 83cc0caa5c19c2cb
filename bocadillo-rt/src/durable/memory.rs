//! A store in memory: for tests.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::{
    sync::{Notify, futures::Notified},
    time::{Instant, sleep_until},
};

use crate::{
    background::{
        Claimed, Counts, Due, End, KeptState, KeptTask, NewTask, Store, StoreError, StoreFuture,
        TaskId,
    },
    durable::enqueued::Enqueued,
};

/// A store that lives as long as the process: for tests.
///
/// Clones are the same holder; [`another_holder`](Self::another_holder) stands for another process.
/// Its times are tokio's, so a test may pause them.
///
/// # Examples
///
/// ```
/// use bocadillo::{App, Request, Response, Runner, durable::Memory, route, task, testing::Client};
///
/// #[task]
/// async fn confirm(who: String) {
///     println!("to {who}");
/// }
///
/// #[route("/orders", methods = ["post"])]
/// async fn create_order(_req: &mut Request, res: &mut Response) {
///     res.background(confirm("ada".to_owned()));
/// }
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let store = Memory::new();
/// let runner = Runner::builder().store(store.clone()).build();
/// let client = Client::new(App::new().route(create_order).background(runner));
/// let response = client.post("/orders").await;
/// assert_eq!(store.enqueued()[0].args["who"], "ada");
/// response.tasks().await;
/// # }
/// ```
#[derive(Clone)]
pub struct Memory {
    handle: Arc<Handle>,
}

/// One holder; its tasks are given back when the last handle is gone.
struct Handle {
    holder: u64,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    rows: Mutex<Rows>,
    changed: Notify,
    holders: AtomicU64,
}

#[derive(Default)]
struct Rows {
    by_id: BTreeMap<TaskId, Row>,
    enqueued: Vec<NewTask>,
    /// For the next puts.
    refusal: Option<String>,
}

struct Row {
    name: String,
    payload: Vec<u8>,
    attempts: u32,
    place: Place,
    error: Option<String>,
    since: Instant,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Queued { due: Option<Instant> },
    Held { by: u64 },
    Dead,
}

impl Place {
    fn queued_in(time: Duration) -> Self {
        // Without an instant it is too far in the future for the clock.
        let due = Instant::now().checked_add(time);
        Self::Queued { due }
    }

    fn is_due(self, now: Instant) -> bool {
        matches!(self, Self::Queued { due: Some(due) } if due <= now)
    }

    fn state(self) -> KeptState {
        match self {
            Self::Queued { .. } => KeptState::Queued,
            Self::Held { .. } => KeptState::Held,
            Self::Dead => KeptState::Dead,
        }
    }
}

impl Memory {
    /// Creates an empty store.
    #[must_use]
    #[allow(
        clippy::new_without_default,
        reason = "two defaults would look like one store"
    )]
    pub fn new() -> Self {
        Self::holder_of(Arc::default())
    }

    /// Returns another holder of the same tasks, as another process would be. When all of its clones
    /// are dropped, the holder has died.
    #[must_use]
    pub fn another_holder(&self) -> Self {
        Self::holder_of(Arc::clone(&self.handle.shared))
    }

    fn holder_of(shared: Arc<Shared>) -> Self {
        let holder = shared.holders.fetch_add(1, Relaxed);
        let handle = Arc::new(Handle { holder, shared });
        Self { handle }
    }

    /// Returns every task that was put so far, in that order; also those that have ended.
    #[must_use]
    pub fn enqueued(&self) -> Vec<Enqueued> {
        let rows = self.handle.shared.rows();
        let enqueued = rows.enqueued.iter().map(Enqueued::of);
        enqueued.collect()
    }

    /// Lets every `put` fail with this text from now on, or none: for tests of the 503.
    pub fn refuse(&self, why: Option<&str>) {
        self.handle.shared.rows().refusal = why.map(str::to_owned);
    }

    /// As [`Store::claim`], whether a task is due or not: for `drain`.
    pub(crate) fn claim_all(&self, names: &[&str]) -> Vec<Claimed> {
        self.claim_where(names, usize::MAX, |_| true)
    }

    fn claim_where(
        &self,
        names: &[&str],
        max: usize,
        is_due: impl Fn(Place) -> bool,
    ) -> Vec<Claimed> {
        let mut rows = self.handle.shared.rows();
        let mut due: Vec<_> = rows
            .by_id
            .iter_mut()
            .filter(|(_, row)| row.place.state() == KeptState::Queued && is_due(row.place))
            .filter(|(_, row)| names.contains(&row.name.as_str()))
            .collect();
        due.sort_by_key(|(id, row)| match row.place {
            Place::Queued { due: Some(due) } => (false, Some(due), **id),
            _ => (true, None, **id),
        });
        due.truncate(max);
        let claimed = due.into_iter().map(|(id, row)| {
            row.place = Place::Held {
                by: self.handle.holder,
            };
            row.attempts += 1;
            Claimed::new(*id, row.name.clone(), row.payload.clone(), row.attempts)
        });
        claimed.collect()
    }

    fn put_all(&self, tasks: Vec<NewTask>) -> Result<(), StoreError> {
        let mut rows = self.handle.shared.rows();
        if let Some(why) = &rows.refusal {
            return Err(StoreError::new(why.clone()));
        }
        for task in tasks {
            rows.enqueued.push(task.clone());
            let (place, attempts) = match task.due {
                Due::Held => (
                    Place::Held {
                        by: self.handle.holder,
                    },
                    1,
                ),
                Due::After(time) => (Place::queued_in(time), 0),
            };
            let row = Row {
                name: task.name.into_owned(),
                payload: task.payload,
                attempts,
                place,
                error: None,
                since: Instant::now(),
            };
            rows.by_id.insert(task.id, row);
        }
        drop(rows);
        self.handle.shared.changed.notify_waiters();
        Ok(())
    }

    fn end_one(&self, id: TaskId, attempt: u32, end: End) {
        let mut rows = self.handle.shared.rows();
        let Some(row) = rows.by_id.get_mut(&id) else {
            return;
        };
        let held = Place::Held {
            by: self.handle.holder,
        };
        if row.place != held || row.attempts != attempt {
            return;
        }
        match end {
            End::Done => drop(rows.by_id.remove(&id)),
            End::Retry { after, error } => {
                row.place = Place::queued_in(after);
                row.error = Some(error);
            }
            End::Dead { error } => {
                row.place = Place::Dead;
                row.error = Some(error);
            }
            End::GiveBack { after } => {
                row.place = Place::queued_in(after);
                row.attempts -= 1;
            }
        }
        drop(rows);
        self.handle.shared.changed.notify_waiters();
    }

    fn count(&self) -> Vec<Counts> {
        let rows = self.handle.shared.rows();
        let mut by_name = HashMap::new();
        for row in rows.by_id.values() {
            let counts = by_name
                .entry(row.name.as_str())
                .or_insert_with(|| Counts::of(&*row.name));
            counts.add(row.place.state(), row.since.elapsed());
        }
        let mut counts: Vec<_> = by_name.into_values().collect();
        counts.sort_by(|one, other| one.name.cmp(&other.name));
        counts
    }

    fn list_all(&self, state: KeptState, limit: usize) -> Vec<KeptTask> {
        let rows = self.handle.shared.rows();
        let listed = rows
            .by_id
            .iter()
            .filter(|(_, it)| it.place.state() == state);
        let listed = listed.take(limit).map(|(id, row)| {
            let (name, payload) = (row.name.clone(), row.payload.clone());
            let mut task = KeptTask::new(*id, name, payload, row.attempts, row.since.elapsed());
            task.error.clone_from(&row.error);
            task
        });
        listed.collect()
    }

    fn retry_one(&self, id: TaskId) -> bool {
        let mut rows = self.handle.shared.rows();
        let row = rows.by_id.get_mut(&id);
        let Some(row) = row.filter(|row| row.place.state() != KeptState::Held) else {
            return false;
        };
        row.place = Place::queued_in(Duration::ZERO);
        row.attempts = 0;
        drop(rows);
        self.handle.shared.changed.notify_waiters();
        true
    }

    fn discard_one(&self, id: TaskId) -> bool {
        let mut rows = self.handle.shared.rows();
        let row = rows.by_id.get(&id);
        let is_free = row.is_some_and(|row| row.place.state() != KeptState::Held);
        is_free && rows.by_id.remove(&id).is_some()
    }

    /// What is due after `since` was not seen by a claim before it.
    async fn wait(&self, changed: Notified<'_>, since: Instant) {
        let due = self.handle.shared.rows().next_due(since);
        match due {
            Some(due) => tokio::select! {
                () = changed => {}
                () = sleep_until(due) => {}
            },
            None => changed.await,
        }
    }
}

impl Rows {
    fn next_due(&self, since: Instant) -> Option<Instant> {
        let due = self.by_id.values().filter_map(|row| match row.place {
            Place::Queued { due } => due,
            Place::Held { .. } | Place::Dead => None,
        });
        // What was due and was not claimed waits for something else than its time.
        due.filter(|due| *due > since).min()
    }
}

impl Shared {
    fn rows(&self) -> MutexGuard<'_, Rows> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for Memory {
    fn put(&self, tasks: Vec<NewTask>) -> StoreFuture<'_, ()> {
        Box::pin(async move { self.put_all(tasks) })
    }

    fn claim(&self, names: &[&str], max: usize) -> StoreFuture<'_, Vec<Claimed>> {
        let now = Instant::now();
        let claimed = self.claim_where(names, max, |place| place.is_due(now));
        Box::pin(async move { Ok(claimed) })
    }

    fn end(&self, id: TaskId, attempt: u32, end: End) {
        self.end_one(id, attempt, end);
    }

    fn flush(&self) -> StoreFuture<'_, ()> {
        Box::pin(async { Ok(()) })
    }

    fn changed(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        // It counts from now on, and not from its first poll.
        let changed = self.handle.shared.changed.notified();
        Box::pin(self.wait(changed, Instant::now()))
    }

    fn counts(&self) -> StoreFuture<'_, Vec<Counts>> {
        Box::pin(async move { Ok(self.count()) })
    }

    fn list(&self, state: KeptState, limit: usize) -> StoreFuture<'_, Vec<KeptTask>> {
        Box::pin(async move { Ok(self.list_all(state, limit)) })
    }

    fn retry(&self, id: TaskId) -> StoreFuture<'_, bool> {
        Box::pin(async move { Ok(self.retry_one(id)) })
    }

    fn discard(&self, id: TaskId) -> StoreFuture<'_, bool> {
        Box::pin(async move { Ok(self.discard_one(id)) })
    }
}

impl Drop for Handle {
    /// The holder has died: what it held is queued, with its attempt counted.
    fn drop(&mut self) {
        let mut rows = self.shared.rows();
        for row in rows.by_id.values_mut() {
            if row.place == (Place::Held { by: self.holder }) {
                row.place = Place::queued_in(Duration::ZERO);
            }
        }
        drop(rows);
        self.shared.changed.notify_waiters();
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory")
            .field("holder", &self.handle.holder)
            .finish_non_exhaustive()
    }
}
