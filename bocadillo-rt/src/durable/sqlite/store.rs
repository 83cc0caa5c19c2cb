//! A store in a SQLite file.

use std::{
    fmt,
    path::{Path, PathBuf},
    pin::Pin,
    sync::{Arc, atomic::Ordering::Relaxed, mpsc},
    thread,
    time::{Duration, Instant},
};

use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::oneshot;

use super::{
    owner::{Locks, Owner},
    rows,
    writer::{self, Ask, Changes, Op, PATIENCE, Reply, Work, Writer},
};
use crate::{
    background::{
        Claimed, Counts, End, KeptState, KeptTask, NewTask, Store, StoreError, StoreFuture, TaskId,
    },
    durable::call::Call,
    error::BoxError,
};

/// How often the database is looked at, for what other processes have put there or left behind.
const POLL: Duration = Duration::from_millis(500);

/// A store in a SQLite file, which all processes of one machine may share.
///
/// The file must be on a local disk: locks on network file systems are no proof of anything. Beside
/// it are the files that SQLite itself makes (`-wal`, `-shm`), and one lock file for each process
/// that has it open (`-owner-…`), by which the others notice its death at once.
///
/// A cheap handle: clones share one connection and its thread.
///
/// # Examples
///
/// ```
/// use bocadillo::{Runner, durable::Sqlite};
///
/// # fn main() -> bocadillo::Result<()> {
/// # let folder = std::env::temp_dir().join(format!("bocadillo-doc-{}", std::process::id()));
/// # std::fs::create_dir_all(&folder)?;
/// # let path = folder.join("tasks.db");
/// let runner = Runner::builder().store(Sqlite::open(path)?).build();
/// # drop(runner);
/// # std::fs::remove_dir_all(&folder)?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Sqlite {
    ops: mpsc::Sender<Op>,
    changes: Arc<Changes>,
    path: Arc<Path>,
}

impl Sqlite {
    /// Opens a database, and makes it if there is none.
    ///
    /// It waits for the disk: call it before the server starts.
    ///
    /// # Errors
    ///
    /// Fails if the file cannot be opened or locked, is no database, or was written by a later
    /// version.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        let path = path.as_ref();
        let opened = open(path)
            .map_err(|error| StoreError::with(format!("cannot open {}", path.display()), error));
        let (database, owner) = opened?;
        let (ops, receiver) = mpsc::channel();
        let changes = Arc::<Changes>::default();
        let writer = Writer::new(database, owner, receiver, Arc::clone(&changes));
        let thread = thread::Builder::new().name("bocadillo-sqlite".to_owned());
        let thread = thread.spawn(move || writer.run());
        thread.map_err(|error| StoreError::with("cannot start the thread of a store", error))?;
        Ok(Self {
            ops,
            changes,
            path: path.into(),
        })
    }

    /// Enqueues a task within a transaction on the same file: it exists if that is committed, and
    /// only then. Its `rusqlite` must be the one that this crate uses.
    ///
    /// The transaction must be [immediate](rusqlite::TransactionBehavior::Immediate); keep it short,
    /// since every response with a durable task waits for it. A process that has the file open as a
    /// store runs the task within half a second.
    ///
    /// # Errors
    ///
    /// Fails if the task's arguments cannot be written, or the database refuses them.
    ///
    /// # Examples
    ///
    /// ```
    /// use bocadillo::{durable::{Sqlite, rusqlite::{Connection, TransactionBehavior}}, task};
    ///
    /// #[task]
    /// async fn confirm(order: i64) {
    ///     println!("order {order}");
    /// }
    ///
    /// # fn main() -> bocadillo::Result<()> {
    /// # let folder = std::env::temp_dir().join(format!("bocadillo-doc-tx-{}", std::process::id()));
    /// # std::fs::create_dir_all(&folder)?;
    /// # let path = folder.join("tasks.db");
    /// let store = Sqlite::open(&path)?;
    /// let mut database = Connection::open(&path)?;
    /// database.execute_batch("CREATE TABLE orders (id INTEGER PRIMARY KEY)")?;
    ///
    /// let transaction = database.transaction_with_behavior(TransactionBehavior::Immediate)?;
    /// transaction.execute("INSERT INTO orders (id) VALUES (7)", [])?;
    /// Sqlite::enqueue_in(&transaction, confirm(7))?;
    /// transaction.commit()?;
    /// # drop(store);
    /// # std::fs::remove_dir_all(&folder)?;
    /// # Ok(()) }
    /// ```
    pub fn enqueue_in(
        transaction: &rusqlite::Transaction<'_>,
        call: Call,
    ) -> Result<TaskId, StoreError> {
        let task = call.into_queued()?;
        // It is queued: it has no owner.
        rows::insert(transaction, 0, &task)
            .map_err(|error| StoreError::with("the database cannot be written", error))?;
        Ok(task.id)
    }

    /// Asks the thread, and waits for its answer.
    fn ask<T: Send + 'static>(&self, ask: impl FnOnce(Reply<T>) -> Ask) -> StoreFuture<'static, T> {
        let (reply, answer) = oneshot::channel();
        let until = Instant::now() + PATIENCE;
        let ask = ask(reply);
        let sent = self.ops.send(Op::Asked { ask, until });
        Box::pin(async move {
            let gone = || StoreError::new("the thread of the store has ended");
            sent.map_err(|_| gone())?;
            answer.await.map_err(|_| gone())?
        })
    }

    fn ask_for<T, F>(&self, query: F) -> StoreFuture<'static, T>
    where
        T: Send + 'static,
        F: FnMut(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        self.ask(|reply| {
            Ask::Do(Box::new(Query {
                query,
                result: None,
                reply,
            }))
        })
    }
}

/// A question, and who asks it.
struct Query<T, F> {
    query: F,
    result: Option<T>,
    reply: Reply<T>,
}

impl<T, F> Work for Query<T, F>
where
    T: Send,
    F: FnMut(&Connection) -> rusqlite::Result<T> + Send,
{
    fn apply(&mut self, database: &Connection) -> rusqlite::Result<()> {
        self.result = Some((self.query)(database)?);
        Ok(())
    }

    fn answer(self: Box<Self>, error: Option<StoreError>) {
        let answer = match (error, self.result) {
            (None, Some(result)) => Ok(result),
            (Some(error), _) => Err(error),
            (None, None) => Err(StoreError::new("the question was not asked")),
        };
        let _ = self.reply.send(answer);
    }
}

fn open(path: &Path) -> Result<(Connection, Owner), BoxError> {
    let mut database = Connection::open(path)?;
    // Several processes may open it at a time.
    database.busy_timeout(PATIENCE)?;
    database.pragma_update(None, "journal_mode", "WAL")?;
    database.pragma_update(None, "synchronous", "FULL")?;
    let transaction = database.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let schema: i64 = transaction.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    match schema {
        0 => {
            transaction.execute_batch(rows::TABLES)?;
            transaction.pragma_update(None, "user_version", rows::SCHEMA)?;
        }
        rows::SCHEMA => {}
        other => return Err(format!("its tables have version {other}, and not 1").into()),
    }
    let owner = Owner::register(&transaction, Locks::beside(path))?;
    owner.recover(&transaction, rows::now())?;
    transaction.commit()?;
    database.busy_timeout(writer::BUSY)?;
    Ok((database, owner))
}

impl Store for Sqlite {
    fn put(&self, tasks: Vec<NewTask>) -> StoreFuture<'_, ()> {
        self.ask(|reply| Ask::Put(tasks, reply))
    }

    fn claim(&self, names: &[&str], max: usize) -> StoreFuture<'_, Vec<Claimed>> {
        let names = serde_json::json!(names).to_string();
        self.ask(|reply| Ask::Claim { names, max, reply })
    }

    fn end(&self, id: TaskId, attempt: u32, end: End) {
        // Without the thread the process ends, and somebody else runs it again.
        let _ = self.ops.send(Op::End { id, attempt, end });
    }

    fn flush(&self) -> StoreFuture<'_, ()> {
        self.ask(Ask::Flush)
    }

    fn changed(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        // It counts from now on, and not from its first poll.
        let queued = self.changes.queued.notified();
        Box::pin(async move {
            let next = self.changes.next_due.load(Relaxed);
            let until_next = u64::try_from(next.saturating_sub(rows::now())).unwrap_or(0);
            tokio::select! {
                () = queued => {}
                () = tokio::time::sleep(POLL.min(Duration::from_millis(until_next))) => {}
            }
        })
    }

    fn counts(&self) -> StoreFuture<'_, Vec<Counts>> {
        self.ask_for(rows::counts)
    }

    fn list(&self, state: KeptState, limit: usize) -> StoreFuture<'_, Vec<KeptTask>> {
        self.ask_for(move |database| rows::list(database, state, limit))
    }

    fn retry(&self, id: TaskId) -> StoreFuture<'_, bool> {
        self.ask_for(move |database| rows::retry(database, id))
    }

    fn discard(&self, id: TaskId) -> StoreFuture<'_, bool> {
        self.ask_for(move |database| rows::discard(database, id))
    }
}

impl fmt::Debug for Sqlite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path: PathBuf = self.path.to_path_buf();
        f.debug_struct("Sqlite")
            .field("path", &path)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_commit_is_synced() {
        let folder = std::env::temp_dir().join(format!("bocadillo-{}", TaskId::new()));
        std::fs::create_dir(&folder).expect("it is right");
        let (database, owner) = open(&folder.join("tasks.db")).expect("it is right");
        let pragma = |name: &str| -> String {
            let text = format!("SELECT CAST({name} AS TEXT) FROM pragma_{name}");
            database
                .query_row(&text, [], |row| row.get(0))
                .expect("it is right")
        };
        assert_eq!(pragma("journal_mode"), "wal");
        // FULL.
        assert_eq!(pragma("synchronous"), "2");
        drop((database, owner));
        std::fs::remove_dir_all(&folder).expect("it is right");
    }
}
