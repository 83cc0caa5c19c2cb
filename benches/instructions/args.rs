//! The driver's arguments.

use crate::Result;
use crate::build;
use crate::client::SCENARIOS;

const USAGE: &str = "usage: instructions [--runs N] [--check plain=1.15,orders=1.15]";

/// What the user asked for.
pub(crate) struct Args {
    /// Measurements per server and scenario, of which the median counts.
    pub(crate) runs: usize,
    /// For each scenario the highest allowed ratio of ours to hyper by hand.
    pub(crate) limits: [Option<f64>; SCENARIOS.len()],
}

impl Args {
    pub(crate) fn parse(mut words: impl Iterator<Item = String>) -> Result<Self> {
        let mut args = Self {
            runs: 3,
            limits: [None; SCENARIOS.len()],
        };
        while let Some(word) = words.next() {
            let value = words.next().ok_or(USAGE)?;
            match word.as_str() {
                "--runs" => args.runs = parse_runs(&value)?,
                "--check" => args.limits = parse_limits(&value)?,
                _ => return Err(USAGE.into()),
            }
        }
        Ok(args)
    }
}

fn parse_runs(value: &str) -> Result<usize> {
    match value.parse() {
        Ok(runs) if runs > 0 => Ok(runs),
        _ => Err(format!("`--runs {value}` is not a number above 0").into()),
    }
}

/// Refuses at once what could only fail, or silently check nothing, after minutes of measuring.
fn parse_limits(value: &str) -> Result<[Option<f64>; SCENARIOS.len()]> {
    if !build::SERVERS.contains(&build::OURS) {
        return Err("`--check` needs this project's server; add `--features ours`".into());
    }
    let mut limits = [None; SCENARIOS.len()];
    for pair in value.split(',') {
        let wrong = || format!("`{pair}` in `--check` is not `plain=RATIO` or `orders=RATIO`");
        let (name, ratio) = pair.split_once('=').ok_or_else(wrong)?;
        let index = SCENARIOS
            .iter()
            .position(|scenario| scenario.name == name)
            .ok_or_else(wrong)?;
        let ratio: f64 = ratio.parse().map_err(|_| wrong())?;
        if !ratio.is_finite() || ratio <= 0.0 {
            return Err(wrong().into());
        }
        limits[index] = Some(ratio);
    }
    Ok(limits)
}
