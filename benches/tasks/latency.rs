//! From "sent" to the first instruction of the task, beside a bare spawn. See `benches/README.md`.
#![allow(clippy::print_stdout, reason = "the table is what it is for")]

use std::{
    collections::HashMap,
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use bocadillo::{App, Request, Response, Runner, background, route};
use tokio::runtime::{Builder, Handle, Runtime};

const REQUESTS: usize = 2000;
/// Between two requests, so that each finds every thread asleep.
const PAUSE: Duration = Duration::from_millis(2);

type Times = Arc<Mutex<Vec<Duration>>>;

/// When a task was free to run, and when it did, by its number.
#[derive(Clone, Default)]
struct Starts(Arc<Mutex<HashMap<u64, Instant>>>);

/// What the bare spawns go to, and their times.
#[derive(Clone)]
struct Bare {
    own: Handle,
    other: Times,
    same: Times,
}

fn push(times: &Times, time: Duration) {
    times
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(time);
}

#[route("/task")]
async fn task(req: &mut Request, _res: &mut Response) -> bocadillo::Result<()> {
    let starts = req.state::<Starts>()?.clone();
    #[background]
    async fn notes_its_start() {
        let now = Instant::now();
        let mut starts = starts.0.lock().unwrap_or_else(PoisonError::into_inner);
        starts.insert(background::current().id(), now);
    }
    Ok(())
}

#[route("/other")]
async fn bare_on_another_runtime(req: &mut Request, _res: &mut Response) -> bocadillo::Result<()> {
    let bare = req.state::<Bare>()?;
    let times = Arc::clone(&bare.other);
    let begun = Instant::now();
    bare.own.spawn(async move { push(&times, begun.elapsed()) });
    Ok(())
}

#[route("/same")]
async fn bare_on_the_same_runtime(req: &mut Request, _res: &mut Response) -> bocadillo::Result<()> {
    let times = Arc::clone(&req.state::<Bare>()?.same);
    let begun = Instant::now();
    tokio::spawn(async move { push(&times, begun.elapsed()) });
    Ok(())
}

/// Serves with this runner; its times are from "sent", as its reports have it.
fn serve(
    runtime: &Runtime,
    runner: bocadillo::background::Builder,
    bare: &Bare,
) -> io::Result<(SocketAddr, Times)> {
    let times = Times::default();
    let starts = Starts::default();
    let (kept, found) = (Arc::clone(&times), starts.clone());
    let runner = runner.on_report(move |report| {
        let mut starts = found.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let (Some(started), Some(sent)) = (starts.remove(&report.id), report.sent_at) {
            push(&kept, started.saturating_duration_since(sent));
        }
    });
    let app = App::new()
        .route(task)
        .route(bare_on_another_runtime)
        .route(bare_on_the_same_runtime)
        .state(starts)
        .state(bare.clone())
        .background(runner);
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let addr = listener.local_addr()?;
    let _guard = runtime.enter();
    let listener = tokio::net::TcpListener::from_std(listener)?;
    runtime.spawn(async move { drop(app.serve_with(listener).await) });
    Ok((addr, times))
}

/// Asks one path after the other, over and over.
fn ask(addr: SocketAddr, paths: &[&str]) -> io::Result<()> {
    let mut stream = TcpStream::connect(addr)?;
    stream.set_nodelay(true)?;
    let mut buffer = [0; 1024];
    for _ in 0..REQUESTS {
        for path in paths {
            write!(stream, "GET {path} HTTP/1.1\r\nhost: a\r\n\r\n")?;
            if stream.read(&mut buffer)? == 0 {
                return Err(io::Error::other("the server has closed"));
            }
            thread::sleep(PAUSE);
        }
    }
    Ok(())
}

fn main() -> io::Result<()> {
    let own = Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let requests = Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let bare = Bare {
        own: own.handle().clone(),
        other: Times::default(),
        same: Times::default(),
    };
    let (addr, dedicated) = serve(&requests, Runner::dedicated(1), &bare)?;
    let (addr_current, current) = serve(&requests, Runner::current(), &bare)?;
    ask(addr, &["/task", "/other"])?;
    ask(addr_current, &["/task", "/same"])?;

    println!("microseconds to the first instruction, of {REQUESTS}      p50    p90    p99");
    let other = print("bare spawn, another runtime", &bare.other);
    let ours = print("bocadillo, dedicated, from \"sent\"", &dedicated);
    println!("{:<46} {:>6.2}", "    ratio", ours / other);
    print("bare spawn, same runtime", &bare.same);
    print("bocadillo, current, from \"sent\"", &current);
    Ok(())
}

/// Prints a line; returns the median.
fn print(what: &str, times: &Times) -> f64 {
    let mut times = times.lock().unwrap_or_else(PoisonError::into_inner);
    times.sort_unstable();
    let at = |percent: usize| {
        let index = (times.len() * percent / 100).min(times.len().saturating_sub(1));
        times
            .get(index)
            .map_or(f64::NAN, |time| time.as_secs_f64() * 1e6)
    };
    println!("{what:<46} {:>6.1} {:>6.1} {:>6.1}", at(50), at(90), at(99));
    at(50)
}
