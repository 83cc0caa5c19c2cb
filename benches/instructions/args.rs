//! The driver's arguments.

use crate::Result;
use crate::build;

const USAGE: &str = "usage: instructions [--runs N] [--check plain=1.15,orders=1.2,default=1.3]";

/// What can be limited: its name, whose it is, and the scenario.
const LIMITED: [(&str, &str, usize); 3] = [
    ("plain", build::OURS, 0),
    ("orders", build::OURS, 1),
    ("default", build::OURS_DEFAULT, 1),
];

/// What the user asked for.
pub(crate) struct Args {
    /// Measurements per server and scenario, of which the median counts.
    pub(crate) runs: usize,
    pub(crate) limits: Vec<Limit>,
}

/// The highest allowed ratio of a server of ours to hyper by hand.
pub(crate) struct Limit {
    pub(crate) name: &'static str,
    pub(crate) server: &'static str,
    pub(crate) scenario: usize,
    pub(crate) ratio: f64,
}

impl Args {
    pub(crate) fn parse(mut words: impl Iterator<Item = String>) -> Result<Self> {
        let mut args = Self {
            runs: 3,
            limits: Vec::new(),
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
fn parse_limits(value: &str) -> Result<Vec<Limit>> {
    if !cfg!(feature = "ours") {
        return Err("`--check` needs this project's server; add `--features ours`".into());
    }
    let mut limits = Vec::new();
    for pair in value.split(',') {
        let wrong = || {
            format!("`{pair}` in `--check` is not `plain=RATIO`, `orders=RATIO` or `default=RATIO`")
        };
        let (name, ratio) = pair.split_once('=').ok_or_else(wrong)?;
        let limited = LIMITED.iter().find(|(known, ..)| *known == name);
        let &(name, server, scenario) = limited.ok_or_else(wrong)?;
        let ratio: f64 = ratio.parse().map_err(|_| wrong())?;
        if !ratio.is_finite() || ratio <= 0.0 {
            return Err(wrong().into());
        }
        limits.push(Limit {
            name,
            server,
            scenario,
            ratio,
        });
    }
    Ok(limits)
}
