//! The driver's arguments.

use std::str::FromStr;
use std::time::Duration;

use crate::Result;

const USAGE: &str = "usage: saturation [--runs N] [--seconds N]";

/// The first argument of the driver where it is to be the client.
pub(crate) const CLIENT: &str = "client";

pub(crate) enum What {
    Measure(Args),
    /// Ask a server, from a process of its own: so it can be kept on cores of its own.
    Client {
        port: u16,
        time: Duration,
    },
}

/// What the user asked for.
pub(crate) struct Args {
    /// Measurements per server, of which the median counts.
    pub(crate) runs: usize,
    /// How long each of them takes.
    pub(crate) time: Duration,
}

pub(crate) fn parse(mut words: impl Iterator<Item = String>) -> Result<What> {
    let mut args = Args {
        runs: 3,
        time: Duration::from_secs(3),
    };
    while let Some(word) = words.next() {
        match word.as_str() {
            "--runs" => args.runs = above_zero(words.next())?,
            "--seconds" => args.time = Duration::from_secs(above_zero(words.next())?),
            CLIENT => {
                return Ok(What::Client {
                    port: above_zero(words.next())?,
                    time: Duration::from_secs(above_zero(words.next())?),
                });
            }
            _ => return Err(USAGE.into()),
        }
    }
    Ok(What::Measure(args))
}

fn above_zero<N: FromStr + Default + PartialOrd>(word: Option<String>) -> Result<N> {
    let number = word.and_then(|word| word.parse().ok());
    let number = number.filter(|number| *number > N::default());
    number.ok_or_else(|| USAGE.into())
}
