//! What a process has used, as the kernel tells it.

use std::fs;
use std::ops::Sub;
use std::path::Path;
use std::time::Duration;

use crate::Result;

/// Linux counts in `/proc` a hundred ticks a second, whatever its own clock does.
const TICK: Duration = Duration::from_millis(10);

/// Since the process began.
#[derive(Clone, Copy)]
pub(crate) struct Usage {
    pub(crate) processor: Duration,
    /// A thread had nothing to do and slept.
    pub(crate) sleeps: u64,
    /// A thread had something to do, and gave way to another or was made to.
    pub(crate) yields: u64,
}

/// Refuses early where the kernel tells nothing.
pub(crate) fn check() -> Result<()> {
    if Path::new("/proc/self/stat").exists() {
        return Ok(());
    }
    Err("there is no /proc/self/stat; this bench needs Linux".into())
}

impl Usage {
    pub(crate) fn of(process: u32) -> Result<Self> {
        let mut usage = Self {
            processor: processor(&fs::read_to_string(format!("/proc/{process}/stat"))?)?,
            sleeps: 0,
            yields: 0,
        };
        for thread in fs::read_dir(format!("/proc/{process}/task"))? {
            // A thread may end meanwhile. None does that counts: workers live as long as the server.
            let Ok(status) = fs::read_to_string(thread?.path().join("status")) else {
                continue;
            };
            usage.sleeps += field(&status, "voluntary_ctxt_switches:")?;
            usage.yields += field(&status, "nonvoluntary_ctxt_switches:")?;
        }
        Ok(usage)
    }
}

impl Sub for Usage {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self {
            processor: self.processor.saturating_sub(before.processor),
            sleeps: self.sleeps.saturating_sub(before.sleeps),
            yields: self.yields.saturating_sub(before.yields),
        }
    }
}

/// User and system time: the 14th and 15th field. The 2nd is a name in brackets, which may hold anything.
fn processor(stat: &str) -> Result<Duration> {
    let (_, fields) = stat.rsplit_once(')').ok_or("no name in /proc/*/stat")?;
    let ticks: Vec<u32> = fields
        .split_whitespace()
        .skip(11)
        .take(2)
        .map(str::parse)
        .collect::<std::result::Result<_, _>>()?;
    Ok(TICK * ticks.iter().sum::<u32>())
}

fn field(status: &str, key: &str) -> Result<u64> {
    let mut values = status.lines().filter_map(|line| line.strip_prefix(key));
    let value = values.next().ok_or_else(|| format!("no `{key}` line"))?;
    Ok(value.trim().parse()?)
}
