//! Runs what a store in memory has, to its end.

use std::{
    mem,
    sync::{Arc, Mutex, PoisonError},
};

use crate::{
    background::{Builder, Report, Runner, Store},
    durable::{Begun, Memory, Registry},
};

impl Memory {
    /// Runs every task of this program that is queued, on the runtime of the test, until there is
    /// none: those that they enqueue too, and their retries. Delays are not waited for. Returns a
    /// report for each attempt, in the order of their ends.
    ///
    /// Tasks that are held are not queued: those of a response run by
    /// [`tasks`](crate::testing::TestResponse::tasks).
    ///
    /// # Panics
    ///
    /// Panics if two tasks of the program have one name.
    ///
    /// # Examples
    ///
    /// ```
    /// use bocadillo::{durable::Memory, task};
    ///
    /// #[task]
    /// async fn confirm(who: String) {
    ///     println!("to {who}");
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> bocadillo::Result<()> {
    /// let store = Memory::new();
    /// confirm("ada".to_owned()).enqueue(&store).await?;
    /// let reports = store.drain().await;
    /// assert!(reports[0].name.ends_with("confirm"));
    /// # Ok(()) }
    /// ```
    pub async fn drain(&self) -> Vec<Report> {
        self.drain_with(Runner::current()).await
    }

    /// As [`drain`](Self::drain), with a runner of these settings: for its
    /// [values](Builder::state). Its store and its `on_report` are those of this call.
    ///
    /// # Panics
    ///
    /// As [`drain`](Self::drain).
    pub async fn drain_with(&self, settings: Builder) -> Vec<Report> {
        let registry = Registry::get().unwrap_or_else(|error| panic!("{error}"));
        let reports = Arc::new(Mutex::new(Vec::new()));
        let collected = Arc::clone(&reports);
        let settings = settings.store(self.clone()).on_report(move |report| {
            let mut reports = collected.lock().unwrap_or_else(PoisonError::into_inner);
            reports.push(report.clone());
        });
        let runner = settings.build();
        let store: Arc<dyn Store> = Arc::new(self.clone());
        loop {
            let claimed = self.claim_all(&registry.names());
            let readable = claimed.into_iter();
            let begun: Vec<_> = readable
                .filter_map(|claimed| Begun::of(claimed, registry, &store))
                .collect();
            // One that cannot be read stays queued.
            if begun.is_empty() {
                break;
            }
            for begun in begun {
                begun.start(&store, &runner);
            }
            runner.idle().await;
        }
        let mut reports = reports.lock().unwrap_or_else(PoisonError::into_inner);
        mem::take(&mut *reports)
    }
}
