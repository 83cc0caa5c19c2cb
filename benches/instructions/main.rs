//! Counts, by callgrind, the instructions that each server executes per request; see `benches/README.md`.

mod args;
mod build;
mod callgrind;
mod client;
mod process;
mod report;

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;

use args::Args;
use build::Server;
use client::SCENARIOS;
use report::Row;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Two lengths of run: what start, connection and end cost is in both and falls out of their difference.
const SHORT: u64 = 100;
const LONG: u64 = 500;

fn main() -> ExitCode {
    match run() {
        Ok(exit) => exit,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

fn run() -> Result<ExitCode> {
    let args = Args::parse(std::env::args().skip(1))?;
    callgrind::check_installed()?;
    let folder = build::servers()?;
    let rows = build::SERVERS
        .iter()
        .map(|server| measure(&folder, server, args.runs))
        .collect::<Result<Vec<Row>>>()?;
    report::print(&rows);
    Ok(report::check(&rows, &args.limits))
}

fn measure(folder: &Path, server: &Server, runs: usize) -> Result<Row> {
    let name = server.name;
    let mut instructions = [0; SCENARIOS.len()];
    for (scenario, median) in SCENARIOS.iter().zip(&mut instructions) {
        let mut counts = Vec::with_capacity(runs);
        for run in 1..=runs {
            eprintln!("{name}, {}: run {run} of {runs}", scenario.name);
            let short = callgrind::count(folder, server, scenario, SHORT)?;
            let long = callgrind::count(folder, server, scenario, LONG)?;
            let extra = long
                .checked_sub(short)
                .ok_or("the long run executed fewer instructions than the short one")?;
            counts.push(extra / (LONG - SHORT));
        }
        eprintln!("{name}, {}: {counts:?}", scenario.name);
        counts.sort_unstable();
        *median = counts[runs / 2];
    }
    Ok(Row {
        server: name,
        instructions,
    })
}
