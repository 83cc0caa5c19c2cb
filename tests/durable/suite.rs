//! The laws of a store, for each store.

use std::time::Duration;

use bocadillo::durable::{Claimed, Due, End, KeptState, Memory, NewTask, Sqlite, Store, TaskId};
use tempfile::TempDir;

use crate::support::soon;

/// Several holders of the same tasks.
trait Place {
    type Store: Store;

    fn holder(&self) -> Self::Store;
}

struct InMemory(Memory);

impl Place for InMemory {
    type Store = Memory;

    fn holder(&self) -> Memory {
        self.0.another_holder()
    }
}

struct InFile(TempDir);

impl Place for InFile {
    type Store = Sqlite;

    fn holder(&self) -> Sqlite {
        Sqlite::open(self.0.path().join("tasks.db")).expect("a database")
    }
}

fn in_memory() -> InMemory {
    InMemory(Memory::new())
}

fn in_file() -> InFile {
    InFile(tempfile::tempdir().expect("a folder"))
}

/// Makes a test of each law for each store.
macro_rules! laws {
    ($($law:ident)*) => {
        mod memory {
            $(#[tokio::test] async fn $law() { super::$law(super::in_memory()).await; })*
        }
        mod sqlite {
            $(#[tokio::test] async fn $law() { super::$law(super::in_file()).await; })*
        }
    };
}

laws! {
    put_with_a_delay_is_claimed_when_due
    born_held_is_claimed_by_nobody
    a_claim_counts_the_attempt
    claimed_once_by_many_at_a_time
    done_is_gone
    a_retry_is_queued_after_its_time
    a_dead_task_is_kept_with_its_error
    given_back_counts_no_attempt
    only_the_holder_ends
    the_tasks_of_a_dead_holder_are_claimed
    the_tasks_of_a_living_holder_are_not
    unknown_names_stay
    those_due_longest_come_first
    a_change_is_told
    counts_and_lists
    retry_and_discard
}

const NOW: Due = Due::After(Duration::ZERO);
const NAMES: &[&str] = &["one"];

fn task(due: Due) -> NewTask {
    NewTask::new("one", b"{}".to_vec(), due)
}

async fn put(store: &impl Store, due: Due) -> TaskId {
    let task = task(due);
    let id = task.id;
    store.put(vec![task]).await.expect("it is committed");
    id
}

async fn claim(store: &impl Store) -> Vec<Claimed> {
    store.claim(NAMES, 100).await.expect("a claim")
}

/// Claims until there is something.
async fn claim_soon(store: &impl Store) -> Vec<Claimed> {
    soon("a task to claim", async {
        loop {
            let changed = store.changed();
            let claimed = claim(store).await;
            if !claimed.is_empty() {
                return claimed;
            }
            changed.await;
        }
    })
    .await
}

async fn end(store: &impl Store, id: TaskId, attempt: u32, how: End) {
    store.end(id, attempt, how);
    store.flush().await.expect("it is written");
}

fn failed(after: Duration) -> End {
    let error = "as planned".to_owned();
    End::Retry { after, error }
}

async fn put_with_a_delay_is_claimed_when_due(place: impl Place) {
    let store = place.holder();
    let late = put(&store, Due::After(Duration::from_millis(300))).await;
    let at_once = put(&store, NOW).await;
    let claimed = claim(&store).await;
    assert_eq!(claimed.len(), 1, "{claimed:?}");
    assert_eq!((claimed[0].id, claimed[0].attempt), (at_once, 1));
    assert_eq!(claim_soon(&store).await[0].id, late);
}

async fn born_held_is_claimed_by_nobody(place: impl Place) {
    let (one, other) = (place.holder(), place.holder());
    put(&one, Due::Held).await;
    assert_eq!(claim(&one).await, []);
    assert_eq!(claim(&other).await, []);
}

async fn a_claim_counts_the_attempt(place: impl Place) {
    let store = place.holder();
    let id = put(&store, NOW).await;
    for attempt in 1..=3 {
        let claimed = claim_soon(&store).await;
        assert_eq!((claimed[0].id, claimed[0].attempt), (id, attempt));
        end(&store, id, attempt, failed(Duration::ZERO)).await;
    }
}

async fn claimed_once_by_many_at_a_time(place: impl Place) {
    let holders: Vec<_> = (0..4).map(|_| place.holder()).collect();
    for _ in 0..100 {
        put(&holders[0], NOW).await;
    }
    let mut claims = tokio::task::JoinSet::new();
    for store in holders {
        claims.spawn(async move {
            let mut ids = Vec::new();
            loop {
                let claimed = store.claim(NAMES, 7).await.expect("a claim");
                if claimed.is_empty() {
                    // Its tasks stay held as long as it lives.
                    return (ids, store);
                }
                ids.extend(claimed.into_iter().map(|task| task.id));
            }
        });
    }
    let claims = soon("the claims", claims.join_all()).await;
    let mut ids: Vec<_> = claims.iter().flat_map(|(ids, _)| ids.clone()).collect();
    assert_eq!(ids.len(), 100);
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 100);
}

async fn done_is_gone(place: impl Place) {
    let store = place.holder();
    let id = put(&store, Due::Held).await;
    end(&store, id, 1, End::Done).await;
    assert_eq!(store.counts().await.expect("counts"), []);
}

async fn a_retry_is_queued_after_its_time(place: impl Place) {
    let store = place.holder();
    let id = put(&store, Due::Held).await;
    end(&store, id, 1, failed(Duration::from_millis(200))).await;
    assert_eq!(claim(&store).await, []);
    let claimed = claim_soon(&store).await;
    assert_eq!((claimed[0].id, claimed[0].attempt), (id, 2));
}

async fn a_dead_task_is_kept_with_its_error(place: impl Place) {
    let store = place.holder();
    let id = put(&store, Due::Held).await;
    let error = "for good".to_owned();
    end(&store, id, 1, End::Dead { error }).await;
    assert_eq!(claim(&store).await, []);
    let dead = store.list(KeptState::Dead, 10).await.expect("a list");
    assert_eq!((dead[0].id, dead[0].attempts), (id, 1));
    assert_eq!(dead[0].error.as_deref(), Some("for good"));
}

async fn given_back_counts_no_attempt(place: impl Place) {
    let store = place.holder();
    let id = put(&store, Due::Held).await;
    let after = Duration::ZERO;
    end(&store, id, 1, End::GiveBack { after }).await;
    let claimed = claim(&store).await;
    assert_eq!((claimed[0].id, claimed[0].attempt), (id, 1));
}

async fn only_the_holder_ends(place: impl Place) {
    let (one, other) = (place.holder(), place.holder());
    let id = put(&one, Due::Held).await;
    end(&other, id, 1, End::Done).await;
    end(&one, id, 2, End::Done).await;
    let counts = one.counts().await.expect("counts");
    assert_eq!((counts[0].held, counts[0].queued), (1, 0));
}

async fn the_tasks_of_a_dead_holder_are_claimed(place: impl Place) {
    let (one, other) = (place.holder(), place.holder());
    let id = put(&one, Due::Held).await;
    assert_eq!(claim(&other).await, []);
    drop(one);
    let claimed = claim_soon(&other).await;
    assert_eq!((claimed[0].id, claimed[0].attempt), (id, 2));
    // The lost holder's end would be of attempt 1.
    end(&other, id, 1, End::Done).await;
    assert_eq!(other.counts().await.expect("counts")[0].held, 1);
}

async fn the_tasks_of_a_living_holder_are_not(place: impl Place) {
    let (one, other) = (place.holder(), place.holder());
    put(&one, Due::Held).await;
    let third = place.holder();
    drop(third);
    for _ in 0..3 {
        let _ = tokio::time::timeout(Duration::from_secs(1), other.changed()).await;
        assert_eq!(claim(&other).await, []);
    }
    drop(one);
}

async fn unknown_names_stay(place: impl Place) {
    let store = place.holder();
    let task = NewTask::new("another", b"{}".to_vec(), NOW);
    store.put(vec![task]).await.expect("it is committed");
    assert_eq!(claim(&store).await, []);
    assert_eq!(store.claim(&[], 10).await.expect("a claim"), []);
    let both = store.claim(&["one", "another"], 10).await;
    assert_eq!(both.expect("a claim").len(), 1);
}

async fn those_due_longest_come_first(place: impl Place) {
    let store = place.holder();
    let mut ids = Vec::new();
    for delay in [600, 0, 300] {
        ids.push(put(&store, Due::After(Duration::from_millis(delay))).await);
    }
    tokio::time::sleep(Duration::from_millis(700)).await;
    let mut claimed = Vec::new();
    for _ in 0..3 {
        claimed.extend(store.claim(NAMES, 1).await.expect("a claim"));
    }
    let claimed: Vec<_> = claimed.iter().map(|task| task.id).collect();
    assert_eq!(claimed, [ids[1], ids[2], ids[0]]);
}

async fn a_change_is_told(place: impl Place) {
    let store = place.holder();
    // From the call on, though it is not polled yet.
    let changed = store.changed();
    put(&store, NOW).await;
    soon("the change", changed).await;
}

async fn counts_and_lists(place: impl Place) {
    let store = place.holder();
    put(&store, Due::Held).await;
    put(&store, NOW).await;
    put(&store, Due::After(Duration::from_secs(3600))).await;
    let dead = put(&store, Due::Held).await;
    let error = String::new();
    end(&store, dead, 1, End::Dead { error }).await;
    let counts = store.counts().await.expect("counts");
    assert_eq!(counts.len(), 1);
    assert_eq!(counts[0].name, "one");
    assert_eq!(
        (counts[0].queued, counts[0].held, counts[0].dead),
        (2, 1, 1)
    );
    let oldest = counts[0].oldest.expect("some are not dead");
    assert!(oldest < Duration::from_secs(60), "{oldest:?}");
    let queued = store.list(KeptState::Queued, 1).await.expect("a list");
    assert_eq!((queued.len(), &*queued[0].payload), (1, &b"{}"[..]));
}

async fn retry_and_discard(place: impl Place) {
    let store = place.holder();
    let held = put(&store, Due::Held).await;
    let dead = put(&store, Due::Held).await;
    let error = String::new();
    end(&store, dead, 1, End::Dead { error }).await;
    assert!(!store.retry(held).await.expect("an answer"));
    assert!(!store.discard(held).await.expect("an answer"));
    assert!(store.retry(dead).await.expect("an answer"));
    let claimed = claim(&store).await;
    assert_eq!((claimed[0].id, claimed[0].attempt), (dead, 1));
    let delayed = put(&store, Due::After(Duration::from_secs(3600))).await;
    assert!(store.discard(delayed).await.expect("an answer"));
    assert!(!store.discard(delayed).await.expect("an answer"));
}
