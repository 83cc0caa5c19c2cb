//! What a request costs while the server has more to do than it can; see `benches/README.md`.
#![allow(clippy::print_stdout, reason = "the numbers are what it is for")]

mod args;
#[allow(dead_code, reason = "what is for `--check` of the instructions")]
#[path = "../instructions/build.rs"]
mod build;
mod client;
mod cores;
mod load;
#[path = "../instructions/process.rs"]
mod process;
mod report;
mod run;
mod usage;

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;

use args::{Args, What};
use build::Server;
use cores::Cores;
use load::Load;
use report::Row;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Those of the instructions that the table compares: all have their work where the requests are, but
/// for the default runner.
const SERVERS: [&str; 4] = ["hyper", "axum", build::OURS, build::OURS_DEFAULT];

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

fn run() -> Result<()> {
    match args::parse(std::env::args().skip(1))? {
        What::Measure(args) => measure(&args),
        What::Client { port, time } => client::run(port, time),
    }
}

fn measure(args: &Args) -> Result<()> {
    usage::check()?;
    let folder = build::servers()?;
    let load = Load::find(&folder)?;
    let cores = Cores::find()?;
    println!("load: {load}; {cores}");
    for number in [1, 2] {
        if number > cores.number() {
            println!("{number} cores: left out, there are not so many");
            continue;
        }
        let rows = rows(args, &folder, &load, &cores, number)?;
        report::print(number, &rows);
    }
    Ok(())
}

/// Measures all servers in turns, so that what else the machine does meets all alike.
fn rows(args: &Args, folder: &Path, load: &Load, cores: &Cores, number: usize) -> Result<Vec<Row>> {
    let servers = build::SERVERS.iter();
    let servers: Vec<&Server> = servers
        .filter(|server| SERVERS.contains(&server.name))
        .collect();
    let mut rows: Vec<Row> = servers.iter().map(|server| Row::new(server.name)).collect();
    for round in 1..=args.runs {
        for (server, row) in servers.iter().zip(&mut rows) {
            eprintln!("{} on {number}: run {round} of {}", server.name, args.runs);
            let run = run::Run {
                server,
                folder,
                load,
                place: cores.split(number),
                time: args.time,
            };
            row.costs.push(run.costs()?);
            if server.name.starts_with(build::OURS) {
                row.starts.push(run.starts()?);
            }
        }
    }
    Ok(rows)
}
