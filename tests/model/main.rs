//! The runner against a model, at random.
//!
//! Each run has a few requests, whose views register, replace and nest tasks that end in every way
//! there is, under small limits, with clients that leave and a shutdown at a random moment. The
//! tasks count for themselves what happens to them: nothing of the runner's is used for that. In
//! the end every task has been started at most once, has given everything back, has exactly one
//! report, and the runner's numbers are those that were counted.
//!
//! `BOCADILLO_SEED` repeats a run, `BOCADILLO_RUNS` sets how many there are.

#[path = "../support/rng.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared with other tests")]
mod rng;

mod plan;
mod record;

use std::{env, sync::Arc, time::Duration};

use bocadillo::{
    App, HttpError, Request, Response, Runner, Task,
    background::{self, Overflow, Report, Stats, TaskState},
    testing::Client,
};
use plan::{Ending, Plan, TaskPlan, ViewEnd};
use record::{Records, Running};
use rng::Rng;
use tokio::time::{sleep, timeout};

/// What all views of a run share.
#[derive(Clone)]
struct World {
    plan: Arc<Plan>,
    records: Records,
}

async fn view(req: &mut Request, res: &mut Response) -> bocadillo::Result<()> {
    let world = req.state::<World>()?.clone();
    let number: usize = req.param("number")?;
    let plan = &world.plan.views[number];
    let record = Arc::new(record::View::default());
    for planned in &plan.tasks {
        sleep(planned.before).await;
        let task = task(planned, &world.records, Some(&record));
        if planned.adds {
            res.add_background(task);
        } else {
            res.background(task);
        }
    }
    sleep(plan.after).await;
    match plan.end {
        ViewEnd::Ok => record.succeeds(),
        ViewEnd::NotFound => res.status(404),
        ViewEnd::HttpError => return Err(HttpError::new(409).into()),
        ViewEnd::Error => return Err(std::io::Error::other("planned").into()),
        ViewEnd::Panic => panic!("planned"),
    }
    Ok(())
}

/// Registers, and says so.
fn task(planned: &TaskPlan, records: &Records, view: Option<&Arc<record::View>>) -> Task {
    let record = records.register(planned.when, planned.adds, view.cloned());
    let name = record.name();
    let (ending, nested) = (planned.ending, planned.nested.clone());
    let records = records.clone();
    let task = Task::fallible(async move {
        let running = Running::begin(&record);
        for planned in &nested {
            background::current().spawn(task(planned, &records, None));
        }
        end(ending, running).await
    });
    let task = task.name(name).when(planned.when);
    match planned.timeout {
        Some(timeout) => task.timeout(timeout),
        None => task,
    }
}

async fn end(ending: Ending, running: Running) -> Result<(), bocadillo::BoxError> {
    match ending {
        Ending::Now => {}
        Ending::After(time) => sleep(time).await,
        Ending::Yields(times) => {
            for _ in 0..times {
                tokio::task::yield_now().await;
            }
        }
        Ending::Fails(time) => {
            sleep(time).await;
            running.ends(TaskState::Failed);
            return Err("planned".into());
        }
        Ending::Panics => {
            running.ends(TaskState::Panicked);
            panic!("planned");
        }
        Ending::Never => std::future::pending().await,
        Ending::WhenCancelled => background::current().cancelled().await,
    }
    running.ends(TaskState::Completed);
    Ok(())
}

async fn run(seed: u64) {
    let mut rng = Rng::new(seed);
    let plan = Arc::new(Plan::random(&mut rng));
    let records = Records::default();
    let reports = Arc::new(std::sync::Mutex::new(Vec::<Report>::new()));
    let kept = Arc::clone(&reports);
    let runner = Runner::current()
        .max_running(plan.max_running)
        .max_waiting(plan.max_waiting)
        .overflow(if plan.holds_back {
            Overflow::HoldBack
        } else {
            Overflow::Refuse
        })
        .timeout(plan.timeout)
        .on_report(move |report| kept.lock().expect("no panic").push(report.clone()))
        .build();
    let world = World {
        plan: Arc::clone(&plan),
        records: records.clone(),
    };
    let app = App::new().add("/{number}", &["get"], view).state(world);
    let client = Client::with_runner(app, runner.clone());

    let clients = plan.views.iter().enumerate().map(|(number, planned)| {
        let (client, leaves, begins) = (client.clone(), planned.client_leaves, planned.begins);
        tokio::spawn(async move {
            sleep(begins).await;
            let request = async { client.get(&format!("/{number}")).await };
            match leaves {
                // Gives up the request: the view runs on without a client.
                Some(after) => drop(timeout(after, request).await),
                None => drop(request.await),
            }
        })
    });
    let clients: Vec<_> = clients.collect();
    sleep(plan.shutdown_at).await;
    let drained = runner.drain(plan.drain).await;
    for client in clients {
        client.await.expect("a client does not panic");
    }
    // Views without a client, which still registered: with a runner that has ended.
    sleep(Duration::from_secs(120)).await;
    assert!(drained.still_running.is_empty(), "{drained}");
    let reports = reports.lock().expect("no panic").clone();
    check(&records, runner.stats(), &reports);
}

fn check(records: &Records, stats: Stats, reports: &[Report]) {
    let records = records.all();
    assert_eq!(
        stats.registered,
        records.len() as u64,
        "every registration counts"
    );
    assert_eq!((stats.waiting, stats.running), (0, 0), "nothing is left");
    let states = [
        (TaskState::Completed, stats.completed),
        (TaskState::Failed, stats.failed),
        (TaskState::Panicked, stats.panicked),
        (TaskState::TimedOut, stats.timed_out),
        (TaskState::Cancelled, stats.cancelled),
        (TaskState::Replaced, stats.replaced),
        (TaskState::Skipped, stats.skipped),
        (TaskState::Refused, stats.refused),
    ];
    let sum: u64 = states.iter().map(|(_, count)| count).sum();
    assert_eq!(sum, stats.registered, "the states add up");
    for (state, count) in states {
        let reported = reports.iter().filter(|report| report.outcome == state);
        assert_eq!(reported.count() as u64, count, "reports of {state}");
    }
    let mut ids: Vec<_> = reports.iter().map(|report| report.id).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), records.len(), "each has one report");
    for record in &records {
        let name = record.name();
        let mut own = reports.iter().filter(|report| report.name == name);
        let (Some(report), None) = (own.next(), own.next()) else {
            panic!("{name} has not exactly one report");
        };
        record.check(report);
    }
}

#[test]
#[allow(clippy::print_stdout, reason = "the seed, which a failing test shows")]
fn the_runner_does_what_the_model_says() {
    let runs = env::var("BOCADILLO_RUNS").map_or(3000, |runs| runs.parse().expect("a number"));
    let seed = Rng::seed();
    println!("BOCADILLO_SEED={seed}");
    // The planned panics are many.
    std::panic::set_hook(Box::new(|info| {
        if info.payload_as_str() != Some("planned") {
            eprintln!("{info}");
        }
    }));
    for run_seed in (0..runs).map(|run: u64| seed.wrapping_add(run)) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .expect("a runtime");
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            runtime.block_on(run(run_seed));
        }));
        assert!(
            result.is_ok(),
            "repeat it by BOCADILLO_SEED={run_seed} BOCADILLO_RUNS=1"
        );
    }
}
