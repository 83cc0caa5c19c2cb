//! The one thread that writes to a database, and its group commit.
//!
//! Callers send operations. The thread takes all that wait, applies them in one transaction, and
//! answers after the commit: while one commit waits for the disk, the next batch gathers. Nobody
//! waits for a batch to fill.
//!
//! The transaction is immediate: a deferred one that reads first and writes then fails at once where
//! another process writes, whatever the busy timeout is. While another process holds the lock, the
//! thread tries again and takes operations that have come meanwhile. One whose time is over is
//! answered by an error, and was not applied. Ends of attempts have no such time: nobody waits for
//! them, so they are tried until they are written.

use std::{
    mem,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering::Relaxed},
        mpsc::{Receiver, RecvTimeoutError, TryRecvError},
    },
    time::{Duration, Instant},
};

use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::{Notify, oneshot};

use super::{owner::Owner, rows};
use crate::{
    background::{Claimed, Due, End, NewTask, StoreError, TaskId},
    guard::log,
};

/// So many operations are committed together at most: a commit is not to last for ever.
const BATCH: usize = 4096;

/// How long an operation may wait for the database.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// How long SQLite waits for the lock, before the thread looks at what has come meanwhile.
pub(super) const BUSY: Duration = Duration::from_millis(100);

/// How long after a commit that failed the next one is tried, where nobody waits for it.
const AFTER_ERROR: Duration = Duration::from_millis(100);

/// How often the owners are looked at.
const RECOVERY: Duration = Duration::from_millis(200);

/// What is asked of the thread.
pub(super) enum Op {
    Asked {
        ask: Ask,
        until: Instant,
    },
    /// Nobody waits for it.
    End {
        id: TaskId,
        attempt: u32,
        end: End,
    },
}

/// What somebody waits for.
pub(super) enum Ask {
    Put(Vec<NewTask>, Reply<()>),
    Claim {
        /// A JSON array.
        names: String,
        max: usize,
        reply: Reply<Vec<Claimed>>,
    },
    /// Everything before it is to be written.
    Flush(Reply<()>),
    Do(Box<dyn Work>),
}

pub(super) type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

/// Another operation, with its answer.
pub(super) trait Work: Send {
    fn apply(&mut self, database: &Connection) -> rusqlite::Result<()>;

    /// Tells what came of it.
    fn answer(self: Box<Self>, error: Option<StoreError>);
}

/// What callers wait for.
#[derive(Debug)]
pub(super) struct Changes {
    /// Told when something was queued.
    pub(super) queued: Notify,
    /// When the next task is due, in milliseconds since 1970.
    pub(super) next_due: AtomicI64,
}

impl Default for Changes {
    fn default() -> Self {
        Self {
            queued: Notify::new(),
            next_due: AtomicI64::new(i64::MAX),
        }
    }
}

/// The thread's own state.
pub(super) struct Writer {
    database: Connection,
    owner: Owner,
    ops: Receiver<Op>,
    changes: Arc<Changes>,
    pending: Vec<Op>,
    recovered_at: Option<Instant>,
    is_open: bool,
}

/// What one transaction has done, to be told after its commit.
#[derive(Default)]
struct Done {
    claims: Vec<Vec<Claimed>>,
    has_queued: bool,
}

impl Writer {
    pub(super) fn new(
        database: Connection,
        owner: Owner,
        ops: Receiver<Op>,
        changes: Arc<Changes>,
    ) -> Self {
        Self {
            database,
            owner,
            ops,
            changes,
            pending: Vec::new(),
            recovered_at: None,
            is_open: true,
        }
    }

    /// Writes until every handle is dropped and everything is written, or cannot be.
    pub(super) fn run(mut self) {
        while self.gather() {
            match self.commit() {
                Ok(done) => self.answer(done),
                Err(error) => self.fail(error),
            }
        }
        if let Err(error) = self.close() {
            // The next process finds the lock file unlocked.
            log(|| tracing::warn!(%error, "store of durable tasks was not closed"));
        }
    }

    /// Takes what waits, or waits for something; returns `false` in the end.
    fn gather(&mut self) -> bool {
        if self.pending.is_empty() && self.is_open {
            match self.ops.recv() {
                Ok(op) => self.pending.push(op),
                Err(_) => self.is_open = false,
            }
        }
        while self.is_open && self.pending.len() < BATCH {
            match self.ops.try_recv() {
                Ok(op) => self.pending.push(op),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => self.is_open = false,
            }
        }
        !self.pending.is_empty()
    }

    /// Applies everything that is pending in one transaction.
    fn commit(&mut self) -> rusqlite::Result<Done> {
        // Nobody wants what nobody waits for.
        self.pending.retain(|op| !op.is_dropped());
        let immediate = TransactionBehavior::Immediate;
        let transaction = self.database.transaction_with_behavior(immediate)?;
        let mut done = Done::default();
        for op in &mut self.pending {
            match op {
                Op::End { id, attempt, end } => {
                    rows::end(&transaction, self.owner.id, *id, *attempt, end)?;
                    done.has_queued |= matches!(end, End::Retry { .. } | End::GiveBack { .. });
                }
                Op::Asked { ask, .. } => match ask {
                    Ask::Put(tasks, _) => {
                        for task in tasks.iter() {
                            rows::insert(&transaction, self.owner.id, task)?;
                            done.has_queued |= task.due != Due::Held;
                        }
                    }
                    Ask::Claim { names, max, .. } => {
                        let is_time = self.recovered_at.is_none_or(|at| at.elapsed() >= RECOVERY);
                        if is_time {
                            self.owner.recover(&transaction, rows::now())?;
                            self.recovered_at = Some(Instant::now());
                        }
                        let claimed = rows::claim(&transaction, self.owner.id, names, *max)?;
                        done.claims.push(claimed);
                    }
                    Ask::Flush(_) => {}
                    Ask::Do(work) => {
                        work.apply(&transaction)?;
                        done.has_queued = true;
                    }
                },
            }
        }
        if done.has_queued || !done.claims.is_empty() {
            let next = rows::next_due(&transaction)?.unwrap_or(i64::MAX);
            self.changes.next_due.store(next, Relaxed);
        }
        transaction.commit()?;
        Ok(done)
    }

    /// Tells everybody: it is committed.
    fn answer(&mut self, done: Done) {
        let mut claims = done.claims.into_iter();
        for op in mem::take(&mut self.pending) {
            let Op::Asked { ask, .. } = op else {
                continue;
            };
            match ask {
                Ask::Put(_, reply) | Ask::Flush(reply) => drop(reply.send(Ok(()))),
                Ask::Claim { reply, .. } => {
                    let claimed = claims.next().unwrap_or_default();
                    if let Err(Ok(unwanted)) = reply.send(Ok(claimed)) {
                        self.pending.extend(unwanted.iter().map(give_back));
                    }
                }
                Ask::Do(work) => work.answer(None),
            }
        }
        if done.has_queued {
            self.changes.queued.notify_waiters();
        }
    }

    /// Nothing was applied. A database that is only locked is tried again, until the time of an
    /// operation is over; every other error is that of all who wait.
    fn fail(&mut self, error: rusqlite::Error) {
        let is_busy = is_busy(&error);
        let error = Arc::new(error);
        let now = Instant::now();
        let asked = mem::take(&mut self.pending);
        for op in asked {
            match op {
                Op::Asked { ask, until } if !is_busy || until <= now => {
                    ask.fail(StoreError::with(
                        "the database cannot be written",
                        Arc::clone(&error),
                    ));
                }
                op => self.pending.push(op),
            }
        }
        if !is_busy && !self.pending.is_empty() {
            log(
                || tracing::error!(%error, "ends of durable tasks cannot be written; trying again"),
            );
            self.wait_for_more();
        }
    }

    /// Only ends are left, for which nobody waits.
    fn wait_for_more(&mut self) {
        match self.ops.recv_timeout(AFTER_ERROR) {
            Ok(op) => self.pending.push(op),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                // The process ends: somebody else runs them again.
                self.is_open = false;
                self.pending.clear();
            }
        }
    }

    fn close(&mut self) -> rusqlite::Result<()> {
        let immediate = TransactionBehavior::Immediate;
        let transaction = self.database.transaction_with_behavior(immediate)?;
        self.owner.unregister(&transaction, rows::now())?;
        transaction.commit()?;
        self.owner.remove_lock();
        Ok(())
    }
}

fn give_back(claimed: &Claimed) -> Op {
    Op::End {
        id: claimed.id,
        attempt: claimed.attempt,
        end: End::GiveBack {
            after: Duration::ZERO,
        },
    }
}

impl Op {
    fn is_dropped(&self) -> bool {
        match self {
            Self::Asked { ask, .. } => match ask {
                Ask::Put(_, reply) => reply.is_closed(),
                Ask::Claim { reply, .. } => reply.is_closed(),
                Ask::Flush(_) | Ask::Do(_) => false,
            },
            Self::End { .. } => false,
        }
    }
}

impl Ask {
    fn fail(self, error: StoreError) {
        match self {
            Self::Put(_, reply) | Self::Flush(reply) => drop(reply.send(Err(error))),
            Self::Claim { reply, .. } => drop(reply.send(Err(error))),
            Self::Do(work) => work.answer(Some(error)),
        }
    }
}

fn is_busy(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{DatabaseBusy, DatabaseLocked};
    matches!(
        error.sqlite_error_code(),
        Some(DatabaseBusy | DatabaseLocked)
    )
}
