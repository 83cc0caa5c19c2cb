//! What a runner tells the recorder of the `metrics` crate.

use std::{collections::BTreeMap, time::Duration};

use bocadillo::{App, Request, Response, Runner, Task, background::When, route, testing::Client};
use metrics_util::{
    MetricKind,
    debugging::{DebugValue, DebuggingRecorder, Snapshotter},
};

#[route("/")]
async fn index(_req: &mut Request, res: &mut Response) {
    res.background(Task::new(async {}).name("early"));

    #[background]
    async fn mail() {
        #[background]
        async fn follow_up() {}
    }
    #[background(add)]
    async fn fails() -> Result<(), std::fmt::Error> {
        Err(std::fmt::Error)
    }
    #[background(add, timeout = "1s")]
    async fn hangs() {
        std::future::pending::<()>().await;
    }
    res.add_background(Task::new(async {}).name("unmet").when(When::Success));
    res.status(404);
}

/// Each metric as text, with its number: of a histogram, that of its values.
fn seen(snapshotter: &Snapshotter) -> BTreeMap<String, u64> {
    let mut seen = BTreeMap::new();
    for (key, _, _, value) in snapshotter.snapshot().into_vec() {
        let (kind, key) = key.into_parts();
        let labels: Vec<_> = key
            .labels()
            .map(|it| format!("{}={}", it.key(), it.value()))
            .collect();
        let name = format!("{} {}", key.name(), labels.join(" "));
        let number = match (kind, value) {
            (MetricKind::Counter, DebugValue::Counter(number)) => number,
            (MetricKind::Gauge, DebugValue::Gauge(number)) => {
                assert!(*number >= 0.0 && number.fract() == 0.0, "{name}: {number}");
                number.to_string().parse().expect("a whole number")
            }
            (_, DebugValue::Histogram(values)) => values.len() as u64,
            (kind, value) => panic!("{name}: {kind:?} {value:?}"),
        };
        seen.insert(name.trim_end().to_owned(), number);
    }
    seen
}

#[tokio::test(start_paused = true)]
async fn every_task_is_told() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    recorder.install().expect("there is no other");

    let runner = Runner::current().build();
    let client = Client::with_runner(App::new().route(index), runner.clone());
    client.get("/").await.tasks().await;
    assert!(runner.drain(Duration::from_secs(9)).await.is_clean());
    client.get("/").await.tasks().await;

    let seen = seen(&snapshotter);
    let ended = |task: &str, outcome: &str| {
        let name = format!("bocadillo_tasks_ended_total task={task} outcome={outcome}");
        seen.get(&name).copied().unwrap_or_default()
    };
    assert_eq!(seen["bocadillo_tasks_registered_total"], 11, "{seen:#?}");
    assert_eq!(ended("early", "replaced"), 2, "{seen:#?}");
    assert_eq!(ended("mail", "completed"), 1, "{seen:#?}");
    assert_eq!(ended("follow_up", "completed"), 1, "{seen:#?}");
    assert_eq!(ended("fails", "failed"), 1, "{seen:#?}");
    assert_eq!(ended("hangs", "timed_out"), 1, "{seen:#?}");
    assert_eq!(ended("unmet", "skipped"), 2, "{seen:#?}");
    for refused in ["mail", "fails", "hangs"] {
        assert_eq!(ended(refused, "refused"), 1, "{seen:#?}");
    }
    assert_eq!(seen["bocadillo_tasks_waiting"], 0);
    assert_eq!(seen["bocadillo_tasks_running"], 0);
    assert_eq!(seen["bocadillo_task_run_seconds task=mail"], 1);
    assert_eq!(seen["bocadillo_task_wait_seconds task=mail"], 1);
    let all: u64 = seen
        .iter()
        .filter(|(name, _)| name.starts_with("bocadillo_tasks_ended_total"))
        .map(|(_, number)| number)
        .sum();
    assert_eq!(all, 11, "every registration has ended");
}
