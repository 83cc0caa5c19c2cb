//! Which cores the server has, and which the load.

use std::fmt;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::Result;

/// The cores that this process may use.
pub(crate) struct Cores {
    all: Vec<usize>,
    has_taskset: bool,
}

/// What one measurement has of them. Nothing where processes cannot be kept on a core.
pub(crate) struct Place {
    /// Worker threads of the requests' runtime.
    pub(crate) workers: usize,
    server: Option<String>,
    load: Option<String>,
}

impl Cores {
    pub(crate) fn find() -> Result<Self> {
        let status = fs::read_to_string("/proc/self/status")?;
        let lines = status.lines();
        let mut lists = lines.filter_map(|line| line.strip_prefix("Cpus_allowed_list:"));
        let list = lists
            .next()
            .ok_or("no `Cpus_allowed_list` in /proc/self/status")?;
        let taskset = Command::new("taskset").arg("--version").output();
        Ok(Self {
            all: numbers(list.trim())?,
            has_taskset: taskset.is_ok_and(|output| output.status.success()),
        })
    }

    pub(crate) fn number(&self) -> usize {
        self.all.len()
    }

    /// Gives so many to the server and the rest to the load, or all where there is no rest.
    pub(crate) fn split(&self, number: usize) -> Place {
        let (server, rest) = self.all.split_at(number);
        let load = if rest.is_empty() { &self.all } else { rest };
        Place {
            workers: number,
            server: self.has_taskset.then(|| list(server)),
            load: self.has_taskset.then(|| list(load)),
        }
    }
}

impl fmt::Display for Cores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} cores", self.all.len())?;
        if !self.has_taskset {
            f.write_str(", no `taskset`: nothing keeps the server on its own")?;
        }
        Ok(())
    }
}

impl Place {
    pub(crate) fn server(&self, program: &Path) -> Command {
        on(self.server.as_deref(), program)
    }

    pub(crate) fn load(&self, program: &Path) -> Command {
        on(self.load.as_deref(), program)
    }
}

fn on(cores: Option<&str>, program: &Path) -> Command {
    let Some(cores) = cores else {
        return Command::new(program);
    };
    // It becomes the program, under the same process id.
    let mut command = Command::new("taskset");
    command.args(["--cpu-list", cores]).arg(program);
    command
}

fn list(cores: &[usize]) -> String {
    let cores: Vec<String> = cores.iter().map(|core| core.to_string()).collect();
    cores.join(",")
}

/// Reads a list as `0-3,8`.
fn numbers(list: &str) -> Result<Vec<usize>> {
    let mut numbers = Vec::new();
    for part in list.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        numbers.extend(first.parse::<usize>()?..=last.parse()?);
    }
    Ok(numbers)
}
