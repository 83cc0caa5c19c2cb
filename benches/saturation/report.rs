//! The table: medians, and the ratio to axum.
#![allow(clippy::print_stdout, reason = "the numbers are what it is for")]

use crate::run::{Costs, Starts};

/// Whose processor time is 1.
const PEER: &str = "axum";

/// One server's measurements.
pub(crate) struct Row {
    server: &'static str,
    pub(crate) costs: Vec<Costs>,
    /// Of this project's servers alone.
    pub(crate) starts: Vec<Starts>,
}

impl Row {
    pub(crate) fn new(server: &'static str) -> Self {
        Self {
            server,
            costs: Vec::new(),
            starts: Vec::new(),
        }
    }

    fn processor(&self) -> f64 {
        median(&self.costs, |costs| costs.processor)
    }
}

/// Prints a table as it stands in `results.md`.
pub(crate) fn print(cores: usize, rows: &[Row]) {
    let peer = rows.iter().find(|row| row.server == PEER);
    let peer = peer.map_or(f64::NAN, Row::processor);
    println!("\nthe server on {cores} core(s)\n");
    println!(
        "| | requests/s | CPU µs a request (to axum) | sleeps a request | other switches a request \
         | start p50 µs | start p99 µs |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    for row in rows {
        let rate = median(&row.costs, |costs| costs.rate);
        let processor = row.processor();
        let sleeps = median(&row.costs, |costs| costs.sleeps);
        let yields = median(&row.costs, |costs| costs.yields);
        let p50 = time(&row.starts, |starts| starts.p50);
        let p99 = time(&row.starts, |starts| starts.p99);
        println!(
            "| {} | {rate:.0} | {processor:.2} ({:.3}) | {sleeps:.3} | {yields:.3} | {p50} | {p99} |",
            row.server,
            processor / peer
        );
    }
}

fn time(starts: &[Starts], of: impl Fn(&Starts) -> f64) -> String {
    if starts.is_empty() {
        return String::new();
    }
    format!("{:.1}", median(starts, of))
}

fn median<T>(all: &[T], of: impl Fn(&T) -> f64) -> f64 {
    let mut values: Vec<f64> = all.iter().map(of).collect();
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
