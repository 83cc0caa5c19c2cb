//! What tasks that hold a processor do to requests. See `benches/README.md`.
#![allow(clippy::print_stdout, reason = "the table is what it is for")]

use std::{
    env,
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use bocadillo::{App, Request, Response, Runner, background, route};
use tokio::net::TcpListener;

const REQUESTS_PER_SECOND: u32 = 400;
const TASKS_PER_SECOND: u32 = 25;
const TASK: Duration = Duration::from_millis(20);
/// The servers take turns, so that a slow minute is slow for all.
const ROUNDS: usize = 4;
const ROUND: Duration = Duration::from_secs(5);
const CONNECTIONS: u32 = 8;

#[route("/plain")]
async fn plain(_req: &mut Request, res: &mut Response) {
    res.text("hello");
}

#[route("/burn")]
async fn burn(_req: &mut Request, res: &mut Response) {
    #[background]
    async fn holds_a_processor() {
        let begun = Instant::now();
        while begun.elapsed() < TASK {
            std::hint::spin_loop();
        }
    }
}

/// What a server process does.
#[tokio::main]
async fn serve(runner: &str) -> bocadillo::Result<()> {
    let runner = match runner {
        "current" => Runner::current().build(),
        _ => Runner::default(),
    };
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    App::new()
        .route(plain)
        .route(burn)
        .background(runner)
        .serve_with(listener)
        .await
}

struct Server {
    child: Child,
    addr: SocketAddr,
}

impl Server {
    fn start(runner: &str) -> io::Result<Self> {
        let mut child = Command::new(env::current_exe()?)
            .arg(runner)
            .stdout(Stdio::piped())
            .spawn()?;
        let stdout = child
            .stdout
            .take()
            .ok_or_else(|| io::Error::other("no stdout"))?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let addr = line.trim().parse().map_err(io::Error::other)?;
        Ok(Self { child, addr })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Asks at a steady pace, whatever the answers take; returns how long each took from when it was due.
fn ask(
    addr: SocketAddr,
    path: &str,
    per_second: u32,
    offset: Duration,
) -> io::Result<Vec<Duration>> {
    let mut stream = TcpStream::connect(addr)?;
    stream.set_nodelay(true)?;
    let pace = Duration::from_secs(1) / per_second;
    let begun = Instant::now() + offset;
    let mut times = Vec::new();
    let mut buffer = [0; 1024];
    for number in 0.. {
        let due = begun + pace * number;
        if due >= begun + ROUND {
            break;
        }
        thread::sleep(due.saturating_duration_since(Instant::now()));
        write!(stream, "GET {path} HTTP/1.1\r\nhost: a\r\n\r\n")?;
        if stream.read(&mut buffer)? == 0 {
            return Err(io::Error::other("the server has closed"));
        }
        times.push(due.elapsed());
    }
    Ok(times)
}

/// One round of requests, with tasks or without.
fn round(addr: SocketAddr, has_tasks: bool) -> io::Result<Vec<Duration>> {
    let asking: Vec<_> = (0..CONNECTIONS)
        .map(|number| {
            let offset = Duration::from_secs(1) / REQUESTS_PER_SECOND * number;
            thread::spawn(move || ask(addr, "/plain", REQUESTS_PER_SECOND / CONNECTIONS, offset))
        })
        .collect();
    let burning = has_tasks
        .then(|| thread::spawn(move || ask(addr, "/burn", TASKS_PER_SECOND, Duration::ZERO)));
    let mut times = Vec::new();
    for thread in asking {
        let asked = thread
            .join()
            .map_err(|_| io::Error::other("a client panicked"))?;
        times.extend(asked?);
    }
    if let Some(burning) = burning {
        burning
            .join()
            .map_err(|_| io::Error::other("a client panicked"))??;
    }
    Ok(times)
}

fn compare() -> io::Result<()> {
    let dedicated = Server::start("dedicated")?;
    let current = Server::start("current")?;
    let mut times = [Vec::new(), Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        times[0].extend(round(dedicated.addr, false)?);
        times[1].extend(round(dedicated.addr, true)?);
        times[2].extend(round(current.addr, true)?);
    }
    println!("milliseconds of a request              p50     p90     p99     max");
    let mut rows = [(0.0, 0.0); 3];
    let names = [
        "without tasks",
        "tasks on the default runner",
        "tasks on Runner::current()",
    ];
    for (at, name) in names.iter().enumerate() {
        let times = &mut times[at];
        times.sort_unstable();
        let of = |permille: usize| {
            let index = (times.len() * permille / 1000).min(times.len() - 1);
            times[index].as_secs_f64() * 1e3
        };
        let (p50, p90, p99, max) = (of(500), of(900), of(990), of(1000));
        println!("{name:<34} {p50:>7.3} {p90:>7.3} {p99:>7.3} {max:>7.3}");
        rows[at] = (p90, p99);
    }
    println!("p99, default to current: {:.3}", rows[1].1 / rows[2].1);
    println!(
        "p90, default to without tasks: {:.2}",
        rows[1].0 / rows[0].0
    );
    Ok(())
}

fn main() -> bocadillo::Result<()> {
    match env::args().nth(1) {
        Some(runner) => serve(&runner),
        None => Ok(compare()?),
    }
}
