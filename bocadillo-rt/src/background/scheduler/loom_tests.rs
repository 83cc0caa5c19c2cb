use std::{sync::Arc, task::Wake};

use super::*;
use crate::background::account::NO_SERVER;

struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Relaxed);
    }
}

/// Registers and begins a task of which nothing is known; returns its key if it starts.
fn start(scheduler: &Scheduler) -> Option<usize> {
    scheduler.register(NO_SERVER, 1, [].into_iter(), true);
    let task = Unfinished {
        id: 0,
        name: "any".into(),
        location: std::panic::Location::caller(),
    };
    match scheduler.begin(NO_SERVER, task, false) {
        Begin::Starts(place) => return Some(place.key),
        Begin::Waits(queue) => queue.push(Box::new(drop)),
        Begin::Closed => {}
    }
    None
}

fn sum(stats: Stats) -> u64 {
    stats.waiting + stats.running + stats.completed + stats.cancelled + stats.refused
}

/// A task that waits while the runner is aborted is woken, or has seen it.
#[test]
fn no_task_sleeps_through_an_abort() {
    loom::model(|| {
        let scheduler = Arc::new(Scheduler::new(2, 2, 1));
        let aborting = Arc::clone(&scheduler);
        let abort = loom::thread::spawn(move || drop(aborting.abort(Scope::All)));
        if let Some(key) = start(&scheduler) {
            let woken = Arc::new(Woken(AtomicBool::new(false)));
            // As `Run::poll` does: look, and then wait.
            let has_seen = scheduler.is_aborted(NO_SERVER);
            if !has_seen {
                scheduler.wait(key, Arc::clone(&woken).into(), None);
            }
            abort.join().expect("no panic");
            assert!(has_seen || woken.0.load(Relaxed), "it sleeps for ever");
        } else {
            abort.join().expect("no panic");
        }
        assert_eq!(sum(scheduler.stats()), scheduler.stats().registered);
    });
}

/// The limit holds, whoever registers, and the numbers add up whenever somebody looks.
#[test]
fn the_limit_holds_and_the_numbers_add_up() {
    loom::model(|| {
        let scheduler = Arc::new(Scheduler::new(1, 1, 1));
        let other = Arc::clone(&scheduler);
        let thread =
            loom::thread::spawn(move || other.register(NO_SERVER, 1, [].into_iter(), true));
        let mine = scheduler.register(NO_SERVER, 1, [].into_iter(), true);
        let stats = scheduler.stats();
        assert_eq!(sum(stats), stats.registered);
        let others = thread.join().expect("no panic");
        assert_eq!(mine + others, 1, "one of two is refused");
        assert!(scheduler.is_full());
    });
}

/// Who comes while an end makes room is behind what was ready before.
#[test]
fn nobody_overtakes() {
    loom::model(|| {
        let scheduler = Arc::new(Scheduler::new(1, 3, 1));
        let key = start(&scheduler).expect("there is room");
        assert!(start(&scheduler).is_none(), "there is none");
        let ending = Arc::clone(&scheduler);
        let thread = loom::thread::spawn(move || {
            let has_ready = ending.end(key, TaskState::Completed, true);
            has_ready && ending.next().is_some()
        });
        assert!(start(&scheduler).is_none(), "another is before it");
        assert!(thread.join().expect("no panic"));
        assert_eq!(scheduler.stats().running, 1);
    });
}

/// An end makes room for what is ready, although both come at once.
#[test]
fn what_is_ready_is_not_forgotten() {
    loom::model(|| {
        let scheduler = Arc::new(Scheduler::new(1, 2, 1));
        let key = start(&scheduler).expect("there is room");
        let ending = Arc::clone(&scheduler);
        let thread = loom::thread::spawn(move || {
            let has_ready = ending.end(key, TaskState::Completed, true);
            has_ready && ending.next().is_some()
        });
        let runs = start(&scheduler).is_some();
        let started_later = thread.join().expect("no panic");
        assert!(runs != started_later, "started once, by one of the two");
        assert_eq!(scheduler.stats().running, 1);
    });
}
