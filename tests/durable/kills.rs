//! Processes that are killed at random, under load.
//!
//! `BOCADILLO_KILLS` says how often, `BOCADILLO_SEED` repeats a run. Every number whose 201 has come is
//! in the log of what ran. Some are there twice: their process died after the task had written its
//! line, and before the store had heard of its end. Some ran though no 201 has come: their process died
//! between the commit and the response.

use std::{
    collections::{HashMap, HashSet},
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use bocadillo::durable::{KeptState, Sqlite, Store as _};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinSet,
    time::sleep,
};

#[path = "../support/rng.rs"]
#[allow(unreachable_pub, reason = "a test has no outside")]
mod rng;

use self::rng::Rng;
use crate::{child::Child, support::soon};

const CLIENTS: usize = 16;

fn kills() -> usize {
    let kills = std::env::var("BOCADILLO_KILLS");
    kills.map_or(4, |kills| kills.parse().expect("a number"))
}

fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

/// What the clients know.
#[derive(Default)]
struct Load {
    next: AtomicU64,
    acknowledged: Mutex<Vec<u64>>,
    refused: AtomicU64,
    is_over: AtomicBool,
}

impl Load {
    /// Sends requests on one connection until that is lost, or the load is over.
    async fn send(self: Arc<Self>, addr: std::net::SocketAddr, path: &'static str) {
        let Ok(mut stream) = TcpStream::connect(addr).await else {
            return;
        };
        while !self.is_over.load(SeqCst) {
            let number = self.next.fetch_add(1, SeqCst);
            match post(&mut stream, &format!("{path}/{number}")).await {
                Some(201) => self.acknowledged.lock().expect("no panic").push(number),
                Some(503) => drop(self.refused.fetch_add(1, SeqCst)),
                Some(other) => panic!("{path}/{number} was answered by {other}"),
                None => return,
            }
        }
    }
}

/// Returns the status; none if the connection was lost.
async fn post(stream: &mut TcpStream, path: &str) -> Option<u16> {
    let request = format!("POST {path} HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n");
    stream.write_all(request.as_bytes()).await.ok()?;
    let head = response(stream).await?;
    head.get(9..12)?.parse().ok()
}

async fn get(stream: &mut TcpStream, path: &str) -> Option<String> {
    let request = format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n");
    stream.write_all(request.as_bytes()).await.ok()?;
    let response = response(stream).await?;
    response.split("\r\n\r\n").nth(1).map(str::to_owned)
}

/// Reads a response whose length is known.
async fn response(stream: &mut TcpStream) -> Option<String> {
    let mut read = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&read).to_lowercase();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.split("content-length: ").nth(1);
            let length = length.and_then(|rest| rest.split('\r').next()?.parse().ok());
            if body.len() >= length.unwrap_or(0) {
                return Some(text);
            }
        }
        if stream.read_buf(&mut read).await.ok()? == 0 {
            return None;
        }
    }
}

/// Waits until the store of this server has nothing left to run.
async fn wait_for_all(child: &Child) {
    let mut stream = TcpStream::connect(child.addr).await.expect("it serves");
    let all = async {
        while get(&mut stream, "/left").await.as_deref() != Some("0") {
            sleep(Duration::from_millis(20)).await;
        }
    };
    soon("the end of all tasks", all).await;
}

fn ran(folder: &Path) -> Vec<String> {
    let log = std::fs::read_to_string(folder.join("ran.log"));
    log.unwrap_or_default().lines().map(str::to_owned).collect()
}

/// Checks the promise, and tells the numbers.
fn check(what: &str, load: &Load, folder: &Path) {
    let acknowledged = load.acknowledged.lock().expect("no panic");
    let mut times: HashMap<u64, usize> = HashMap::new();
    for line in ran(folder) {
        *times.entry(line.parse().expect("a number")).or_default() += 1;
    }
    let lost: Vec<_> = acknowledged
        .iter()
        .filter(|number| !times.contains_key(number))
        .collect();
    let known: HashSet<_> = acknowledged.iter().collect();
    let twice = times.values().filter(|times| **times > 1).count();
    let unknown = times
        .keys()
        .filter(|number| !known.contains(number))
        .count();
    println!(
        "{what}: {} acknowledged, {} lost, {twice} run more than once, {unknown} run without a 201, {} refused",
        acknowledged.len(),
        lost.len(),
        load.refused.load(SeqCst),
    );
    assert!(!acknowledged.is_empty());
    assert_eq!(lost, Vec::<&u64>::new(), "acknowledged and never run");
}

/// Kills one of so many processes on one file, at random, again and again.
async fn kill_at_random(processes: usize) {
    let seed = Rng::seed();
    println!("BOCADILLO_SEED={seed}");
    let mut rng = Rng::new(seed);
    let folder = folder();
    let load = Arc::<Load>::default();
    let start = |clients: &mut JoinSet<()>| {
        let child = Child::start(folder.path());
        for _ in 0..CLIENTS / processes {
            clients.spawn(Arc::clone(&load).send(child.addr, "/record"));
        }
        child
    };
    let mut clients = JoinSet::new();
    let mut children: Vec<_> = (0..processes).map(|_| start(&mut clients)).collect();
    for _ in 0..kills() {
        sleep(Duration::from_millis(rng.range(20, 400) as u64)).await;
        let victim = rng.range(0, processes - 1);
        children.swap_remove(victim).kill();
        children.push(start(&mut clients));
    }
    sleep(Duration::from_millis(100)).await;
    load.is_over.store(true, SeqCst);
    soon("the clients", clients.join_all()).await;
    children.truncate(1);
    let begun = Instant::now();
    wait_for_all(&children[0]).await;
    println!("the rest took {:?}", begun.elapsed());
    check(&format!("{processes} process(es)"), &load, folder.path());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_process_is_killed_at_random() {
    kill_at_random(1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_two_processes_is_killed_at_random() {
    kill_at_random(2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_that_kills_its_process_runs_exactly_so_often() {
    let folder = folder();
    let mut child = Child::start(folder.path());
    let mut stream = TcpStream::connect(child.addr).await.expect("it serves");
    post(&mut stream, "/poison").await;
    for _ in 0..2 {
        assert!(!child.wait().success());
        child = Child::start(folder.path());
    }
    assert!(!child.wait().success());
    let child = Child::start(folder.path());
    wait_for_all(&child).await;
    assert_eq!(ran(folder.path()), ["poison"; 3]);
    let store = Sqlite::open(folder.path().join("tasks.db")).expect("a database");
    let dead = store.list(KeptState::Dead, 10).await.expect("a list");
    assert_eq!(dead.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_graceful_end_burns_no_attempt() {
    let folder = folder();
    let mut child = Child::start(folder.path());
    let mut stream = TcpStream::connect(child.addr).await.expect("it serves");
    assert_eq!(post(&mut stream, "/slow").await, Some(200));
    let started = async {
        while ran(folder.path()).is_empty() {
            sleep(Duration::from_millis(10)).await;
        }
    };
    soon("the start", started).await;
    assert!(child.terminate().success());
    let store = Sqlite::open(folder.path().join("tasks.db")).expect("a database");
    let queued = store.list(KeptState::Queued, 10).await.expect("a list");
    assert_eq!((queued.len(), queued[0].attempts), (1, 0));
    let files = std::fs::read_dir(folder.path()).expect("the folder");
    let names = files.map(|file| file.expect("a file").file_name());
    let locks = names.filter(|name| name.to_string_lossy().contains("-owner-"));
    assert_eq!(locks.count(), 1, "the lock file of this process alone");
}

/// A disk that is full is a 503, and loses nothing that was acknowledged.
#[cfg(unix)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_is_a_503() {
    let folder = folder();
    let child = Child::start_limited(folder.path(), 4096);
    let load = Arc::<Load>::default();
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        clients.spawn(Arc::clone(&load).send(child.addr, "/large"));
    }
    let refused = async {
        while load.refused.load(SeqCst) == 0 {
            sleep(Duration::from_millis(10)).await;
        }
    };
    soon("the first 503", refused).await;
    load.is_over.store(true, SeqCst);
    soon("the clients", clients.join_all()).await;
    child.kill();
    let child = Child::start(folder.path());
    wait_for_all(&child).await;
    check("full disk", &load, folder.path());
}
