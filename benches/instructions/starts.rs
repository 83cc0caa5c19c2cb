//! How long after "sent" tasks start, by their reports; printed at the end, in nanoseconds.
#![allow(clippy::print_stdout, reason = "the driver reads it from stdout")]

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use bocadillo::background::Builder;

use super::server;

/// Buckets of each power of two: a time is told to 3 %.
const STEPS: usize = 32;
/// Below it, times are not told apart.
const SHORTEST: u64 = STEPS as u64;

/// How many tasks started after about this long. No lock, which would cost more than what is measured.
static COUNTS: [AtomicU64; 64 * STEPS] = [const { AtomicU64::new(0) }; 64 * STEPS];

/// Has a runner's reports counted.
pub(crate) fn record(runner: Builder) -> Builder {
    server::AT_END.get_or_init(|| print);
    runner.on_report(|report| {
        if let (Some(sent), Some(started)) = (report.sent_at, report.started_at) {
            count(started.saturating_duration_since(sent));
        }
    })
}

fn count(time: Duration) {
    let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    COUNTS[bucket(nanos)].fetch_add(1, Relaxed);
}

fn bucket(nanos: u64) -> usize {
    let nanos = nanos.max(SHORTEST);
    let octave = nanos.ilog2();
    let step = (nanos >> (octave - STEPS.ilog2())) as usize % STEPS;
    octave as usize * STEPS + step
}

/// The shortest time that is counted in this bucket.
fn nanos(bucket: usize) -> u64 {
    let octave = (bucket / STEPS) as u32;
    ((STEPS + bucket % STEPS) as u64) << (octave - STEPS.ilog2())
}

fn print() {
    let counts: Vec<u64> = COUNTS.iter().map(|count| count.load(Relaxed)).collect();
    println!(
        "starts {} {} {}",
        counts.iter().sum::<u64>(),
        percentile(&counts, 50),
        percentile(&counts, 99)
    );
}

/// The time within which so many per cent have started; zero where there were none.
fn percentile(counts: &[u64], percent: u64) -> u64 {
    let all: u64 = counts.iter().sum();
    let mut before = 0;
    let reached = counts.iter().position(|count| {
        before += count;
        before > 0 && before * 100 >= all * percent
    });
    reached.map_or(0, nanos)
}
