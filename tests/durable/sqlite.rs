//! What only a database can do.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use bocadillo::{
    durable::{
        Due, NewTask, Sqlite, Store as _,
        rusqlite::{Connection, TransactionBehavior},
    },
    task,
};
use tempfile::TempDir;

use crate::support::soon;

struct Database {
    _folder: TempDir,
    path: PathBuf,
}

impl Database {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("tasks.db");
        Self {
            _folder: folder,
            path,
        }
    }

    fn store(&self) -> Sqlite {
        Sqlite::open(&self.path).expect("a database")
    }

    fn connection(&self) -> Connection {
        Connection::open(&self.path).expect("a database")
    }
}

fn task(number: u32) -> NewTask {
    NewTask::new("one", number.to_string().into_bytes(), Due::Held)
}

#[tokio::test]
async fn a_put_waits_for_a_lock_of_somebody_else() {
    let database = Database::new();
    let store = database.store();
    let lock = database.connection();
    lock.execute_batch("BEGIN IMMEDIATE").expect("the lock");
    let putting = tokio::spawn(async move { (store.put(vec![task(1)]).await, store) });
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(!putting.is_finished());
    lock.execute_batch("COMMIT").expect("the end of the lock");
    let (put, store) = soon("the commit", putting).await.expect("no panic");
    put.expect("it is committed");
    assert_eq!(store.counts().await.expect("counts")[0].held, 1);
}

#[tokio::test]
async fn a_put_gives_up_after_ten_seconds_and_leaves_nothing() {
    let database = Database::new();
    let store = database.store();
    let lock = database.connection();
    lock.execute_batch("BEGIN IMMEDIATE").expect("the lock");
    let begun = Instant::now();
    let error = soon("the error", store.put(vec![task(1)])).await;
    let error = error.expect_err("it is locked");
    assert!(!error.is_fault());
    let took = begun.elapsed();
    assert!(took >= Duration::from_secs(9), "{took:?}");
    assert!(took < Duration::from_secs(15), "{took:?}");
    lock.execute_batch("COMMIT").expect("the end of the lock");
    assert_eq!(store.counts().await.expect("counts"), []);
}

#[tokio::test]
async fn a_put_that_nobody_waits_for_is_left_out() {
    let database = Database::new();
    let store = database.store();
    let lock = database.connection();
    lock.execute_batch("BEGIN IMMEDIATE").expect("the lock");
    drop(store.put(vec![task(1)]));
    lock.execute_batch("COMMIT").expect("the end of the lock");
    assert_eq!(store.counts().await.expect("counts"), []);
}

#[tokio::test]
async fn concurrent_puts_share_commits() {
    let database = Database::new();
    let store = database.store();
    let watching = database.connection();
    let lock = database.connection();
    let version = || -> i64 {
        let version = watching.query_row("PRAGMA data_version", [], |row| row.get(0));
        version.expect("a number")
    };
    // While the lock is held, all of them gather.
    lock.execute_batch("BEGIN IMMEDIATE").expect("the lock");
    let puts: Vec<_> = (0..256)
        .map(|number| store.put(vec![task(number)]))
        .collect();
    let before = version();
    lock.execute_batch("COMMIT").expect("the end of the lock");
    for put in puts {
        soon("a commit", put).await.expect("it is committed");
    }
    let commits = version() - before;
    assert_eq!(store.counts().await.expect("counts")[0].held, 256);
    assert!(commits <= 2, "{commits} commits");
}

#[task(name = "sqlite.confirm")]
async fn confirm(order: i64) {
    println!("order {order}");
}

#[tokio::test]
async fn enqueued_in_the_users_own_transaction() {
    let database = Database::new();
    let store = database.store();
    let mut connection = database.connection();
    let tables = "CREATE TABLE orders (id INTEGER PRIMARY KEY)";
    connection.execute_batch(tables).expect("a table");
    for is_committed in [false, true] {
        let immediate = TransactionBehavior::Immediate;
        let transaction = connection.transaction_with_behavior(immediate);
        let transaction = transaction.expect("a transaction");
        let order = transaction.execute("INSERT INTO orders (id) VALUES (7)", []);
        order.expect("an order");
        Sqlite::enqueue_in(&transaction, confirm(7)).expect("a task");
        if is_committed {
            transaction.commit().expect("it is committed");
        }
    }
    let claimed = store.claim(&["sqlite.confirm"], 10).await.expect("a claim");
    assert_eq!(claimed.len(), 1);
}

#[tokio::test]
async fn what_another_process_enqueues_is_noticed() {
    let database = Database::new();
    let (one, other) = (database.store(), database.store());
    let claimed = async {
        loop {
            let changed = one.changed();
            let claimed = one.claim(&["sqlite.confirm"], 10).await.expect("a claim");
            if !claimed.is_empty() {
                return claimed.len();
            }
            changed.await;
        }
    };
    let (claimed, enqueued) = tokio::join!(soon("the task", claimed), confirm(7).enqueue(&other));
    enqueued.expect("it is committed");
    assert_eq!(claimed, 1);
}

#[test]
fn a_later_version_of_the_tables_is_refused() {
    let database = Database::new();
    let connection = database.connection();
    connection
        .execute_batch("PRAGMA user_version = 2")
        .expect("a version");
    let error = Sqlite::open(&database.path).expect_err("it is newer");
    let cause = std::error::Error::source(&error).expect("a cause");
    assert_eq!(cause.to_string(), "its tables have version 2, and not 1");
}

#[test]
fn what_is_no_database_is_refused() {
    let database = Database::new();
    std::fs::write(&database.path, "x".repeat(10_000)).expect("a file");
    let error = Sqlite::open(&database.path).expect_err("it is no database");
    assert!(error.to_string().starts_with("cannot open "), "{error}");
}
