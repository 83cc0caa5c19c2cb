use std::{sync::Arc, task::Wake};

use super::*;
use crate::background::Task;

struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Relaxed);
    }
}

fn start(ledger: &Ledger) -> Option<usize> {
    ledger.register(1, &[], true);
    match ledger.begin(Ready::of(Task::new(async {}))) {
        Begin::Runs(_, key) => Some(key),
        Begin::Kept | Begin::Closed(_) => None,
    }
}

fn sum(stats: Stats) -> u64 {
    stats.waiting + stats.running + stats.completed + stats.cancelled + stats.refused
}

/// A task that waits while the runner is aborted is woken, or has seen it.
#[test]
fn no_task_sleeps_through_an_abort() {
    loom::model(|| {
        let ledger = Arc::new(Ledger::new(2, 2));
        let aborting = Arc::clone(&ledger);
        let abort = loom::thread::spawn(move || drop(aborting.abort()));
        if let Some(key) = start(&ledger) {
            let woken = Arc::new(Woken(AtomicBool::new(false)));
            // As `Run::poll` does: look, and then wait.
            let has_seen = ledger.is_aborting();
            if !has_seen {
                ledger.keep_waker(key, Arc::clone(&woken).into());
            }
            abort.join().expect("no panic");
            assert!(has_seen || woken.0.load(Relaxed), "it sleeps for ever");
        } else {
            abort.join().expect("no panic");
        }
        assert_eq!(sum(ledger.stats()), ledger.stats().registered);
    });
}

/// The limit holds, whoever registers, and the numbers add up whenever somebody looks.
#[test]
fn the_limit_holds_and_the_numbers_add_up() {
    loom::model(|| {
        let ledger = Arc::new(Ledger::new(1, 1));
        let other = Arc::clone(&ledger);
        let thread = loom::thread::spawn(move || other.register(1, &[], true));
        let mine = ledger.register(1, &[], true);
        let stats = ledger.stats();
        assert_eq!(sum(stats), stats.registered);
        let others = thread.join().expect("no panic");
        assert_eq!(mine + others, 1, "one of two is refused");
        assert!(ledger.is_full());
    });
}

/// Who comes while an end makes room is behind what was ready before.
#[test]
fn nobody_overtakes() {
    loom::model(|| {
        let ledger = Arc::new(Ledger::new(1, 3));
        let key = start(&ledger).expect("there is room");
        assert!(start(&ledger).is_none(), "there is none");
        let ending = Arc::clone(&ledger);
        let thread = loom::thread::spawn(move || {
            let has_ready = ending.end(key, State::Completed);
            has_ready && ending.next().is_some()
        });
        assert!(start(&ledger).is_none(), "another is before it");
        assert!(thread.join().expect("no panic"));
        assert_eq!(ledger.stats().running, 1);
    });
}

/// An end makes room for what is ready, although both come at once.
#[test]
fn what_is_ready_is_not_forgotten() {
    loom::model(|| {
        let ledger = Arc::new(Ledger::new(1, 2));
        let key = start(&ledger).expect("there is room");
        let ending = Arc::clone(&ledger);
        let thread = loom::thread::spawn(move || {
            let has_ready = ending.end(key, State::Completed);
            has_ready && ending.next().is_some()
        });
        let runs = start(&ledger).is_some();
        let started_later = thread.join().expect("no panic");
        assert!(runs != started_later, "started once, by one of the two");
        assert_eq!(ledger.stats().running, 1);
    });
}
