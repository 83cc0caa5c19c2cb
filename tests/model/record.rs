//! What the tasks of a run count for themselves.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
};

use bocadillo::{
    background::{Report, TaskState, When},
    sent::Delivery,
};

/// Every registration of a run.
#[derive(Clone, Default)]
pub(crate) struct Records(Arc<Mutex<Vec<Arc<Record>>>>);

pub(crate) struct Record {
    number: usize,
    when: When,
    /// Of the view that registered it; none for a follow-up.
    view: Option<Arc<View>>,
    /// A later registration of its view took its place.
    replaced: AtomicBool,
    started: AtomicUsize,
    /// How it ended by itself.
    end: Mutex<Option<TaskState>>,
    /// What it holds was given back.
    dropped: AtomicBool,
}

/// A view that registers.
#[derive(Default)]
pub(crate) struct View {
    tasks: Mutex<Vec<Arc<Record>>>,
    /// It came to its end, and that was `Ok` with a status below 400.
    succeeded: AtomicBool,
}

impl View {
    pub(crate) fn succeeds(&self) {
        self.succeeded.store(true, SeqCst);
    }

    /// What was registered on it before is replaced.
    fn replaces(&self) {
        for record in self.tasks.lock().expect("no panic").drain(..) {
            record.replaced.store(true, SeqCst);
        }
    }
}

impl Records {
    pub(crate) fn register(&self, when: When, adds: bool, view: Option<Arc<View>>) -> Held {
        if let (Some(view), false) = (&view, adds) {
            view.replaces();
        }
        let mut all = self.0.lock().expect("no panic");
        let record = Arc::new(Record {
            number: all.len(),
            when,
            view: view.clone(),
            replaced: AtomicBool::new(false),
            started: AtomicUsize::new(0),
            end: Mutex::new(None),
            dropped: AtomicBool::new(false),
        });
        all.push(Arc::clone(&record));
        if let Some(view) = view {
            view.tasks
                .lock()
                .expect("no panic")
                .push(Arc::clone(&record));
        }
        Held(record)
    }

    pub(crate) fn all(&self) -> Vec<Arc<Record>> {
        self.0.lock().expect("no panic").clone()
    }
}

/// What a task has captured.
pub(crate) struct Held(Arc<Record>);

impl Held {
    pub(crate) fn name(&self) -> String {
        self.0.name()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.dropped.store(true, SeqCst);
    }
}

/// A task that has begun.
pub(crate) struct Running(Arc<Record>);

impl Running {
    pub(crate) fn begin(held: &Held) -> Self {
        held.0.started.fetch_add(1, SeqCst);
        Self(Arc::clone(&held.0))
    }

    pub(crate) fn ends(&self, state: TaskState) {
        *self.0.end.lock().expect("no panic") = Some(state);
    }
}

impl Record {
    pub(crate) fn name(&self) -> String {
        format!("task {}", self.number)
    }

    /// Compares what happened to the task with what is said of it.
    pub(crate) fn check(&self, report: &Report) {
        let (name, outcome) = (self.name(), report.outcome);
        let started = self.started.load(SeqCst);
        let end = *self.end.lock().expect("no panic");
        assert!(
            self.dropped.load(SeqCst),
            "{name} ({outcome}) is held by somebody"
        );
        assert!(started <= 1, "{name} was started {started} times");
        self.check_condition(report);
        match outcome {
            TaskState::Completed | TaskState::Failed | TaskState::Panicked => {
                assert_eq!((started, end), (1, Some(outcome)), "{name}");
            }
            TaskState::TimedOut => assert_eq!((started, end), (1, None), "{name}"),
            TaskState::Cancelled => assert_eq!(end, None, "{name}"),
            TaskState::Replaced | TaskState::Skipped | TaskState::Refused => {
                assert_eq!(started, 0, "{name} ran although it was {outcome}");
                assert_eq!(report.started_at, None);
            }
            _ => panic!("an unknown state: {outcome}"),
        }
    }

    /// Replaced is exactly what the model says, and so is skipped.
    fn check_condition(&self, report: &Report) {
        let (name, outcome) = (self.name(), report.outcome);
        let is_replaced = self.replaced.load(SeqCst);
        assert_eq!(
            outcome == TaskState::Replaced,
            is_replaced,
            "{name}: {outcome}"
        );
        let succeeded = |view: &Arc<View>| view.succeeded.load(SeqCst);
        match self.when {
            _ if is_replaced => {}
            When::Success => {
                let is_skipped = !self.view.as_ref().is_some_and(succeeded);
                assert_eq!(
                    outcome == TaskState::Skipped,
                    is_skipped,
                    "{name}: {outcome}"
                );
            }
            When::Delivered if outcome == TaskState::Skipped => {
                assert!(report.delivery != Some(Delivery::Sent), "{name}");
            }
            When::Delivered => assert!(report.delivery.is_none_or(Delivery::is_sent), "{name}"),
            _ => assert_ne!(outcome, TaskState::Skipped, "{name}"),
        }
    }
}
