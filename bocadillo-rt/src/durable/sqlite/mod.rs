//! Durable tasks in a file: SQLite, for the processes of one machine.
//!
//! Every acknowledged task is on the disk: the database is in WAL mode with `synchronous = FULL`, so
//! each commit is one `fsync`. Concurrent commits share it.

mod owner;
mod rows;
mod store;
mod writer;

pub use self::store::Sqlite;
