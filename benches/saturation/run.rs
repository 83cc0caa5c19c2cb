//! One server, started, loaded and ended.

use std::path::Path;
use std::thread;
use std::time::Duration;

use crate::Result;
use crate::build::Server;
use crate::cores::Place;
use crate::load::Load;
use crate::process::Process;
use crate::usage::Usage;

/// What is asked before anything is counted: connections, memory and the runtime of the tasks begin.
const WARM_UP: Duration = Duration::from_secs(1);

/// Lets the last tasks end before the server does.
const SETTLE: Duration = Duration::from_millis(100);

/// What the task of one request adds to the server's tally.
const TALLY: u64 = "a@example.net".len() as u64;

pub(crate) struct Run<'a> {
    pub(crate) server: &'a Server,
    pub(crate) folder: &'a Path,
    pub(crate) load: &'a Load,
    pub(crate) place: Place,
    pub(crate) time: Duration,
}

/// What requests have cost.
pub(crate) struct Costs {
    /// Answered in a second.
    pub(crate) rate: f64,
    /// Microseconds of the server's processor time, for each request.
    pub(crate) processor: f64,
    /// Times that a thread of the server slept, for each request.
    pub(crate) sleeps: f64,
    /// Times that one gave way, for each request.
    pub(crate) yields: f64,
}

/// Microseconds from "sent" to the start of the task.
pub(crate) struct Starts {
    pub(crate) p50: f64,
    pub(crate) p99: f64,
}

impl Run<'_> {
    pub(crate) fn costs(&self) -> Result<Costs> {
        let mut process = self.start(None)?;
        let driven = self.drive(&process);
        let costs = self.end(&mut process, driven)?;
        Ok(costs)
    }

    /// Reports cost something: what the requests cost is measured without them.
    pub(crate) fn starts(&self) -> Result<Starts> {
        let mut process = self.start(Some("starts"))?;
        let driven = self.drive(&process);
        self.end(&mut process, driven)?;
        let line = process.value_of("starts ")?;
        let numbers: Vec<u64> = line
            .split_whitespace()
            .map(str::parse)
            .collect::<std::result::Result<_, _>>()?;
        match numbers[..] {
            [number, p50, p99] if number > 0 => Ok(Starts {
                p50: p50 as f64 / 1e3,
                p99: p99 as f64 / 1e3,
            }),
            _ => Err(format!("no task has told its start: {line:?}").into()),
        }
    }

    fn start(&self, way: Option<&str>) -> Result<Process> {
        Process::start(
            self.place
                .server(&self.server.binary(self.folder))
                .args(self.server.variant)
                .args(way)
                .arg(self.place.workers.to_string()),
        )
    }

    /// Returns what it has cost, and the number of all answers, those to warm up among them.
    fn drive(&self, process: &Process) -> Result<(Costs, u64)> {
        let port = process.value_of("port ")?.parse()?;
        let early = self.load.drive(&self.place, port, WARM_UP)?;
        let before = Usage::of(process.id())?;
        let answered = self.load.drive(&self.place, port, self.time)?;
        let used = Usage::of(process.id())? - before;
        thread::sleep(SETTLE);
        let each = answered.number as f64;
        let costs = Costs {
            rate: answered.rate,
            processor: used.processor.as_secs_f64() * 1e6 / each,
            sleeps: used.sleeps as f64 / each,
            yields: used.yields as f64 / each,
        };
        Ok((costs, early.number + answered.number))
    }

    /// Ends the server; checks that the task of every answer has run to its end.
    fn end(&self, process: &mut Process, driven: Result<(Costs, u64)>) -> Result<Costs> {
        let log = process.end()?;
        let (costs, answered) = driven.map_err(|error| format!("{error}\n{log}"))?;
        let tasks = process.value_of("tally ")?.parse::<u64>()? / TALLY;
        // The last requests of a client that ends are served, but not counted by it.
        if tasks < answered {
            let name = self.server.name;
            return Err(format!("{name}: {tasks} tasks ran for {answered} answers\n{log}").into());
        }
        Ok(costs)
    }
}
