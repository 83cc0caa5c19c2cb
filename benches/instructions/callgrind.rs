//! One server under callgrind: started, driven, ended, counted.

use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use crate::Result;
use crate::build::Server;
use crate::client::{self, Scenario};
use crate::process::Process;

/// Lets the last request's task end before the server does.
const SETTLE: Duration = Duration::from_millis(100);

/// Refuses early when valgrind cannot be run.
pub(crate) fn check_installed() -> Result<()> {
    let output = Command::new("valgrind").arg("--version").output();
    if output.is_ok_and(|output| output.status.success()) {
        return Ok(());
    }
    Err("`valgrind` cannot be run; install it (`apt-get install valgrind`)".into())
}

/// Instructions of the server's whole life, in which it answers `requests` requests.
pub(crate) fn count(
    folder: &Path,
    server: &Server,
    scenario: &Scenario,
    requests: u64,
) -> Result<u64> {
    let mut process = Process::start(
        Command::new("valgrind")
            .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
            .arg(server.binary(folder))
            .args(server.variant),
    )?;
    let driven = drive(&process, scenario, requests);
    let log = process.end()?;
    check_tally(driven, &process, scenario.tally * requests)
        // What a failed server wrote is all that is left of it.
        .map_err(|error| format!("{error}\n{log}"))?;
    collected(&log).ok_or_else(|| format!("no `Collected :` line from callgrind:\n{log}").into())
}

fn drive(process: &Process, scenario: &Scenario, requests: u64) -> Result<()> {
    let port = process.value_of("port ")?.parse()?;
    client::drive(port, scenario, requests)?;
    thread::sleep(SETTLE);
    Ok(())
}

fn check_tally(driven: Result<()>, process: &Process, expected: u64) -> Result<()> {
    driven?;
    let tally: u64 = process.value_of("tally ")?.parse()?;
    if tally == expected {
        return Ok(());
    }
    Err(format!("the tasks counted {tally} bytes instead of {expected}").into())
}

fn collected(log: &str) -> Option<u64> {
    let (_, rest) = log.split_once("Collected : ")?;
    rest.split_whitespace().next()?.parse().ok()
}
