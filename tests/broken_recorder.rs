//! A recorder of `metrics` that panics changes no account. In a process of its own: there is one
//! recorder for all.

mod support;

use bocadillo::{App, Request, Response, Runner, Task, route};
use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use support::{
    Http1,
    counts::{settled, sum},
    start,
};

struct Broken;

impl Recorder for Broken {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, _: &Key, _: &Metadata<'_>) -> Counter {
        panic!("as the test wants")
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        panic!("as the test wants")
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        panic!("as the test wants")
    }
}

#[route("/")]
async fn index(_req: &mut Request, res: &mut Response) {
    res.background(Task::new(async {}).name("replaced"));
    res.background(Task::new(async {}).name("completed"));
    res.add_background(Task::new(async { panic!("as the test wants") }).name("panicked"));
    res.add_background(Task::new(std::future::pending::<()>()).name("cut off"));
}

#[tokio::test]
async fn a_recorder_that_panics_changes_no_account() {
    metrics::set_global_recorder(Broken).expect("there is no other");
    let runner = Runner::dedicated(1).build();
    let (addr, _) = start(App::new().route(index).background(runner.clone())).await;
    let mut client = Http1::connect(addr).await;
    for _ in 0..3 {
        assert_eq!(client.request("GET", "/").await.status(), 200);
    }
    let report = runner.drain(std::time::Duration::from_millis(200)).await;
    assert_eq!(report.cut.len(), 3, "{report}");
    let stats = settled(&runner, 12).await;
    assert_eq!(sum(stats), 12);
    let ends = (
        stats.replaced,
        stats.completed,
        stats.panicked,
        stats.cancelled,
    );
    assert_eq!(ends, (3, 3, 3, 3), "{stats:?}");
}
