//! Workers, on runtimes that the tests drive.

use std::{
    future::poll_fn,
    sync::atomic::{AtomicUsize, Ordering::SeqCst},
    time::Duration,
};

use tokio::{
    runtime::{Builder, Runtime},
    sync::Semaphore,
    task::yield_now,
};

use super::*;
use crate::{
    background::{Registrations, Runner, Stats, Task, account::Scope, current},
    sent::Delivery,
};

fn runtime() -> Runtime {
    Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime")
}

/// Registers a task, and says that its response is out.
fn start(runner: &Runner, pool: &Arc<Pool>, future: impl Future<Output = ()> + Send + 'static) {
    let mut slot = Registrations::from(Task::new(future));
    let on_done = runner.accept(&mut slot, |meta| meta.pool = Some(Arc::clone(pool)));
    on_done.done(Delivery::Sent);
}

/// Lets the runtime run until this holds.
async fn until(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..10_000 {
        if holds() {
            return;
        }
        yield_now().await;
    }
    panic!("it never came to that {what}");
}

async fn completed(runner: &Runner, tasks: u64) {
    let holds = || runner.stats().completed == tasks;
    until(&format!("{tasks} tasks were completed"), holds).await;
}

#[test]
fn one_worker_runs_one_task_after_another() {
    let (runtime, runner) = (runtime(), Runner::current().build());
    let pool = Arc::new(Pool::here(runtime.handle().clone()));
    runtime.block_on(async {
        for number in 1..=10 {
            start(&runner, &pool, async {});
            completed(&runner, number).await;
        }
    });
    assert_eq!(runtime.metrics().num_alive_tasks(), 1);
}

#[test]
fn a_worker_outlives_a_panic() {
    let (runtime, runner) = (runtime(), Runner::current().build());
    let pool = Arc::new(Pool::here(runtime.handle().clone()));
    runtime.block_on(async {
        start(&runner, &pool, async { panic!("as the test wants") });
        until("it panicked", || runner.stats().panicked == 1).await;
        start(&runner, &pool, async {});
        completed(&runner, 1).await;
    });
    assert_eq!(runtime.metrics().num_alive_tasks(), 1);
}

#[test]
fn tasks_that_run_together_have_workers_of_their_own_and_few_of_those_stay() {
    const TASKS: usize = 3 * MAX_IDLE;
    let (runtime, runner) = (runtime(), Runner::current().build());
    let pool = Arc::new(Pool::here(runtime.handle().clone()));
    let (gate, begun) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicUsize::new(0)));
    let alive = || runtime.metrics().num_alive_tasks();
    runtime.block_on(async {
        for _ in 0..TASKS {
            let (gate, begun) = (Arc::clone(&gate), Arc::clone(&begun));
            start(&runner, &pool, async move {
                begun.fetch_add(1, SeqCst);
                gate.acquire().await.expect("it stays open").forget();
            });
        }
        until("all have begun", || begun.load(SeqCst) == TASKS).await;
        assert_eq!(alive(), TASKS);
        gate.add_permits(TASKS);
        completed(&runner, TASKS as u64).await;
        until("the others have ended", || alive() == MAX_IDLE).await;

        drop(pool);
        until("no worker is left", || alive() == 0).await;
    });
}

#[test]
fn what_a_worker_was_given_that_went_with_its_runtime_is_accounted_for() {
    let (runtime, runner) = (runtime(), Runner::current().build());
    let pool = Arc::new(Pool::here(runtime.handle().clone()));
    runtime.block_on(async {
        start(&runner, &pool, async {});
        completed(&runner, 1).await;
    });
    // The idle worker has it in its inbox, and is not polled any more.
    start(&runner, &pool, async {});
    assert_eq!(runner.stats().running, 1);
    drop(runtime);
    assert_eq!(runner.stats().cancelled, 1);
    // Nobody is there any more.
    start(&runner, &pool, async {});
    let expected = Stats {
        registered: 3,
        completed: 1,
        cancelled: 2,
        ..Stats::default()
    };
    assert_eq!(runner.stats(), expected);
}

#[test]
fn an_idle_worker_whose_runtime_is_gone_is_given_nothing() {
    let (runtime, runner) = (runtime(), Runner::current().build());
    let pool = Arc::new(Pool::here(runtime.handle().clone()));
    runtime.block_on(async {
        start(&runner, &pool, async {});
        completed(&runner, 1).await;
    });
    drop(runtime);
    start(&runner, &pool, async {});
    assert_eq!(runner.stats().cancelled, 1);
}

#[test]
fn a_waker_that_a_task_has_left_behind_disturbs_nobody() {
    let (runtime, runner) = (runtime(), Runner::current().build());
    let pool = Arc::new(Pool::here(runtime.handle().clone()));
    let left = Arc::new(Mutex::new(None::<Waker>));
    let wake = || {
        let left = left.lock().expect("no panic");
        left.as_ref().expect("it was left").wake_by_ref();
    };
    runtime.block_on(async {
        let leaves = Arc::clone(&left);
        start(&runner, &pool, async move {
            poll_fn(|cx| {
                *leaves.lock().expect("no panic") = Some(cx.waker().clone());
                Poll::Ready(())
            })
            .await;
        });
        completed(&runner, 1).await;
        wake();
        yield_now().await;

        let gate = Arc::new(Semaphore::new(0));
        let opens = Arc::clone(&gate);
        start(&runner, &pool, async move {
            gate.acquire().await.expect("it stays open").forget();
        });
        yield_now().await;
        wake();
        yield_now().await;
        assert_eq!(runner.stats().running, 1);
        opens.add_permits(1);
        completed(&runner, 2).await;
    });
    assert_eq!(runtime.metrics().num_alive_tasks(), 1);
}

/// Registers three, and says that their response is out.
fn start_three(runner: &Runner, pool: &Arc<Pool>) {
    let mut slot = Registrations::default();
    for _ in 0..3 {
        slot.add(Task::new(async {})).log();
    }
    let on_done = runner.accept(&mut slot, |meta| meta.pool = Some(Arc::clone(pool)));
    on_done.done(Delivery::Sent);
    assert_eq!(runner.stats().running, 3);
}

#[test]
fn those_behind_a_task_that_went_with_its_runtime_are_accounted_for() {
    let (runtime, runner) = (runtime(), Runner::current().build());
    let pool = Arc::new(Pool::here(runtime.handle().clone()));
    start_three(&runner, &pool);
    drop(runtime);
    assert_eq!(runner.stats().cancelled, 3);
}

#[test]
fn those_behind_a_task_that_was_cut_off_are_accounted_for() {
    let (runtime, runner) = (runtime(), Runner::current().build());
    let pool = Arc::new(Pool::here(runtime.handle().clone()));
    start_three(&runner, &pool);
    // Before any of them is polled.
    drop(runner.abort(Scope::All));
    runtime.block_on(until("all have ended", || runner.stats().running == 0));
    assert_eq!(runner.stats().cancelled, 3);
}

/// It runs where it is spawned, whatever has become of the runtime of the task before.
#[test]
fn a_context_that_outlives_its_runtime_spawns_where_it_is() {
    let runner = Runner::current().build();
    let context = Arc::new(Mutex::new(None));
    let first = runtime();
    let pool = Arc::new(Pool::here(first.handle().clone()));
    first.block_on(async {
        let leaves = Arc::clone(&context);
        start(&runner, &pool, async move {
            *leaves.lock().expect("no panic") = Some(current());
        });
        completed(&runner, 1).await;
    });
    drop(first);
    runtime().block_on(async {
        let context = context.lock().expect("no panic").take();
        context.expect("it was left").spawn(async {});
        completed(&runner, 2).await;
    });
}

#[test]
fn timeouts_need_no_timers_of_the_runtime() {
    let runtime = Builder::new_current_thread().build().expect("a runtime");
    let runner = Runner::current().timeout(Duration::from_millis(20)).build();
    let pool = Arc::new(Pool::here(runtime.handle().clone()));
    let (ended, has_ended) = tokio::sync::oneshot::channel::<()>();
    start(&runner, &pool, async move {
        let _ended = ended;
        std::future::pending::<()>().await;
    });
    runtime.block_on(has_ended).expect_err("it is dropped");
    until_in_real_time(|| runner.stats().timed_out == 1);
}

fn until_in_real_time(holds: impl Fn() -> bool) {
    let begun = std::time::Instant::now();
    while !holds() {
        assert!(
            begun.elapsed() < Duration::from_secs(10),
            "it never came to that"
        );
        std::thread::yield_now();
    }
}

/// Or the runner had itself, and never ended.
#[test]
fn what_is_left_of_a_task_holds_nothing() {
    let runtime = runtime();
    let held = Arc::new(());
    let holds = Arc::clone(&held);
    let runner = Runner::current()
        .on_report(move |_| {
            let _ = &holds;
        })
        .build();
    let pool = Arc::new(Pool::dedicated(runtime.handle().clone()));
    runtime.block_on(async {
        start(&runner, &pool, async {});
        completed(&runner, 1).await;
        until("its worker is idle", || pool.idle().len() == 1).await;
    });
    assert!(pool.idle()[0].spent.is_some());
    drop(runner);
    assert_eq!(Arc::strong_count(&held), 1);
}
