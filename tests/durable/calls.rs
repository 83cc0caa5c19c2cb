//! What `#[task]` makes, and how it is enqueued.

use std::time::{Duration, SystemTime};

use bocadillo::{
    App, Request, Response, Runner, background,
    background::{TaskState, When},
    durable::{KeptState, Memory, Store as _},
    route, task,
    testing::Client,
};

#[task(name = "calls.confirm", aliases = ["calls.former"])]
async fn confirm(who: String, order: u64, note: Option<String>) -> bocadillo::Result<()> {
    let context = background::current();
    assert_eq!(context.name(), "calls.confirm");
    assert!(context.task_id().is_some());
    context.state::<Outbox>()?.push(who, order, note);
    Ok(())
}

#[derive(Default)]
struct Outbox(std::sync::Mutex<Vec<(String, u64, Option<String>)>>);

impl Outbox {
    fn push(&self, who: String, order: u64, note: Option<String>) {
        self.0.lock().expect("no panic").push((who, order, note));
    }
}

fn with_outbox() -> bocadillo::background::Builder {
    Runner::current().state(Outbox::default())
}

#[tokio::test]
async fn enqueued_and_drained() {
    let store = Memory::new();
    let call = confirm("ada".to_owned(), 7, None);
    let id = call.id();
    assert_eq!(call.enqueue(&store).await.ok(), id);
    let enqueued = store.enqueued();
    assert_eq!(enqueued[0].name, "calls.confirm");
    let args = serde_json::json!({"who": "ada", "order": 7, "note": null});
    assert_eq!(enqueued[0].args, args);
    let reports = store.drain_with(with_outbox()).await;
    assert_eq!(reports[0].outcome, TaskState::Completed, "{reports:?}");
    assert_eq!(store.counts().await.expect("counts"), []);
}

/// An older version of the program knew one argument less, and another name.
#[tokio::test]
async fn an_old_row_is_read_by_its_former_name() {
    use bocadillo::durable::{Due, NewTask};
    let store = Memory::new();
    let payload = br#"{"v":1,"name":"calls.former","args":{"who":"ada","order":7,"gone":1}}"#;
    let old = NewTask::new("calls.former", payload.to_vec(), Due::After(Duration::ZERO));
    store.put(vec![old]).await.expect("it is committed");
    let reports = store.drain_with(with_outbox()).await;
    assert_eq!(reports[0].outcome, TaskState::Completed, "{reports:?}");
}

#[tokio::test]
async fn arguments_that_cannot_be_read_stay_queued_without_an_attempt() {
    use bocadillo::durable::{Due, NewTask};
    let store = Memory::new();
    let payload = br#"{"v":1,"name":"calls.confirm","args":{"who":7}}"#;
    let task = NewTask::new(
        "calls.confirm",
        payload.to_vec(),
        Due::After(Duration::ZERO),
    );
    store.put(vec![task]).await.expect("it is committed");
    assert_eq!(store.drain_with(with_outbox()).await.len(), 0);
    let queued = store.list(KeptState::Queued, 10).await.expect("a list");
    assert_eq!(queued[0].attempts, 0);
}

#[tokio::test]
async fn a_delayed_call_is_not_due() {
    let store = Memory::new();
    let hour = Duration::from_secs(3600);
    let confirm = || confirm("ada".to_owned(), 7, None);
    confirm()
        .run_in(hour)
        .enqueue(&store)
        .await
        .expect("it is committed");
    let at = SystemTime::now() + hour;
    confirm()
        .run_at(at)
        .enqueue(&store)
        .await
        .expect("it is committed");
    let claimed = store.claim(&["calls.confirm"], 10).await.expect("a claim");
    assert_eq!(claimed, []);
    // It is over.
    let call = confirm().run_at(SystemTime::UNIX_EPOCH);
    call.enqueue(&store).await.expect("it is committed");
    let claimed = store.claim(&["calls.confirm"], 10).await.expect("a claim");
    assert_eq!(claimed.len(), 1);
}

mod module {
    #[bocadillo::task]
    pub(crate) async fn without_a_name() {}
}

#[tokio::test]
async fn named_by_its_path() {
    let store = Memory::new();
    let call = module::without_a_name();
    call.enqueue(&store).await.expect("it is committed");
    assert_eq!(
        store.enqueued()[0].name,
        "durable::calls::module::without_a_name"
    );
}

type Unwritable = std::collections::BTreeMap<(u8, u8), u8>;

#[task(name = "calls.unwritable")]
async fn unwritable(map: Unwritable) {
    drop(map);
}

#[tokio::test]
async fn arguments_that_cannot_be_written_are_an_error() {
    let store = Memory::new();
    let call = || unwritable(Unwritable::from([((1, 2), 3)]));
    let error = call()
        .enqueue(&store)
        .await
        .expect_err("no key is a string");
    assert!(error.is_fault());
    assert_eq!(
        error.to_string(),
        "argument `map` cannot be written as JSON"
    );
    assert_eq!(call().id(), None);
}

#[route("/unwritable")]
async fn register_unwritable(_req: &mut Request, res: &mut Response) {
    res.background(unwritable(Unwritable::from([((1, 2), 3)])));
}

#[route("/delivered")]
async fn register_delivered(_req: &mut Request, res: &mut Response) {
    res.background(module::without_a_name().when(When::Delivered));
}

#[tokio::test]
async fn a_call_that_can_never_be_kept_is_a_500() {
    let store = Memory::new();
    let runner = Runner::current().store(store.clone());
    let app = App::new().background(runner);
    let client = Client::new(app.route(register_unwritable).route(register_delivered));
    for path in ["/unwritable", "/delivered"] {
        let response = client.get(path).await;
        assert_eq!(response.status(), 500, "{path}");
        assert_eq!(response.tasks().await[0].outcome, TaskState::Refused);
    }
    assert_eq!(store.enqueued(), []);
}
