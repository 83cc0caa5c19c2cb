//! Claims what the store has for this process, and gives it to the runner.

use std::{collections::HashSet, error::Error as _, sync::Arc, time::Duration};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinHandle,
    time::{Instant, sleep},
};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::{
    background::{self, Claimed, Due, End, Entry, NewTask, Runner, Store, Task, Work},
    durable::{
        definition::{Definition, Registry},
        envelope::Args,
    },
    error::Result,
    guard::log,
};

/// As many are claimed at a time.
const BATCH: usize = 128;

/// How long the store is left alone after an error.
const AFTER_ERROR: Duration = Duration::from_secs(1);

/// How long a task that cannot be read here is left to other processes, which may be newer.
const UNREADABLE: Duration = Duration::from_secs(60);

/// How often tasks of unknown names are looked for.
const UNKNOWN: Duration = Duration::from_secs(10);

/// A running loop that claims tasks: of dead processes, delayed ones, retries, and those enqueued
/// elsewhere.
///
/// Dropped, it claims no more; what it has claimed runs.
#[derive(Debug)]
pub(crate) struct Keeper {
    stop: DropGuard,
    task: JoinHandle<()>,
}

impl Keeper {
    /// Starts to claim, if the runner has a store.
    ///
    /// # Errors
    ///
    /// Fails if two tasks of the program have one name.
    pub(crate) fn start(runner: &Runner) -> Result<Option<Self>> {
        let registry = Registry::get()?;
        let Some(store) = runner.store().cloned() else {
            return Ok(None);
        };
        let stop = CancellationToken::new();
        let claims = Claims {
            names: registry.names(),
            permits: Arc::new(Semaphore::new(runner.max_running().min(BATCH * 8))),
            runner: runner.clone(),
            registry,
            store,
            warned: HashSet::new(),
            looked_at: None,
        };
        let task = tokio::spawn(claims.run(stop.clone()));
        let stop = stop.drop_guard();
        Ok(Some(Self { stop, task }))
    }

    /// Ends the claiming, and waits until what was claimed is with the runner.
    pub(crate) async fn stop(self) {
        drop(self.stop);
        if let Err(error) = self.task.await {
            log(|| tracing::error!(%error, "claiming of durable tasks has failed"));
        }
    }
}

struct Claims {
    runner: Runner,
    registry: &'static Registry,
    names: Vec<&'static str>,
    store: Arc<dyn Store>,
    /// Of the claimed tasks that have not ended.
    permits: Arc<Semaphore>,
    warned: HashSet<String>,
    looked_at: Option<Instant>,
}

impl Claims {
    async fn run(mut self, stop: CancellationToken) {
        // A claim is never dropped: it would have to be undone.
        while !stop.is_cancelled() {
            let store = Arc::clone(&self.store);
            let changed = store.changed();
            let is_empty = self.claim(&stop).await;
            self.look_for_unknown().await;
            if is_empty {
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = changed => {}
                    // For a look at what nobody here knows.
                    () = sleep(UNKNOWN) => {}
                }
            }
        }
    }

    /// Claims what there is room for; returns whether there may be no more.
    async fn claim(&mut self, stop: &CancellationToken) -> bool {
        let Some(first) = self.permit(stop).await else {
            return true;
        };
        let mut permits = vec![first];
        while permits.len() < BATCH {
            let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() else {
                break;
            };
            permits.push(permit);
        }
        match self.store.claim(&self.names, permits.len()).await {
            Ok(claimed) => {
                let is_empty = claimed.len() < permits.len();
                for (claimed, permit) in claimed.into_iter().zip(permits) {
                    self.start(claimed, permit);
                }
                is_empty
            }
            Err(error) => {
                log(|| tracing::error!(%error, cause = ?error, "durable tasks cannot be claimed"));
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = sleep(AFTER_ERROR) => {}
                }
                false
            }
        }
    }

    async fn permit(&self, stop: &CancellationToken) -> Option<OwnedSemaphorePermit> {
        tokio::select! {
            () = stop.cancelled() => None,
            permit = Arc::clone(&self.permits).acquire_owned() => permit.ok(),
        }
    }

    fn start(&self, claimed: Claimed, permit: OwnedSemaphorePermit) {
        let begun = Begun::of(claimed, self.registry, &self.store);
        if let Some(mut begun) = begun {
            begun.work = with_permit(begun.work, permit);
            begun.start(&self.store, &self.runner);
        }
    }

    /// Warns once of each name that waits here and that this program does not have.
    async fn look_for_unknown(&mut self) {
        if self.looked_at.is_some_and(|at| at.elapsed() < UNKNOWN) {
            return;
        }
        self.looked_at = Some(Instant::now());
        // An error is told by the claims.
        for counts in self.store.counts().await.unwrap_or_default() {
            let is_known = self.registry.find(&counts.name).is_some();
            if !is_known && counts.queued > 0 && self.warned.insert(counts.name.clone()) {
                let (task, queued) = (&*counts.name, counts.queued);
                log(|| {
                    tracing::warn!(
                        task,
                        queued,
                        "durable tasks of an unknown name stay queued; \
                         if the task was renamed, give it `aliases = [\"…\"]`"
                    );
                });
            }
        }
    }
}

fn with_permit(work: Work, permit: OwnedSemaphorePermit) -> Work {
    Box::pin(async move {
        let _permit = permit;
        work.await
    })
}

/// A claimed task that can run here.
pub(crate) struct Begun {
    claimed: Claimed,
    definition: &'static Definition,
    work: Work,
}

impl Begun {
    /// Reads a claimed task. One that has no attempt left, or cannot be read here, is told to the
    /// store.
    pub(crate) fn of(
        claimed: Claimed,
        registry: &Registry,
        store: &Arc<dyn Store>,
    ) -> Option<Self> {
        let (id, attempt) = (claimed.id, claimed.attempt);
        let Some(definition) = registry.find(&claimed.name) else {
            // Not asked for: the store is wrong.
            store.end(id, attempt, End::GiveBack { after: UNREADABLE });
            return None;
        };
        // Before it runs: the process died in the attempt before.
        if attempt > definition.policy.attempts {
            let error = "its process died in its last attempt".to_owned();
            background::dead(&claimed.name, id, definition.policy.attempts, &error);
            store.end(id, attempt, End::Dead { error });
            return None;
        }
        match Args::open(&claimed.payload).and_then(|args| definition.begin(args)) {
            Ok(work) => Some(Self {
                claimed,
                definition,
                work,
            }),
            Err(error) => {
                let task = definition.name;
                log(|| {
                    let cause = error.source().map(ToString::to_string);
                    tracing::error!(task, %id, %error, cause, "durable task cannot be read; it stays queued");
                });
                store.end(id, attempt, End::GiveBack { after: UNREADABLE });
                None
            }
        }
    }

    /// Gives the task to the runner.
    pub(crate) fn start(self, store: &Arc<dyn Store>, runner: &Runner) {
        let Self {
            claimed,
            definition,
            work,
        } = self;
        let (id, attempt) = (claimed.id, claimed.attempt);
        let task = NewTask {
            id,
            ..NewTask::new(definition.name, claimed.payload, Due::Held)
        };
        let entry = Entry::held(task, Arc::clone(store), runner.clone(), attempt);
        let task = Task::durable(entry, definition.policy, work, definition.location);
        runner.start_claimed(match definition.timeout {
            Some(timeout) => task.timeout(timeout),
            None => task,
        });
    }
}
