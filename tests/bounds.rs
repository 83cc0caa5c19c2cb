//! Limits hold, time runs, and a task that is ready is taken by a thread that is idle.

mod support;

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use bocadillo::{
    App, Request, Response, Runner, Task,
    background::{self, Builder, Overflow, TaskState, When, gather},
    testing::Client,
};
use support::{Gate, Http1, soon, start};
use tokio::{
    runtime::Runtime,
    sync::{Notify, mpsc},
    time::sleep,
};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

fn runtime(workers: usize) -> Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers)
        .enable_all()
        .build()
        .expect("a runtime")
}

/// An app with one view, whose tasks are made so, and a client of it.
fn tasks_of<I: IntoIterator<Item = Task>>(
    runner: Builder,
    make: impl Fn() -> I + Send + Sync + 'static,
) -> (Runner, Client) {
    let make = move || make().into_iter().collect::<Vec<_>>();
    struct Make(Box<dyn Fn() -> Vec<Task> + Send + Sync>);
    async fn view(req: &mut Request, res: &mut Response) -> bocadillo::Result<()> {
        for task in (req.state::<Make>()?.0)() {
            res.add_background(task);
        }
        Ok(())
    }
    let runner = runner.build();
    let app = App::new()
        .add("/", &["get"], view)
        .state(Make(Box::new(make)));
    let client = Client::with_runner(app, runner.clone());
    (runner, client)
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    soon(what, async {
        while !holds() {
            sleep(MS).await;
        }
    })
    .await;
}

/// Uses up the budget of its tokio task each time, and is never done.
async fn busy() {
    let (tx, mut rx) = mpsc::unbounded_channel();
    loop {
        for _ in 0..256 {
            tx.send(()).expect("it is open");
        }
        for _ in 0..256 {
            rx.recv().await;
        }
    }
}

#[test]
fn a_task_that_is_always_busy_times_out() {
    for runner in [Runner::dedicated(1), Runner::current()] {
        runtime(1).block_on(async {
            let (_, client) = tasks_of(runner.timeout(50 * MS), || [Task::new(busy())]);
            let reports = client.get("/").await.tasks().await;
            assert_eq!(reports[0].outcome, TaskState::TimedOut);
        });
    }
    // Where time may be paused, too.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.expect("a runtime").block_on(async {
        let (_, client) = tasks_of(Runner::current().timeout(50 * MS), || [Task::new(busy())]);
        let reports = client.get("/").await.tasks().await;
        assert_eq!(reports[0].outcome, TaskState::TimedOut);
    });
}

/// Each has its own deadline, and the nearest comes first whatever the order of the starts.
#[test]
fn each_task_times_out_in_its_own_time() {
    runtime(2).block_on(async {
        let forever = |millis: u64| {
            let task = Task::new(std::future::pending::<()>()).name(millis.to_string());
            task.timeout(Duration::from_millis(millis))
        };
        let (_, client) = tasks_of(Runner::dedicated(2), move || {
            [300, 40, 600, 140].map(forever)
        });
        let reports = client.get("/").await.tasks().await;
        let names: Vec<_> = reports.iter().map(|report| &*report.name).collect();
        assert_eq!(names, ["40", "140", "300", "600"]);
        for report in &reports {
            let ran = report.ended_at - report.started_at.expect("it was started");
            let limit = Duration::from_millis(report.name.parse().expect("a number"));
            assert_eq!(report.outcome, TaskState::TimedOut);
            assert!(ran >= limit && ran < limit + SECOND, "{ran:?} of {limit:?}");
        }
    });
}

#[tokio::test]
async fn a_busy_member_of_a_gather_starves_no_other() {
    let done = Arc::new(AtomicBool::new(false));
    let (tx, rx) = mpsc::unbounded_channel::<()>();
    let rx = Arc::new(Mutex::new(Some(rx)));
    let ends = Arc::clone(&done);
    let (_, client) = tasks_of(Runner::current().timeout(10 * SECOND), move || {
        let (mut rx, ends) = (
            rx.lock().expect("no panic").take().expect("once"),
            Arc::clone(&ends),
        );
        let waits = async move {
            rx.recv().await;
            ends.store(true, SeqCst);
        };
        [gather((busy(), waits))]
    });
    let _response = client.get("/").await;
    tx.send(()).expect("it listens");
    until("the member behind the busy one", || done.load(SeqCst)).await;
}

struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("as the test wants");
    }
}

#[tokio::test]
async fn a_destructor_that_panics_stops_no_other_member() {
    /// Ends, and panics when it is dropped.
    struct Ends(#[allow(dead_code, reason = "for its destructor")] Bomb);
    impl Future for Ends {
        type Output = ();
        fn poll(
            self: std::pin::Pin<&mut Self>,
            _cx: &mut std::task::Context<'_>,
        ) -> std::task::Poll<()> {
            std::task::Poll::Ready(())
        }
    }
    let ran = Arc::new(AtomicUsize::new(0));
    let runs = Arc::clone(&ran);
    let (_, client) = tasks_of(Runner::current(), move || {
        let runs = Arc::clone(&runs);
        let other = async move {
            tokio::task::yield_now().await;
            runs.fetch_add(1, SeqCst);
        };
        [gather((Ends(Bomb), other))]
    });
    let reports = client.get("/").await.tasks().await;
    assert_eq!(ran.load(SeqCst), 1);
    assert_eq!(reports[0].outcome, TaskState::Failed);
    let error = reports[0].error.as_deref().expect("an error");
    assert!(error.contains("panicked: as the test wants"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn members_keep_their_own_timeout_and_condition() {
    let ran = Arc::new(Mutex::new(Vec::new()));
    let runs = Arc::clone(&ran);
    let make = move || {
        let note = |name: &'static str| {
            let runs = Arc::clone(&runs);
            Task::new(async move { runs.lock().expect("no panic").push(name) })
        };
        [gather([
            note("always"),
            note("success").when(When::Success),
            note("delivered").when(When::Delivered),
            Task::new(sleep(60 * SECOND)).name("slow").timeout(SECOND),
        ])]
    };
    let (_, client) = tasks_of(Runner::current(), make);
    let reports = client.get("/").await.tasks().await;
    assert_eq!(
        *ran.lock().expect("no panic"),
        ["always", "success", "delivered"]
    );
    assert_eq!(reports[0].error.as_deref(), Some("slow: timed out"));
    let took = reports[0].ended_at - reports[0].started_at.expect("it was started");
    assert!(took < 2 * SECOND, "{took:?}");
}

#[tokio::test]
async fn a_member_for_successful_views_is_left_out_after_a_failed_one() {
    async fn view(req: &mut Request, res: &mut Response) -> bocadillo::Result<()> {
        let ran = Arc::clone(req.state::<Arc<AtomicUsize>>()?);
        let member = Task::new(async move {
            ran.fetch_add(1, SeqCst);
        });
        res.background(gather([member.when(When::Success)]));
        res.status(409);
        Ok(())
    }
    let ran = Arc::new(AtomicUsize::new(0));
    let app = App::new().add("/", &["get"], view).state(Arc::clone(&ran));
    let reports = Client::new(app).get("/").await.tasks().await;
    assert_eq!(reports[0].outcome, TaskState::Completed);
    assert_eq!(ran.load(SeqCst), 0);
}

#[tokio::test]
async fn the_name_of_many_is_short() {
    let (_, client) = tasks_of(Runner::current(), || {
        let member = |n: usize| Task::new(async {}).name("n".repeat(n));
        [gather((0..1000).map(member))]
    });
    let name = client.get("/").await.tasks().await[0].name.clone();
    assert!(name.len() < 200, "{} bytes", name.len());
    assert!(name.ends_with("and 997 more)"), "{name}");
}

/// Hung functions keep their threads, and nothing else.
#[test]
fn functions_that_wait_for_a_thread_keep_no_task_from_its_place() {
    runtime(1).block_on(async {
        let gate = Arc::new(Gate::default());
        let ran = Arc::new(AtomicUsize::new(0));
        let (opens, runs) = (Arc::clone(&gate), Arc::clone(&ran));
        let runner = Runner::dedicated(1).max_running(4).max_blocking(1);
        let (runner, client) = tasks_of(runner, move || {
            let hangs = (0..8).map(|_| {
                let opens = Arc::clone(&opens);
                Task::blocking(move || opens.wait())
            });
            let runs = Arc::clone(&runs);
            let quick = Task::new(async move {
                runs.fetch_add(1, SeqCst);
            });
            hangs.chain([quick]).collect::<Vec<_>>()
        });
        let response = client.get("/").await;
        until("the quick task", || ran.load(SeqCst) == 1).await;
        let stats = runner.stats();
        assert_eq!((stats.running, stats.waiting), (1, 7), "{stats:?}");
        gate.open();
        let reports = response.tasks().await;
        assert!(
            reports
                .iter()
                .all(|report| report.outcome == TaskState::Completed)
        );
    });
}

/// A request can be held back; a follow-up cannot.
#[tokio::test]
async fn follow_ups_are_bounded_whatever_the_overflow_policy() {
    for overflow in [Overflow::Refuse, Overflow::HoldBack] {
        let runner = Runner::current()
            .max_running(1)
            .max_waiting(10)
            .overflow(overflow);
        let (runner, client) = tasks_of(runner, || {
            [Task::new(async {
                for _ in 0..1000 {
                    background::current().spawn(async {});
                }
            })]
        });
        client.get("/").await.tasks().await;
        let stats = runner.stats();
        assert_eq!((stats.completed, stats.refused), (11, 990), "{stats:?}");
    }
}

/// A task computes for long; what it leaves behind, and what is ready, is taken by the other thread.
#[test]
fn nothing_waits_behind_a_task_that_computes_while_a_thread_is_idle() {
    for threads in [2, 4] {
        for (kind, runner) in [
            ("dedicated", Runner::dedicated(threads)),
            ("current", Runner::current()),
        ] {
            runtime(threads).block_on(async {
                let begun = Arc::new(Mutex::new(None::<Instant>));
                let begins = Arc::clone(&begun);
                let (_, client) = tasks_of(runner, move || {
                    let begins = Arc::clone(&begins);
                    [Task::new(async move {
                        background::current().spawn(async move {
                            *begins.lock().expect("no panic") = Some(Instant::now());
                        });
                        std::thread::sleep(500 * MS);
                    })]
                });
                // From a thread of the runtime, as a server does.
                let asked = tokio::spawn(async move { client.get("/").await.tasks().await });
                let reports = soon("the tasks", asked).await.expect("no panic");
                let started = reports.iter().filter_map(|report| report.started_at).min();
                let begun = begun.lock().expect("no panic").expect("it ran");
                let after = begun - started.expect("it ran");
                assert!(after < 250 * MS, "{kind}, {threads} threads: {after:?}");
            });
        }
    }
}

/// A pipelined request that computes does not keep the task of the response before it.
#[test]
fn a_released_task_does_not_wait_behind_the_next_request_of_its_connection() {
    async fn first(req: &mut Request, res: &mut Response) -> bocadillo::Result<()> {
        let begun = Arc::clone(req.state::<Arc<AtomicBool>>()?);
        res.background(async move { begun.store(true, SeqCst) });
        Ok(())
    }
    async fn second(req: &mut Request, res: &mut Response) -> bocadillo::Result<()> {
        let begun = Arc::clone(req.state::<Arc<AtomicBool>>()?);
        let computing = Instant::now();
        while !begun.load(SeqCst) && computing.elapsed() < 2 * SECOND {
            std::thread::sleep(MS);
        }
        res.text(begun.load(SeqCst).to_string());
        Ok(())
    }
    for workers in [2, 4] {
        runtime(workers).block_on(async {
            let begun = Arc::new(AtomicBool::new(false));
            let app = App::new()
                .add("/first", &["get"], first)
                .add("/second", &["get"], second)
                .state(begun)
                .background(Runner::current());
            let (addr, _) = start(app).await;
            let mut client = Http1::connect(addr).await;
            client
                .send(
                    "GET /first HTTP/1.1\r\nhost: a\r\n\r\nGET /second HTTP/1.1\r\nhost: a\r\n\r\n",
                )
                .await;
            client.reply(false).await;
            assert_eq!(client.reply(false).await.body, "true", "{workers} workers");
        });
    }
}

/// Where no thread can run anything, the registration says so.
#[test]
fn without_a_runtime_a_task_is_refused_at_once() {
    use std::task::{Context, Poll, Waker};
    let told = Arc::new(Mutex::new(Vec::new()));
    let tells = Arc::clone(&told);
    let (runner, client) = tasks_of(
        Runner::current()
            .on_report(move |report| tells.lock().expect("no panic").push(report.outcome)),
        || [Task::new(async {})],
    );
    // Polled by a thread that is none of a runtime's.
    let mut asking = std::pin::pin!(async move { client.get("/").await });
    let polled = asking
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()));
    assert!(matches!(polled, Poll::Ready(_)));
    assert_eq!(*told.lock().expect("no panic"), [TaskState::Refused]);
    assert_eq!(runner.stats().refused, 1);
}

#[tokio::test]
async fn extreme_settings_are_taken_at_their_word() {
    type Set = fn(Builder) -> Builder;
    let settings: [(&str, Set, TaskState); 12] = [
        ("max_running 0", |b| b.max_running(0), TaskState::Completed),
        ("max_running 1", |b| b.max_running(1), TaskState::Completed),
        (
            "max_running MAX",
            |b| b.max_running(usize::MAX),
            TaskState::Completed,
        ),
        ("max_waiting 0", |b| b.max_waiting(0), TaskState::Refused),
        ("max_waiting 1", |b| b.max_waiting(1), TaskState::Completed),
        (
            "max_waiting MAX",
            |b| b.max_waiting(usize::MAX),
            TaskState::Completed,
        ),
        (
            "max_blocking 0",
            |b| b.max_blocking(0),
            TaskState::Completed,
        ),
        (
            "max_blocking MAX",
            |b| b.max_blocking(usize::MAX),
            TaskState::Completed,
        ),
        (
            "timeout 0",
            |b| b.timeout(Duration::ZERO),
            TaskState::TimedOut,
        ),
        (
            "timeout MAX",
            |b| b.timeout(Duration::MAX),
            TaskState::Completed,
        ),
        (
            "threshold 0",
            |b| b.blocking_threshold(Duration::ZERO),
            TaskState::Completed,
        ),
        (
            "threshold MAX",
            |b| b.blocking_threshold(Duration::MAX),
            TaskState::Completed,
        ),
    ];
    for (name, set, outcome) in settings {
        let (runner, client) = tasks_of(set(Runner::dedicated(1)), || [Task::new(sleep(2 * MS))]);
        let reports = client.get("/").await.tasks().await;
        assert_eq!(reports[0].outcome, outcome, "{name}");
        assert!(runner.drain(Duration::MAX).await.is_clean(), "{name}");
    }
    for drain in [Duration::ZERO, Duration::MAX] {
        let (runner, client) = tasks_of(Runner::dedicated(1).drain_timeout(drain), || {
            [Task::new(async {})]
        });
        client.get("/").await.tasks().await;
        assert!(runner.drain(drain).await.is_clean(), "{drain:?}");
    }
    for threads in [0, 1] {
        let (_, client) = tasks_of(Runner::dedicated(threads), || [Task::new(async {})]);
        assert_eq!(client.get("/").await.tasks().await.len(), 1);
    }
}

/// A waker that an abort has to find, and a notification that is none.
#[tokio::test]
async fn a_task_that_waits_is_cut_off_where_it_waits() {
    let held = Arc::new(());
    let holds = Arc::downgrade(&held);
    let held = Mutex::new(Some(held));
    let (runner, client) = tasks_of(Runner::dedicated(1), move || {
        let held = held.lock().expect("no panic").take();
        [Task::new(async move {
            let _held = held;
            Notify::new().notified().await;
        })]
    });
    client.get("/").await;
    until("it runs", || runner.stats().running == 1).await;
    let report = soon("the drain", runner.drain(20 * MS)).await;
    assert_eq!(report.cut.len(), 1, "{report}");
    assert!(holds.upgrade().is_none(), "it has given back what it held");
}
