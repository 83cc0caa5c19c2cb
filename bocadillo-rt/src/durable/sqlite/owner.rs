//! Who holds tasks in a file, and the proof that a holder has died.
//!
//! Each holder has a row, and a lock file beside the database. The kernel releases the lock when the
//! process ends, however it ends: whoever can lock the file knows that its owner is dead. A file is
//! made, locked, looked at and removed within a write transaction of the database alone, so no two
//! processes do that at a time.

use std::{
    fs::{self, File, OpenOptions},
    io,
    path::{Path, PathBuf},
};

use fs4::{FileExt, TryLockError};
use rusqlite::{Connection, OptionalExtension as _, params};

use crate::background::TaskId;

/// This process, as an owner of rows.
#[derive(Debug)]
pub(super) struct Owner {
    /// In the column `owner` of the tasks.
    pub(super) id: i64,
    locks: Locks,
    lock: PathBuf,
    /// Locked as long as it is open.
    _file: File,
}

/// The lock files beside a database.
#[derive(Clone, Debug)]
pub(super) struct Locks {
    folder: PathBuf,
    /// What their names begin with.
    prefix: String,
}

impl Locks {
    pub(super) fn beside(database: &Path) -> Self {
        let folder = match database.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
            _ => PathBuf::from("."),
        };
        let name = database.file_name().unwrap_or_default();
        Self {
            folder,
            prefix: format!("{}-owner-", name.to_string_lossy()),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{}{name}", self.prefix))
    }

    /// Returns the names of the files that are there.
    fn names(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let name = entry?.file_name();
            let name = name.to_str().and_then(|it| it.strip_prefix(&self.prefix));
            names.extend(name.map(str::to_owned));
        }
        Ok(names)
    }

    /// Returns whether the owner of a lock file has died.
    fn is_dead(&self, name: &str) -> io::Result<bool> {
        let file = match OpenOptions::new().write(true).open(self.path(name)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
            Err(error) => return Err(error),
        };
        // Not by a method: from Rust 1.89 on, `std` has one of this name.
        match FileExt::try_lock(&file) {
            Ok(()) => Ok(true),
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    fn remove(&self, name: &str) {
        // One that stays is swept by the next process.
        let _ = fs::remove_file(self.path(name));
    }
}

impl Owner {
    /// Makes this process an owner. The caller has begun a write transaction.
    pub(super) fn register(database: &Connection, locks: Locks) -> Result<Self, crate::BoxError> {
        sweep(database, &locks)?;
        let name = TaskId::new().to_string();
        let lock = locks.path(&name);
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&lock)?;
        FileExt::try_lock(&file)?;
        database.execute(
            "INSERT INTO bocadillo_owners (lock) VALUES (?1)",
            params![name],
        )?;
        Ok(Self {
            id: database.last_insert_rowid(),
            locks,
            lock,
            _file: file,
        })
    }

    /// Queues the tasks of owners that have died; returns whether there were such owners. The caller
    /// has begun a write transaction.
    pub(super) fn recover(&self, database: &Connection, now: i64) -> rusqlite::Result<bool> {
        let mut others =
            database.prepare_cached("SELECT id, lock FROM bocadillo_owners WHERE id <> ?1")?;
        let others: Vec<(i64, String)> = others
            .query_map(params![self.id], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<Result<_, _>>()?;
        let mut have_died = false;
        for (id, name) in others {
            match self.locks.is_dead(&name) {
                Ok(false) => continue,
                Ok(true) => {}
                Err(error) => {
                    tracing::warn!(%error, name, "lock file of another process cannot be looked at");
                    continue;
                }
            }
            have_died = true;
            release(database, id, now)?;
            self.locks.remove(&name);
        }
        Ok(have_died)
    }

    /// Gives back what this owner holds: it ends. The caller has begun a write transaction.
    pub(super) fn unregister(&self, database: &Connection, now: i64) -> rusqlite::Result<()> {
        release(database, self.id, now)
    }

    /// Removes the lock file, once nobody can look for it any more.
    pub(super) fn remove_lock(&self) {
        let _ = fs::remove_file(&self.lock);
    }
}

/// Queues the tasks of an owner, and forgets it.
fn release(database: &Connection, owner: i64, now: i64) -> rusqlite::Result<()> {
    database.execute(
        "UPDATE bocadillo_tasks SET state = 0, owner = NULL, due = ?2 WHERE owner = ?1",
        params![owner, now],
    )?;
    database.execute("DELETE FROM bocadillo_owners WHERE id = ?1", params![owner])?;
    Ok(())
}

/// Removes lock files that no row knows: of processes that died while they opened the database, or
/// of a database that is gone.
fn sweep(database: &Connection, locks: &Locks) -> Result<(), crate::BoxError> {
    let mut known = database.prepare("SELECT 1 FROM bocadillo_owners WHERE lock = ?1")?;
    for name in locks.names()? {
        let is_known: Option<i64> = known.query_row([&name], |row| row.get(0)).optional()?;
        if is_known.is_none() && locks.is_dead(&name)? {
            locks.remove(&name);
        }
    }
    Ok(())
}
