//! What a view fills: the latest registration wins, `add` keeps.

use std::{borrow::Cow, panic::Location};

use super::{
    State, Task, When,
    lost::{self, Lost},
};

/// More registrations on one response are refused: so many are a loop that went wrong.
const MAX_TASKS: usize = 64;

/// The tasks registered on one response.
///
/// Most responses have none, most others one: neither allocates.
#[derive(Debug, Default)]
pub(crate) struct Slot {
    pub(super) first: Option<Task>,
    /// What most responses do not have.
    rest: Option<Box<Rest>>,
}

#[derive(Debug, Default)]
struct Rest {
    more: Vec<Task>,
    /// Those that were registered and are not here.
    gone: Vec<Gone>,
}

/// A task that never ran.
#[derive(Clone, Debug)]
pub(super) struct Gone {
    pub(super) name: Cow<'static, str>,
    pub(super) location: &'static Location<'static>,
    pub(super) state: State,
}

impl Gone {
    pub(super) fn new(task: &Task, state: State) -> Self {
        Self {
            name: task.info().shared.name.clone(),
            location: task.info().location(),
            state,
        }
    }
}

impl Slot {
    /// Registers a task in place of all before it, which the caller lets go.
    #[must_use]
    #[inline]
    pub(crate) fn replace(&mut self, task: Task) -> LetGo {
        if !self.is_empty() {
            return self.replace_all(task);
        }
        self.first = Some(task);
        LetGo::Nothing
    }

    #[cold]
    fn replace_all(&mut self, task: Task) -> LetGo {
        if self.is_full() {
            return self.refuse(task);
        }
        let Some(first) = self.first.take() else {
            self.first = Some(task);
            return LetGo::Nothing;
        };
        let rest = self.rest.get_or_insert_default();
        let mut old = std::mem::take(&mut rest.more);
        old.insert(0, first);
        let gone = old.iter().map(|task| Gone::new(task, State::Replaced));
        rest.gone.extend(gone);
        let by = (task.info().shared.name.clone(), task.info().location());
        self.first = Some(task);
        LetGo::Replaced { old, by }
    }

    /// Registers a task beside those before it.
    #[must_use]
    pub(crate) fn add(&mut self, task: Task) -> LetGo {
        if self.is_full() {
            return self.refuse(task);
        }
        if self.first.is_none() {
            self.first = Some(task);
        } else {
            self.rest.get_or_insert_default().more.push(task);
        }
        LetGo::Nothing
    }

    fn is_full(&self) -> bool {
        self.len() + self.gone().len() >= MAX_TASKS
    }

    fn refuse(&mut self, task: Task) -> LetGo {
        let gone = Gone::new(&task, State::Refused);
        self.rest.get_or_insert_default().gone.push(gone);
        LetGo::Refused(Box::new(task))
    }

    /// How many tasks there are to run.
    pub(super) fn len(&self) -> usize {
        let more = self.rest.as_ref().map_or(0, |rest| rest.more.len());
        usize::from(self.first.is_some()) + more
    }

    /// Those that were registered and are not here.
    pub(super) fn gone(&self) -> &[Gone] {
        self.rest.as_ref().map_or(&[], |rest| &rest.gone)
    }

    pub(super) fn take_gone(&mut self) -> Vec<Gone> {
        let rest = self.rest.as_mut();
        rest.map_or_else(Vec::new, |rest| std::mem::take(&mut rest.gone))
    }

    /// Accounts for what the view has lost.
    #[cold]
    pub(crate) fn lose(&mut self, lost: &mut Lost) {
        let rest = self.rest.get_or_insert_default();
        rest.gone.append(&mut lost.take());
    }

    /// Whether there is more than a first task.
    #[inline]
    pub(super) fn has_rest(&self) -> bool {
        self.rest.is_some()
    }

    /// All but the first.
    pub(super) fn more(&mut self) -> impl Iterator<Item = &mut Task> {
        self.rest.iter_mut().flat_map(|rest| rest.more.iter_mut())
    }

    /// Keeps the first so many tasks, and returns the others.
    pub(super) fn truncate(&mut self, len: usize) -> Vec<Task> {
        let (first, mut more) = self.take_tasks();
        more.splice(..0, first);
        let rest = more.split_off(len.min(more.len()));
        let mut more = more.into_iter();
        self.first = more.next();
        if more.len() > 0 {
            self.rest.get_or_insert_default().more = more.collect();
        }
        rest
    }

    /// Puts another task in the place of each.
    #[cold]
    pub(super) fn map(&mut self, f: impl Fn(Task) -> Task) {
        let (first, more) = self.take_tasks();
        self.first = first.map(&f);
        if !more.is_empty() {
            self.rest.get_or_insert_default().more = more.into_iter().map(f).collect();
        }
    }

    /// Lets go of the tasks that are for successful views alone: this one was not.
    #[cold]
    pub(crate) fn view_failed(&mut self) {
        let (first, more) = self.take_tasks();
        let all = first.into_iter().chain(more);
        let (skipped, mut rest): (Vec<_>, Vec<_>) =
            all.partition(|task| task.info().when == When::Success);
        let gone = skipped.iter().map(|task| Gone::new(task, State::Skipped));
        self.rest.get_or_insert_default().gone.extend(gone);
        let more = rest.split_off(1.min(rest.len()));
        self.first = rest.pop();
        self.rest.get_or_insert_default().more = more;
        for task in skipped {
            tracing::debug!(
                task = task.info().name(),
                location = %task.info().location(),
                "background task skipped: it is for successful views"
            );
            task.discard();
        }
    }

    /// The tasks to run, in the order of their registration: the first, and the others.
    pub(super) fn take_tasks(&mut self) -> (Option<Task>, Vec<Task>) {
        let rest = self.rest.as_mut();
        let more = rest.map_or_else(Vec::new, |rest| std::mem::take(&mut rest.more));
        (self.first.take(), more)
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.first.is_none() && self.rest.is_none()
    }

    /// Registers what another slot holds beside what this one does.
    pub(crate) fn append(&mut self, mut other: Self) {
        if self.is_empty() {
            *self = other;
            return;
        }
        let rest = self.rest.get_or_insert_default();
        rest.gone.append(&mut other.take_gone());
        let (first, more) = other.take_tasks();
        rest.more.extend(first.into_iter().chain(more));
    }
}

/// Tasks that a registration has let go. They are logged and dropped by whoever registers, outside
/// of any lock: dropping what a user captured may do anything.
pub(crate) enum LetGo {
    Nothing,
    Replaced {
        old: Vec<Task>,
        by: (Cow<'static, str>, &'static Location<'static>),
    },
    Refused(Box<Task>),
}

impl LetGo {
    #[inline]
    pub(crate) fn log(self) {
        match self {
            Self::Nothing => {}
            Self::Replaced { old, by } => log_replaced(old, &by),
            Self::Refused(task) => log_refused(*task),
        }
    }
}

#[cold]
fn log_replaced(
    old: Vec<Task>,
    (by, by_location): &(Cow<'static, str>, &'static Location<'static>),
) {
    for old in old {
        tracing::debug!(
            task = old.info().name(),
            location = %old.info().location(),
            by = &**by,
            %by_location,
            "background task replaced by a later one; use `add_background` to keep both"
        );
        old.discard();
    }
}

#[cold]
fn log_refused(task: Task) {
    tracing::warn!(
        task = task.info().name(),
        location = %task.info().location(),
        "background task refused: {MAX_TASKS} were registered on this response already"
    );
    task.discard();
}

impl Drop for Slot {
    /// Only a response that its view has replaced, or that no app ever got, still has tasks.
    #[inline]
    fn drop(&mut self) {
        if self.first.is_some() {
            self.log_lost();
        }
    }
}

impl Slot {
    #[cold]
    fn log_lost(&mut self) {
        let mut gone = self.take_gone();
        let (first, more) = self.take_tasks();
        let tasks: Vec<_> = first.into_iter().chain(more).collect();
        gone.extend(tasks.iter().map(|task| Gone::new(task, State::Replaced)));
        lost::note(gone);
        for task in tasks {
            tracing::warn!(
                task = task.info().name(),
                location = %task.info().location(),
                "background task dropped together with its response, which was never sent"
            );
            task.discard();
        }
    }
}

impl From<Task> for Slot {
    fn from(task: Task) -> Self {
        Self {
            first: Some(task),
            rest: None,
        }
    }
}
