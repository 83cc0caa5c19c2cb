//! The tables, and every statement that reads or writes tasks.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, Row, params};

use crate::background::{Claimed, Counts, Due, End, KeptState, KeptTask, NewTask, TaskId};

/// Of the tables below; a database with a greater one was written by a later version.
pub(super) const SCHEMA: i64 = 1;

/// `state`: 0 is queued, 1 held, 2 dead. Times are milliseconds since 1970. The index has queued
/// tasks alone: one that is born held and ends touches nothing but the table.
pub(super) const TABLES: &str = "
CREATE TABLE bocadillo_tasks (
    id BLOB NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    payload BLOB NOT NULL,
    state INTEGER NOT NULL,
    owner INTEGER,
    attempt INTEGER NOT NULL,
    due INTEGER NOT NULL,
    enqueued INTEGER NOT NULL,
    error TEXT
) WITHOUT ROWID;
CREATE INDEX bocadillo_due ON bocadillo_tasks (due) WHERE state = 0;
CREATE TABLE bocadillo_owners (id INTEGER PRIMARY KEY AUTOINCREMENT, lock TEXT NOT NULL UNIQUE);
";

/// Returns the present.
pub(super) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, millis)
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

fn after(now: i64, time: Duration) -> i64 {
    now.saturating_add(millis(time))
}

fn age(now: i64, enqueued: i64) -> Duration {
    Duration::from_millis(u64::try_from(now.saturating_sub(enqueued)).unwrap_or(0))
}

fn state_of(state: KeptState) -> i64 {
    match state {
        KeptState::Queued => 0,
        KeptState::Held => 1,
        KeptState::Dead => 2,
    }
}

/// Inserts a task. One that is there already was put by a commit that nobody waited for.
pub(super) fn insert(database: &Connection, owner: i64, task: &NewTask) -> rusqlite::Result<()> {
    let now = now();
    let (state, owner, attempt, due) = match task.due {
        Due::Held => (KeptState::Held, Some(owner), 1, now),
        Due::After(time) => (KeptState::Queued, None, 0, after(now, time)),
    };
    let mut insert = database.prepare_cached(
        "INSERT INTO bocadillo_tasks (id, name, payload, state, owner, attempt, due, enqueued)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT (id) DO NOTHING",
    )?;
    insert.execute(params![
        task.id.as_bytes(),
        task.name,
        task.payload,
        state_of(state),
        owner,
        attempt,
        due,
        now
    ])?;
    Ok(())
}

/// Holds queued tasks of these names (a JSON array) that are due, and counts their attempts.
pub(super) fn claim(
    database: &Connection,
    owner: i64,
    names: &str,
    max: usize,
) -> rusqlite::Result<Vec<Claimed>> {
    let mut select = database.prepare_cached(
        "SELECT id, name, payload, attempt FROM bocadillo_tasks
         WHERE state = 0 AND due <= ?1 AND name IN (SELECT value FROM json_each(?2))
         ORDER BY due LIMIT ?3",
    )?;
    let max = i64::try_from(max).unwrap_or(i64::MAX);
    let claimed: Vec<_> = select
        .query_map(params![now(), names, max], |row| {
            let attempt = row.get::<_, u32>(3)?.saturating_add(1);
            Ok(Claimed::new(id(row)?, row.get(1)?, row.get(2)?, attempt))
        })?
        .collect::<Result<_, _>>()?;
    let mut hold = database.prepare_cached(
        "UPDATE bocadillo_tasks SET state = 1, owner = ?2, attempt = ?3 WHERE id = ?1",
    )?;
    for task in &claimed {
        hold.execute(params![task.id.as_bytes(), owner, task.attempt])?;
    }
    Ok(claimed)
}

/// Ends an attempt, if this owner holds it.
pub(super) fn end(
    database: &Connection,
    owner: i64,
    id: TaskId,
    attempt: u32,
    end: &End,
) -> rusqlite::Result<()> {
    let now = now();
    let key = (id.as_bytes(), owner, attempt);
    let changed = match end {
        End::Done => database
            .prepare_cached(
                "DELETE FROM bocadillo_tasks
                 WHERE id = ?1 AND owner = ?2 AND attempt = ?3",
            )?
            .execute(key)?,
        End::Retry { after: time, error } => database
            .prepare_cached(
                "UPDATE bocadillo_tasks SET state = 0, owner = NULL, due = ?4, error = ?5
                 WHERE id = ?1 AND owner = ?2 AND attempt = ?3",
            )?
            .execute((key.0, key.1, key.2, after(now, *time), error))?,
        End::Dead { error } => database
            .prepare_cached(
                "UPDATE bocadillo_tasks SET state = 2, owner = NULL, error = ?4
                 WHERE id = ?1 AND owner = ?2 AND attempt = ?3",
            )?
            .execute((key.0, key.1, key.2, error))?,
        End::GiveBack { after: time } => database
            .prepare_cached(
                "UPDATE bocadillo_tasks
                 SET state = 0, owner = NULL, due = ?4, attempt = attempt - 1
                 WHERE id = ?1 AND owner = ?2 AND attempt = ?3",
            )?
            .execute((key.0, key.1, key.2, after(now, *time)))?,
    };
    // What is not there was taken over, and is somebody else's now.
    let _ = changed;
    Ok(())
}

/// Returns when the next queued task is due that is not yet.
pub(super) fn next_due(database: &Connection) -> rusqlite::Result<Option<i64>> {
    let mut select = database
        .prepare_cached("SELECT min(due) FROM bocadillo_tasks WHERE state = 0 AND due > ?1")?;
    select.query_row([now()], |row| row.get(0))
}

pub(super) fn counts(database: &Connection) -> rusqlite::Result<Vec<Counts>> {
    let mut select = database.prepare_cached(
        "SELECT name,
                count(*) FILTER (WHERE state = 0),
                count(*) FILTER (WHERE state = 1),
                count(*) FILTER (WHERE state = 2),
                min(enqueued) FILTER (WHERE state <> 2)
         FROM bocadillo_tasks GROUP BY name ORDER BY name",
    )?;
    let now = now();
    let counts = select.query_map([], |row| {
        let mut counts = Counts::of(row.get::<_, String>(0)?);
        counts.queued = number(row, 1)?;
        counts.held = number(row, 2)?;
        counts.dead = number(row, 3)?;
        let oldest: Option<i64> = row.get(4)?;
        counts.oldest = oldest.map(|enqueued| age(now, enqueued));
        Ok(counts)
    })?;
    counts.collect()
}

pub(super) fn list(
    database: &Connection,
    state: KeptState,
    limit: usize,
) -> rusqlite::Result<Vec<KeptTask>> {
    let mut select = database.prepare_cached(
        "SELECT id, name, payload, attempt, enqueued, error FROM bocadillo_tasks
         WHERE state = ?1 ORDER BY enqueued, id LIMIT ?2",
    )?;
    let (now, limit) = (now(), i64::try_from(limit).unwrap_or(i64::MAX));
    let listed = select.query_map(params![state_of(state), limit], |row| {
        let age = age(now, row.get(4)?);
        let mut task = KeptTask::new(id(row)?, row.get(1)?, row.get(2)?, row.get(3)?, age);
        task.error = row.get(5)?;
        Ok(task)
    })?;
    listed.collect()
}

pub(super) fn retry(database: &Connection, id: TaskId) -> rusqlite::Result<bool> {
    let changed = database.execute(
        "UPDATE bocadillo_tasks SET state = 0, due = ?2, attempt = 0 WHERE id = ?1 AND state <> 1",
        params![id.as_bytes(), now()],
    )?;
    Ok(changed > 0)
}

pub(super) fn discard(database: &Connection, id: TaskId) -> rusqlite::Result<bool> {
    let changed = database.execute(
        "DELETE FROM bocadillo_tasks WHERE id = ?1 AND state <> 1",
        params![id.as_bytes()],
    )?;
    Ok(changed > 0)
}

fn number(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    row.get(column)
        .map(|count: i64| u64::try_from(count).unwrap_or(0))
}

fn id(row: &Row<'_>) -> rusqlite::Result<TaskId> {
    row.get(0).map(TaskId::from_bytes)
}
