//! Every option, in a mix, run.
#![deny(unused)]

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use bocadillo::{
    App, Request, Response, background,
    background::{TaskState, When},
    route,
    testing::Client,
    view,
};

const LIMIT: Duration = Duration::from_millis(20);
const NAME: &str = "named by a path";
const CONDITION: When = When::Success;

type Log = Arc<Mutex<Vec<String>>>;

fn log(req: &Request) -> Log {
    Arc::clone(req.state::<Log>().expect("the app has one"))
}

fn note(log: &Log, what: String) {
    log.lock().expect("nobody panics").push(what);
}

#[view]
async fn cloned(req: &mut Request, res: &mut Response) {
    let log = log(req);
    #[background(clone(log), name = "a clone")]
    async fn task() {
        note(&log, "task".into());
    }
    note(&log, "view".into());
}

/// Evaluated when they are registered, in the order in which they stand.
async fn with_arguments(req: &mut Request, res: &mut Response) {
    let log = log(req);
    let mut counter = 0;
    let mut next = || {
        counter += 1;
        counter
    };
    let shared = String::from("shared");
    #[background(res, args(second = next(), first = next(), shared, log))]
    async fn task(log: Log, first: u32, second: u32, mut shared: String) {
        shared.push('!');
        note(&log, format!("{first} {second} {shared}"));
    }
    assert_eq!((shared.as_str(), counter), ("shared", 2));
    note(&log, "view".into());
}

#[route("/several")]
async fn several(_req: &mut Request, response: &mut Response) {
    #[background(name = NAME, timeout = LIMIT)]
    async fn first() {
        std::future::pending::<()>().await;
    }
    #[background(add, timeout = "10ms", when = "always")]
    async fn second() {
        std::future::pending::<()>().await;
    }
    #[background(add, when = CONDITION)]
    async fn third() {}
    #[background(add, when = "success", name = "fourth")]
    async fn other() {}
    #[background(add, blocking)]
    fn fifth() -> Result<(), std::num::ParseIntError> {
        assert_eq!(background::current().name(), "fifth");
        let _number: u32 = "seven".parse()?;
        Ok(())
    }
    response.status(404);
}

/// In a branch, a loop, a nested module's generic function, and a macro.
async fn anywhere<T: Send + Clone + 'static>(res: &mut Response, value: T) {
    for number in 0..2 {
        let value = value.clone();
        #[background(add)]
        async fn in_a_loop() {
            let _all = (number, value);
        }
    }
    macro_rules! register {
        ($name:ident, $value:expr) => {
            #[background(res, add, args(value = $value))]
            async fn $name(value: u8) {
                assert_eq!(value, 3);
            }
        };
    }
    register!(by_a_macro, 3);
    match res.status_code().as_u16() {
        200 =>
        {
            #[background(add)]
            async fn in_a_match() {
                let _value = value;
            }
        }
        _ => {}
    }
}

#[route("/anywhere")]
async fn calls_anywhere(_req: &mut Request, res: &mut Response) {
    anywhere(res, "generic").await;
}

struct Handler {
    greeting: String,
}

impl Handler {
    async fn method(&self, res: &mut Response) {
        let greeting = self.greeting.clone();
        #[background]
        async fn in_a_method() -> ! {
            drop(greeting);
            std::process::abort()
        }
        #[background]
        async fn replaced_it() {}
    }
}

#[route("/follow-ups")]
async fn follow_ups(req: &mut Request, res: &mut Response) {
    let log = log(req);
    Handler { greeting: "hello".into() }.method(res).await;

    #[background(clone(log))]
    async fn outer() {
        #[background(name = "inner", args(log))]
        async fn middle(log: Log) {
            #[background]
            async fn innermost() {
                note(&log, "innermost".into());
            }
        }
        note(&log, "outer".into());
    }
    note(&log, "view".into());
}

#[route("/webhook")]
async fn webhook(_req: &mut Request, res: &mut Response) {
    #[background]
    async fn call() {
        let res = std::future::ready(Some("a response of somebody else's")).await;
        if let Some(res) = res {
            assert!(!res.is_empty());
        }
    }
    res.status(202);
}

async fn ends(client: &Client, path: &str) -> Vec<(String, TaskState)> {
    let reports = client.get(path).await.tasks().await;
    let ends = reports.into_iter();
    let mut ends: Vec<_> = ends.map(|it| (it.name.into_owned(), it.outcome)).collect();
    ends.sort_by(|a, b| a.0.cmp(&b.0));
    ends
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let log = Log::default();
    let client = Client::new(
        App::new()
            .state(Arc::clone(&log))
            .add("/cloned", &["get"], cloned)
            .add("/arguments", &["get"], with_arguments)
            .route(several)
            .route(calls_anywhere)
            .route(follow_ups)
            .route(webhook),
    );
    let noted = || std::mem::take(&mut *log.lock().expect("nobody panics"));
    let done = |name: &str| (name.to_owned(), TaskState::Completed);

    assert_eq!(ends(&client, "/cloned").await, [done("a clone")]);
    assert_eq!(noted(), ["view", "task"]);

    assert_eq!(ends(&client, "/arguments").await, [done("task")]);
    assert_eq!(noted(), ["view", "2 1 shared!"]);

    let expected = [
        ("fifth", TaskState::Failed),
        ("fourth", TaskState::Skipped),
        ("named by a path", TaskState::TimedOut),
        ("second", TaskState::TimedOut),
        ("third", TaskState::Skipped),
    ];
    let expected = expected.map(|(name, state)| (name.to_owned(), state));
    assert_eq!(ends(&client, "/several").await, expected);

    let names = ["by_a_macro", "in_a_loop", "in_a_loop", "in_a_match"];
    assert_eq!(ends(&client, "/anywhere").await, names.map(done));

    let names = ends(&client, "/follow-ups").await;
    let completed = |it: &&(String, TaskState)| it.1 == TaskState::Completed;
    let names: Vec<_> = names.iter().filter(completed).map(|it| &*it.0).collect();
    assert_eq!(names, ["inner", "innermost", "outer"]);
    assert_eq!(noted(), ["view", "outer", "innermost"]);

    assert_eq!(ends(&client, "/webhook").await, [done("call")]);
}
