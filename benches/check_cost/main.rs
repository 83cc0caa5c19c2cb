//! What `#[route]` and `#[background]` cost `cargo check`, over the same handlers written by hand.
//! See `benches/README.md`.
#![allow(clippy::print_stdout, reason = "the table is what it is for")]

use std::{
    env,
    fmt::Write as _,
    fs, io,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    time::{Duration, Instant},
};

const HANDLERS: usize = 500;
const RUNS: usize = 7;

/// Builds the text of a handler and of its registration.
type Form = fn(usize) -> (String, String);

fn main() -> ExitCode {
    match compare() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("check_cost: {error}");
            ExitCode::from(2)
        }
    }
}

fn compare() -> io::Result<()> {
    let folder = target().join("check-cost");
    let forms: [(&str, Form); 2] = [("by-hand", by_hand), ("attributes", attributes)];
    for (name, form) in forms {
        generate(&folder.join(name), name, form)?;
    }
    println!("`cargo check` of {HANDLERS} handlers, medians of {RUNS}, milliseconds");
    println!("                     by hand  attributes   ratio");
    for (what, incremental) in [("from nothing", "0"), ("nothing changed", "1")] {
        let [by_hand, attributes] = measure(&folder, forms.map(|(name, _)| name), incremental)?;
        let ratio = attributes / by_hand;
        println!("{what:<16} {by_hand:>11.0} {attributes:>11.0} {ratio:>7.2}");
    }
    Ok(())
}

/// The medians. One after the other, so that a slow minute is slow for both.
fn measure(folder: &Path, names: [&str; 2], incremental: &str) -> io::Result<[f64; 2]> {
    for name in names {
        // The dependencies, once.
        check(folder, name, incremental)?;
    }
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..RUNS {
        for (at, name) in names.iter().enumerate() {
            times[at].push(check(folder, name, incremental)?);
        }
    }
    Ok(times.map(median))
}

/// A handler as a user writes it.
fn attributes(n: usize) -> (String, String) {
    let handler = format!(
        r#"
#[route("/orders{n}/{{id}}", methods = ["post"])]
async fn create_{n}(req: &mut Request, res: &mut Response, id: u64) -> bocadillo::Result<()> {{
    let order: Order = req.json().await?;
    res.text(format!("order {{id}} of {{}}", order.number));

    #[background]
    async fn confirm_{n}() {{
        send(&order.email, id).await;
    }}

    res.status(201);
    Ok(())
}}
"#
    );
    (handler, format!(".route(create_{n})"))
}

/// The same without an attribute.
fn by_hand(n: usize) -> (String, String) {
    let handler = format!(
        r#"
async fn create_{n}(req: &mut Request, res: &mut Response) -> bocadillo::Result<()> {{
    let id: u64 = req.param("id")?;
    let order: Order = req.json().await?;
    res.text(format!("order {{id}} of {{}}", order.number));

    res.background(
        Task::new(async move {{
            send(&order.email, id).await;
        }})
        .name("confirm_{n}"),
    );

    res.status(201);
    Ok(())
}}
"#
    );
    let registration = format!(".add(\"/orders{n}/{{id}}\", &[\"post\"], create_{n})");
    (handler, registration)
}

fn generate(package: &Path, name: &str, form: Form) -> io::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let root = root.canonicalize()?;
    fs::create_dir_all(package.join("src"))?;
    let manifest = format!(
        r#"[package]
name = "{name}"
version = "0.1.0"
edition = "2024"

[workspace]

[dependencies]
bocadillo = {{ path = {root:?} }}
serde = {{ version = "1", features = ["derive"] }}
"#
    );
    fs::write(package.join("Cargo.toml"), manifest)?;
    fs::copy(root.join("Cargo.lock"), package.join("Cargo.lock"))?;
    fs::write(package.join("src/main.rs"), source(form))
}

fn source(form: Form) -> String {
    let mut source = String::from(
        r"#![allow(unused_imports)]
use bocadillo::{App, Request, Response, Task, background, route};

#[derive(serde::Deserialize)]
struct Order {
    number: u64,
    email: String,
}

async fn send(_email: &str, _id: u64) {}
",
    );
    let mut app = String::from("App::new()");
    for n in 0..HANDLERS {
        let (handler, registration) = form(n);
        source.push_str(&handler);
        let _ = write!(app, "\n        {registration}");
    }
    let _ = write!(source, "\nfn main() {{\n    let _ = {app};\n}}\n");
    source
}

fn check(folder: &Path, name: &str, incremental: &str) -> io::Result<Duration> {
    let package = folder.join(name);
    // Newer than what was built of it.
    let file = package.join("src/main.rs");
    let text = fs::read_to_string(&file)?;
    fs::write(&file, text)?;
    let started = Instant::now();
    let output = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["check", "--quiet"])
        .current_dir(&package)
        .env("CARGO_TARGET_DIR", folder.join("target"))
        .env("CARGO_INCREMENTAL", incremental)
        .output()?;
    let time = started.elapsed();
    if output.status.success() {
        return Ok(time);
    }
    let words = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(format!(
        "{name} does not compile: {words}"
    )))
}

fn target() -> PathBuf {
    let default = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../target");
    env::var_os("CARGO_TARGET_DIR").map_or_else(default, PathBuf::from)
}

/// In milliseconds.
fn median(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    times[times.len() / 2].as_secs_f64() * 1000.0
}
