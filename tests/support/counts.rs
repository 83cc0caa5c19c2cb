//! What a runner counts and reports, for tests of it.

#![allow(dead_code, reason = "not every test needs all of it")]
#![allow(unreachable_pub, reason = "a test has no outside")]

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use bocadillo::{
    Request, Runner,
    background::{Builder, Report, Stats},
};
use tokio::{sync::Notify, time::sleep};

use super::soon;

/// The sum of all states.
pub fn sum(stats: Stats) -> u64 {
    stats.waiting
        + stats.running
        + stats.completed
        + stats.failed
        + stats.panicked
        + stats.timed_out
        + stats.cancelled
        + stats.replaced
        + stats.skipped
        + stats.refused
}

/// Waits until this holds of the runner's numbers.
pub async fn until(runner: &Runner, what: &str, holds: impl Fn(Stats) -> bool) {
    soon(what, async {
        while !holds(runner.stats()) {
            sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
}

/// Waits until so many tasks have ended and nothing is left; returns the numbers.
pub async fn settled(runner: &Runner, registered: u64) -> Stats {
    until(runner, "the end of all tasks", |stats| {
        stats.registered == registered && stats.waiting + stats.running == 0
    })
    .await;
    runner.stats()
}

/// The reports that a runner has given.
#[derive(Clone, Default)]
pub struct Reports(Arc<Mutex<Vec<Report>>>);

impl Reports {
    pub fn of(&self, runner: Builder) -> Runner {
        let all = Arc::clone(&self.0);
        runner
            .on_report(move |report| all.lock().expect("no panic").push(report.clone()))
            .build()
    }

    pub fn all(&self) -> Vec<Report> {
        self.0.lock().expect("no panic").clone()
    }
}

/// What the app's state has.
pub fn gate(req: &Request) -> Arc<Notify> {
    Arc::clone(req.state::<Arc<Notify>>().expect("the test gives one"))
}
