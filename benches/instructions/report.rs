//! The table, and the verdict of `--check`.
#![allow(clippy::print_stdout, reason = "the table is what the command is for")]

use std::process::ExitCode;

use crate::args::Limit;
use crate::client::SCENARIOS;

/// One server's instructions per request, in the order of the scenarios.
pub(crate) struct Row {
    pub(crate) server: &'static str,
    pub(crate) instructions: [u64; SCENARIOS.len()],
}

impl Row {
    fn ratio(&self, baseline: &Self, scenario: usize) -> f64 {
        self.instructions[scenario] as f64 / baseline.instructions[scenario] as f64
    }
}

/// Prints one line per server, with its ratio to the first one.
pub(crate) fn print(rows: &[Row]) {
    print!("{:<20}", "");
    for scenario in &SCENARIOS {
        print!("{:>20}", scenario.name);
    }
    println!();
    for row in rows {
        print!("{:<20}", row.server);
        for (index, count) in row.instructions.iter().enumerate() {
            let ratio = row.ratio(&rows[0], index);
            print!("{:>20}", format!("{count} ({ratio:.3})"));
        }
        println!();
    }
}

/// Fails when a server of ours is over a limit.
pub(crate) fn check(rows: &[Row], limits: &[Limit]) -> ExitCode {
    let mut exit = ExitCode::SUCCESS;
    for limit in limits {
        for row in rows.iter().filter(|row| row.server == limit.server) {
            let ratio = row.ratio(&rows[0], limit.scenario);
            let (name, limit) = (limit.name, limit.ratio);
            if ratio > limit {
                println!("{name}: {ratio:.4} is over the limit of {limit}");
                exit = ExitCode::FAILURE;
            } else {
                println!("{name}: {ratio:.4} is within the limit of {limit}");
            }
        }
    }
    exit
}
