//! What an operator sees: spans, lines of the log, and stderr where there is no log.

mod support;

use std::{
    env, io,
    process::Command,
    sync::{
        Arc, LazyLock, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use bocadillo::{
    App, Request, Response, Runner, Task, background, background::Builder, testing::Client,
};
use support::soon;
use tokio::{sync::Notify, time::sleep};
use tracing::{Dispatch, Instrument as _, Level, Subscriber, span};
use tracing_subscriber::{Layer, layer::Context, layer::SubscriberExt as _, registry::LookupSpan};

const MS: Duration = Duration::from_millis(1);

/// While there is one dispatcher alone, `tracing` takes a line that another thread logs first for
/// never wanted by anybody. So there is another one.
static OTHER: LazyLock<Dispatch> = LazyLock::new(|| Dispatch::new(tracing_subscriber::registry()));

/// What a scoped subscriber has written, and which spans it has seen come and go.
#[derive(Clone, Default)]
struct Seen {
    text: Arc<Mutex<Vec<u8>>>,
    spans: Arc<Spans>,
}

#[derive(Default)]
struct Spans {
    requests_closed: AtomicUsize,
    tasks_closed: AtomicUsize,
    followed: Mutex<Vec<(&'static str, &'static str)>>,
}

struct Watch(Arc<Spans>);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Watch {
    fn on_close(&self, id: span::Id, context: Context<'_, S>) {
        match context.span(&id).map(|span| span.name()) {
            Some("request") => self.0.requests_closed.fetch_add(1, SeqCst),
            Some("background") => self.0.tasks_closed.fetch_add(1, SeqCst),
            _ => 0,
        };
    }

    fn on_follows_from(&self, span: &span::Id, follows: &span::Id, context: Context<'_, S>) {
        let name = |id| context.span(id).map(|span| span.name());
        if let (Some(span), Some(follows)) = (name(span), name(follows)) {
            self.0
                .followed
                .lock()
                .expect("no panic")
                .push((span, follows));
        }
    }
}

impl io::Write for Seen {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.text.lock().expect("no panic").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seen {
    fn subscriber(&self, level: Level) -> impl Subscriber + Send + Sync + use<> {
        LazyLock::force(&OTHER);
        let writer = self.clone();
        let fmt = tracing_subscriber::fmt::layer()
            .with_writer(move || writer.clone())
            .with_ansi(false);
        let filter = tracing_subscriber::filter::LevelFilter::from_level(level);
        let watch = Watch(Arc::clone(&self.spans));
        tracing_subscriber::registry()
            .with(fmt.with_filter(filter))
            .with(watch)
    }

    fn lines(&self, what: &str) -> Vec<String> {
        let text = String::from_utf8(self.text.lock().expect("no panic").clone()).expect("text");
        let lines = text.lines().filter(|line| line.contains(what));
        lines.map(str::to_owned).collect()
    }
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    soon(what, async {
        while !holds() {
            sleep(MS).await;
        }
    })
    .await;
}

struct Make(Box<dyn Fn(&mut Response) + Send + Sync>);

/// An app with one view that registers so, within the span of its request.
fn client(
    runner: Builder,
    register: impl Fn(&mut Response) + Send + Sync + 'static,
) -> (Runner, Client) {
    async fn view(req: &mut Request, res: &mut Response) -> bocadillo::Result<()> {
        let make = req.state::<Make>()?;
        async { (make.0)(res) }
            .instrument(tracing::info_span!("request", number = 7))
            .await;
        Ok(())
    }
    let runner = runner.build();
    let make = Make(Box::new(register));
    let app = App::new().add("/", &["get"], view).state(make);
    let client = Client::with_runner(app, runner.clone());
    (runner, client)
}

/// A request takes as long as its response: its span closes then, whatever its tasks do.
#[tokio::test]
async fn the_span_of_a_request_closes_before_its_tasks_end() {
    for runner in [Runner::dedicated(1), Runner::current()] {
        let seen = Seen::default();
        let _default = tracing::subscriber::set_default(seen.subscriber(Level::INFO));
        let gate = Arc::new(Notify::new());
        let opens = Arc::clone(&gate);
        let (runner, client) = client(runner, move |res| {
            let opens = Arc::clone(&opens);
            res.background(Task::new(async move { opens.notified().await }).name("waits"));
        });
        let response = client.get("/").await;
        until("the task runs", || runner.stats().running == 1).await;
        assert_eq!(seen.spans.requests_closed.load(SeqCst), 1);
        assert_eq!(seen.spans.tasks_closed.load(SeqCst), 0);
        assert_eq!(
            *seen.spans.followed.lock().expect("no panic"),
            [("background", "request")]
        );
        gate.notify_one();
        response.tasks().await;
        until("its span closes", || {
            seen.spans.tasks_closed.load(SeqCst) == 1
        })
        .await;
    }
}

/// On its thread, with the subscriber of its registration, within its own span.
#[tokio::test]
async fn a_function_and_what_it_leaves_behind_log_where_they_were_registered() {
    let seen = Seen::default();
    let _default = tracing::subscriber::set_default(seen.subscriber(Level::INFO));
    let (_, client) = client(Runner::dedicated(1), |res| {
        res.background(
            Task::blocking(|| {
                tracing::info!("from the function");
                background::current().spawn(
                    Task::new(async { tracing::info!("from the follow-up") }).name("follow_up"),
                );
            })
            .name("function"),
        );
    });
    client.get("/").await.tasks().await;
    for (line, task) in [
        ("from the function", "function"),
        ("from the follow-up", "follow_up"),
    ] {
        let lines = seen.lines(line);
        assert_eq!(lines.len(), 1, "{line}");
        let span = format!("background{{task=\"{task}\"");
        assert!(lines[0].contains(&span), "{}", lines[0]);
    }
}

#[tokio::test]
async fn a_replaced_task_is_told_at_the_default_level_with_both_names_and_not_for_each_request() {
    let seen = Seen::default();
    let _default = tracing::subscriber::set_default(seen.subscriber(Level::INFO));
    let (_, client) = client(Runner::current(), |res| {
        res.background(Task::new(async {}).name("first"));
        res.background(Task::new(async {}).name("second"));
    });
    for _ in 0..100 {
        client.get("/").await.tasks().await;
    }
    let lines = seen.lines("background task replaced");
    assert!((1..50).contains(&lines.len()), "{} lines", lines.len());
    let line = &lines[0];
    assert!(
        line.contains("\"first\"") && line.contains("\"second\""),
        "{line}"
    );
}

#[tokio::test]
async fn refusals_under_flood_are_told_once_for_each_name_with_their_number() {
    let seen = Seen::default();
    let _default = tracing::subscriber::set_default(seen.subscriber(Level::INFO));
    let (runner, client) = client(Runner::current().max_waiting(0), |res| {
        res.background(Task::new(async {}).name("mail"));
        res.add_background(Task::new(async {}).name("audit"));
    });
    for _ in 0..100 {
        client.get("/").await.tasks().await;
    }
    for name in ["mail", "audit"] {
        let lines = seen.lines("background task refused");
        let lines: Vec<_> = lines.iter().filter(|line| line.contains(name)).collect();
        assert!(
            (1..50).contains(&lines.len()),
            "{name}: {} lines",
            lines.len()
        );
    }
    sleep(1100 * MS).await;
    client.get("/").await.tasks().await;
    let told: u64 = seen
        .lines("background task refused")
        .iter()
        .map(|line| 1 + left_out(line))
        .sum();
    assert_eq!(told, runner.stats().refused);
}

fn left_out(line: &str) -> u64 {
    let count = line.split("left_out=").nth(1).expect("a count");
    let digits = count.split(' ').next().expect("a word");
    digits.parse().expect("a number")
}

#[tokio::test]
async fn each_task_that_blocks_is_named() {
    let seen = Seen::default();
    let _default = tracing::subscriber::set_default(seen.subscriber(Level::INFO));
    let (_, client) = client(Runner::dedicated(1).blocking_threshold(5 * MS), |res| {
        for name in ["one", "other"] {
            let blocks = async { std::thread::sleep(20 * MS) };
            res.add_background(Task::new(blocks).name(name));
        }
    });
    client.get("/").await.tasks().await;
    let lines = seen.lines("background task blocked its thread");
    assert_eq!(lines.len(), 2, "{lines:#?}");
}

/// Not a test: what a process of its own does, for those that look at its stderr.
#[test]
#[ignore = "run by the others, in a process of its own"]
fn child() {
    let Ok(scenario) = env::var("BOCADILLO_TEST_OPERATOR") else {
        return;
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    runtime.expect("a runtime").block_on(async {
        if scenario == "scoped" {
            // Set once, for a while: that there was one says nothing of what is there now.
            drop(tracing::subscriber::set_default(
                tracing_subscriber::registry(),
            ));
        }
        let (runner, client) = client(Runner::dedicated(1).max_running(1).max_waiting(3), |res| {
            res.background(Task::new(async { Err::<(), _>("no address") }).name("fails"));
            res.add_background(Task::new(async { panic!("planned") }).name("panics"));
            res.add_background(Task::new(std::future::pending::<()>()).name("hangs"));
            res.add_background(Task::new(async {}).name("refused"));
        });
        client.get("/").await;
        until("the others have ended", || runner.stats().running == 1).await;
        client.get("/").await;
        runner.drain(50 * MS).await;
    });
}

/// Whichever way the log was set up, or not at all, a failure is seen.
#[test]
fn without_a_log_failures_are_on_stderr() {
    for scenario in ["none", "scoped"] {
        let ran = Command::new(env::current_exe().expect("this test's path"))
            .args(["child", "--exact", "--ignored", "--nocapture"])
            .env("BOCADILLO_TEST_OPERATOR", scenario)
            .output()
            .expect("this test runs again");
        let stderr = String::from_utf8_lossy(&ran.stderr);
        assert!(ran.status.success(), "{stderr}");
        for (what, name) in [
            ("background task failed", "fails"),
            ("background task panicked", "panics"),
            ("background task refused", "refused"),
            ("cut off", "hangs"),
            ("background task cancelled before its start", "fails"),
        ] {
            let is_it = |line: &str| line.contains(what) && line.contains(name);
            assert!(
                stderr.lines().any(is_it),
                "{scenario}: no `{what}` of `{name}` in:\n{stderr}"
            );
        }
    }
}
