//! Servers that end at random moments, under everything that may be under way.
//!
//! Each run has one runner, for one app or two, on one, two or four threads. Clients of both protocols
//! ask, and leave; views register, fail, panic and run on; a layer tries again; tasks wait, compute,
//! fail, panic, leave follow-ups behind, and block threads. Then the servers are told to end. When
//! their futures have returned, everything that was registered has ended in exactly one state, and was
//! told exactly once. The test counts the registrations and the starts itself.
//!
//! `BOCADILLO_SEED` repeats a run, `BOCADILLO_STORMS` sets how many there are.

#[path = "support/rng.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared with other tests")]
mod rng;
mod support;

use std::{
    collections::HashMap,
    env,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use bocadillo::{
    App, HttpError, Limits, Request, Response, Runner, Task,
    background::{self, Report, TaskState, When},
};
use rng::Rng;
use support::{Twice, counts::sum, soon};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::{mpsc, oneshot},
    time::{sleep, timeout},
};

/// What all views and tasks of a run share.
#[derive(Clone, Default)]
struct World {
    seed: u64,
    registered: Arc<AtomicU64>,
    started: Arc<Mutex<HashMap<String, u64>>>,
}

fn millis(rng: &mut Rng, most: usize) -> Duration {
    Duration::from_millis(rng.range(0, most) as u64)
}

impl World {
    /// Makes a task, which is about to be registered.
    fn task(&self, rng: &mut Rng, depth: usize) -> Task {
        let name = format!("task {}", self.registered.fetch_add(1, SeqCst));
        let (world, mut own) = (self.clone(), rng.fork());
        let started = name.clone();
        let start = move || {
            let mut all = world.started.lock().expect("no panic");
            *all.entry(started).or_default() += 1;
            drop(all);
            world
        };
        if own.one_in(6) {
            let blocks = millis(&mut own, 20);
            let task = Task::blocking(move || {
                let world = start();
                std::thread::sleep(blocks);
                world.follow_up(&mut own, depth);
            });
            return options(task.name(name), rng);
        }
        let task = Task::fallible(async move {
            let world = start();
            world.follow_up(&mut own, depth);
            match own.range(0, 7) {
                0 => {}
                1 => tokio::task::yield_now().await,
                2 | 3 => sleep(millis(&mut own, 40)).await,
                4 => return Err("planned".into()),
                5 => panic!("planned"),
                6 => busy().await,
                _ => std::future::pending().await,
            }
            Ok(())
        });
        options(task.name(name), rng)
    }

    fn follow_up(&self, rng: &mut Rng, depth: usize) {
        if depth > 0 && rng.one_in(3) {
            background::current().spawn(self.task(rng, depth - 1));
        }
    }
}

fn options(task: Task, rng: &mut Rng) -> Task {
    let task = match rng.range(0, 5) {
        0 => task.when(When::Success),
        1 => task.when(When::Delivered),
        _ => task,
    };
    match rng.range(0, 2) {
        0 => task.timeout(millis(rng, 60)),
        _ => task,
    }
}

/// Uses up the budget of its tokio task each time, for a while.
async fn busy() {
    let (tx, mut rx) = mpsc::unbounded_channel();
    for _ in 0..2000 {
        tx.send(()).expect("it is open");
        rx.recv().await;
    }
}

async fn view(req: &mut Request, res: &mut Response) -> bocadillo::Result<()> {
    let world = req.state::<World>()?.clone();
    let number: u64 = req.param("number")?;
    let mut rng = Rng::new(world.seed ^ number);
    for _ in 0..rng.range(0, 3) {
        let task = world.task(&mut rng, 2);
        if rng.one_in(4) {
            res.background(task);
        } else {
            res.add_background(task);
        }
        sleep(millis(&mut rng, 10)).await;
    }
    sleep(millis(&mut rng, 60)).await;
    match rng.range(0, 8) {
        0 => return Err(HttpError::new(500).into()),
        1 => return Err(std::io::Error::other("planned").into()),
        2 => panic!("planned"),
        3 => res.bytes(vec![0; 1 << 20]),
        4 => std::future::pending().await,
        _ => res.text("ok"),
    }
    Ok(())
}

/// Asks one server a few times, and leaves.
async fn client(addr: SocketAddr, mut rng: Rng) {
    for _ in 0..rng.range(1, 4) {
        let patience = millis(&mut rng, 120);
        let numbers: Vec<_> = (0..rng.range(1, 3)).map(|_| rng.next() >> 1).collect();
        let asked = async {
            if rng.one_in(2) {
                http1(addr, &numbers).await;
            } else {
                http2(addr, &numbers).await;
            }
        };
        let _ = timeout(patience, asked).await;
    }
}

async fn http1(addr: SocketAddr, numbers: &[u64]) -> Option<()> {
    let mut stream = TcpStream::connect(addr).await.ok()?;
    for number in numbers {
        let head = format!("GET /{number} HTTP/1.1\r\nhost: a\r\n\r\n");
        stream.write_all(head.as_bytes()).await.ok()?;
    }
    let mut read = vec![0; 1 << 16];
    while stream.read(&mut read).await.ok()? > 0 {}
    Some(())
}

async fn http2(addr: SocketAddr, numbers: &[u64]) -> Option<()> {
    let stream = TcpStream::connect(addr).await.ok()?;
    let (mut send, connection) = h2::client::handshake(stream).await.ok()?;
    let asked = async {
        let mut responses = Vec::new();
        for number in numbers {
            send = send.ready().await.ok()?;
            let request = http::Request::get(format!("http://a/{number}")).body(());
            responses.push(send.send_request(request.ok()?, true).ok()?.0);
        }
        for response in responses {
            let mut body = response.await.ok()?.into_body();
            while let Some(data) = body.data().await {
                let _ = body.flow_control().release_capacity(data.ok()?.len());
            }
        }
        Some(())
    };
    tokio::select! {
        _ = connection => None,
        answered = asked => answered,
    }
}

type Served = tokio::task::JoinHandle<bocadillo::Result<()>>;

async fn serve(app: App) -> (SocketAddr, oneshot::Sender<()>, Served) {
    let (stop, stopped) = oneshot::channel::<()>();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let addr = listener.local_addr().expect("an address");
    let app = app.with_graceful_shutdown(async { drop(stopped.await) });
    (addr, stop, tokio::spawn(app.serve_with(listener)))
}

async fn run(seed: u64, workers: usize) {
    let mut rng = Rng::new(seed);
    let reports = Arc::new(Mutex::new(Vec::<Report>::new()));
    let kept = Arc::clone(&reports);
    let runner = match rng.range(0, 2) {
        0 => Runner::current(),
        threads => Runner::dedicated(threads),
    };
    let runner = runner
        .max_running(rng.range(1, 8))
        .max_waiting(rng.range(0, 30))
        .max_blocking(rng.range(1, 2))
        .timeout(Duration::from_millis(100))
        .drain_timeout(Duration::from_millis(rng.range(50, 400) as u64))
        .on_report(move |report| {
            // Long enough that a drain that does not wait for it is seen.
            std::thread::sleep(Duration::from_micros(200));
            kept.lock().expect("no panic").push(report.clone());
            assert!(report.id % 7 != 0, "planned");
        })
        .build();
    let world = World {
        seed,
        ..World::default()
    };
    let mut servers = Vec::new();
    for _ in 0..rng.range(1, 2) {
        let app = App::new()
            .add("/{number}", &["get"], view)
            .state(world.clone())
            .background(runner.clone())
            .limits(Limits::new().max_detached(rng.range(0, 8)));
        let app = if rng.one_in(2) {
            app.layer(tower_layer::layer_fn(Twice))
        } else {
            app
        };
        servers.push(serve(app).await);
    }
    let addrs: Vec<_> = servers.iter().map(|(addr, ..)| *addr).collect();
    let clients: Vec<_> = (0..rng.range(1, 8))
        .map(|number| tokio::spawn(client(addrs[number % addrs.len()], rng.fork())))
        .collect();
    for (_, stop, served) in servers {
        sleep(millis(&mut rng, 150)).await;
        drop(stop);
        // An error names what was cut off.
        let _ = soon("the end", served).await.expect("no panic");
    }
    let (stats, reports) = (runner.stats(), reports.lock().expect("no panic").clone());
    for client in clients {
        client.await.expect("no panic");
    }
    assert_eq!(stats, runner.stats(), "nothing goes on after the end");
    let registered = world.registered.load(SeqCst);
    assert_eq!(stats.registered, registered, "{workers} workers: {stats:?}");
    assert_eq!((stats.waiting, stats.running), (0, 0), "{stats:?}");
    assert_eq!(sum(stats), registered, "{stats:?}");
    check(&world, &reports);
}

fn check(world: &World, reports: &[Report]) {
    let started = world.started.lock().expect("no panic").clone();
    let mut told = HashMap::new();
    for report in reports {
        let starts = started.get(&*report.name).copied().unwrap_or_default();
        let name = &report.name;
        let fits = match report.outcome {
            TaskState::Refused | TaskState::Replaced | TaskState::Skipped => starts == 0,
            // Before its first poll, or of a function before its call.
            TaskState::Cancelled | TaskState::TimedOut => starts <= 1,
            _ => starts == 1,
        };
        assert!(
            fits,
            "{name} was started {starts} times and {}",
            report.outcome
        );
        *told.entry(name.clone()).or_insert(0) += 1;
    }
    assert_eq!(
        told.len() as u64,
        world.registered.load(SeqCst),
        "each was told"
    );
    let twice: Vec<_> = told.iter().filter(|(_, times)| **times != 1).collect();
    assert!(twice.is_empty(), "told more than once: {twice:?}");
}

#[test]
#[allow(clippy::print_stdout, reason = "the seed, which a failing test shows")]
fn nothing_is_lost_whatever_is_under_way_when_a_server_ends() {
    let runs = env::var("BOCADILLO_STORMS").map_or(24, |runs| runs.parse().expect("a number"));
    let seed = Rng::seed();
    println!("BOCADILLO_SEED={seed}");
    // The planned panics are many.
    std::panic::set_hook(Box::new(|info| {
        if info.payload_as_str() != Some("planned") {
            eprintln!("{info}");
        }
    }));
    for run_seed in (0..runs).map(|run: u64| seed.wrapping_add(run)) {
        let workers = [1, 2, 4][(run_seed % 3) as usize];
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(workers)
            .enable_all()
            .build()
            .expect("a runtime");
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            runtime.block_on(run(run_seed, workers));
        }));
        assert!(
            result.is_ok(),
            "repeat it by BOCADILLO_SEED={run_seed} BOCADILLO_STORMS=1"
        );
        runtime.shutdown_timeout(Duration::from_millis(10));
    }
}
