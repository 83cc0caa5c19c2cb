//! Tokio tasks that run one background task after another.
//!
//! For a short background task, to make and to drop a tokio task is the larger part of what it costs:
//! tokio aligns them to cache lines, which allocators are slow at. So a [`Worker`], once its background
//! task has ended, waits in the [`Pool`] of its runtime for the next one. That is woken as a new one
//! would be spawned: to the same queue, with a budget of its own. No two background tasks are ever in one
//! worker, and none waits for a worker: where none is idle there is a new one.
//!
//! An [`Inbox`] is in its pool's list only while its worker has nothing to do, and is taken out before it
//! is given something. So it is given one thing at a time. What it was given is the worker's, or comes
//! back to the giver: the worker closes it under its lock when it ends.

use std::{
    mem,
    pin::Pin,
    sync::{Arc, PoisonError},
    task::{Context, Poll, Waker, ready},
};

use tokio::runtime::Handle;

use super::{
    State,
    job::Job,
    run::{self, End},
};
use crate::sync::{Mutex, MutexGuard};

/// So many wait: what a burst leaves behind is given back, but for this.
const MAX_IDLE: usize = 64;

/// So many bytes of a task that has ended may wait with its worker: allocators keep less than about that
/// for each thread.
const MAX_SPENT: usize = 1024;

/// A background task that is to run, and where its worker goes when it has ended.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) job: Pin<Box<dyn Job>>,
    pub(super) pool: Option<Arc<Pool>>,
}

impl Work {
    /// Runs it on a worker of its own.
    fn spawn(self) {
        if let Some(runtime) = self.pool.as_ref().map(|pool| pool.runtime.clone()) {
            runtime.spawn(Worker::new(self));
        }
    }
}

/// The idle workers of one runtime.
#[derive(Debug)]
pub(crate) struct Pool {
    runtime: Handle,
    idle: Mutex<Vec<Idle>>,
    /// Others than its own threads give it tasks.
    is_apart: bool,
}

impl Pool {
    /// That of the runtime that serves requests.
    pub(crate) fn here(runtime: Handle) -> Self {
        Self::new(runtime, false)
    }

    /// That of a runtime of its own.
    pub(super) fn apart(runtime: Handle) -> Self {
        Self::new(runtime, true)
    }

    fn new(runtime: Handle, is_apart: bool) -> Self {
        Self {
            runtime,
            idle: Mutex::default(),
            is_apart,
        }
    }

    /// Runs a task, on a worker that is idle if there is one.
    pub(super) fn run(self: Arc<Self>, job: Pin<Box<dyn Job>>) {
        let idle = self.idle().pop();
        let work = Work {
            job,
            pool: Some(self),
        };
        let left = match idle {
            Some(Idle { inbox, spent }) => {
                drop(spent);
                inbox.give(work)
            }
            None => Err(work),
        };
        // An idle worker that is not there has gone with its runtime: what is spawned there then is
        // dropped, which accounts for it.
        if let Err(work) = left {
            work.spawn();
        }
    }

    /// What is left of a task that has ended, if it is to be kept.
    fn spent(&self, mut job: Pin<Box<dyn Job>>) -> Option<Pin<Box<dyn Job>>> {
        if !self.is_apart || size_of_val(&*job) > MAX_SPENT {
            return None;
        }
        job.as_mut().info_mut().clear();
        Some(job)
    }

    /// Keeps an idle worker, if there are not enough.
    fn keep(&self, idle: Idle) -> Result<(), Idle> {
        let mut all = self.idle();
        if all.len() >= MAX_IDLE {
            return Err(idle);
        }
        all.push(idle);
        Ok(())
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Pool {
    /// Its workers wait for nothing any more.
    fn drop(&mut self) {
        for idle in mem::take(&mut *self.idle()) {
            idle.inbox.end();
        }
    }
}

/// A worker that has nothing to do.
#[derive(Debug)]
struct Idle {
    inbox: Arc<Inbox<Work>>,
    /// The memory of its last task, which held nothing any more: whoever gives it the next one drops that.
    spent: Option<Pin<Box<dyn Job>>>,
}

/// Where an idle worker is given its next task.
#[derive(Debug)]
struct Inbox<T> {
    next: Mutex<Next<T>>,
    waker: Waker,
}

#[derive(Debug)]
enum Next<T> {
    Nothing,
    Given(T),
    /// Nothing will come, or nobody is there who takes it.
    Closed,
}

impl<T> Inbox<T> {
    fn new(waker: Waker) -> Self {
        let next = Mutex::new(Next::Nothing);
        Self { next, waker }
    }

    /// Gives it something, and wakes its worker; or returns it if there is no worker.
    fn give(&self, given: T) -> Result<(), T> {
        let mut next = self.next();
        if let Next::Closed = *next {
            return Err(given);
        }
        *next = Next::Given(given);
        drop(next);
        self.waker.wake_by_ref();
        Ok(())
    }

    fn take(&self) -> Next<T> {
        let mut next = self.next();
        match *next {
            Next::Closed => Next::Closed,
            _ => mem::replace(&mut next, Next::Nothing),
        }
    }

    /// Refuses what comes, and returns what has.
    fn close(&self) -> Next<T> {
        mem::replace(&mut self.next(), Next::Closed)
    }

    /// Has the worker end.
    fn end(&self) {
        self.close();
        self.waker.wake_by_ref();
    }

    fn next(&self) -> MutexGuard<'_, Next<T>> {
        self.next.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A tokio task of a pool. However a background task of its ends or is dropped, it is accounted for.
pub(super) struct Worker {
    work: Option<Work>,
    /// From the first time that it is idle.
    inbox: Option<Arc<Inbox<Work>>>,
}

impl Worker {
    pub(super) fn new(work: Work) -> Self {
        Self {
            work: Some(work),
            inbox: None,
        }
    }

    /// Waits for another task, if there is somebody who may give it one.
    fn wait(&mut self, pool: &Pool, job: Pin<Box<dyn Job>>, cx: &mut Context<'_>) -> Poll<()> {
        let new = || Arc::new(Inbox::new(cx.waker().clone()));
        let inbox = Arc::clone(self.inbox.get_or_insert_with(new));
        let spent = pool.spent(job);
        match pool.keep(Idle { inbox, spent }) {
            Ok(()) => Poll::Pending,
            Err(_) => Poll::Ready(()),
        }
    }
}

impl Future for Worker {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        if this.work.is_none() {
            match this.inbox.as_ref().map(|inbox| inbox.take()) {
                Some(Next::Given(work)) => this.work = Some(work),
                // Somebody wakes whom a task before has left a waker.
                Some(Next::Nothing) => return Poll::Pending,
                Some(Next::Closed) | None => return Poll::Ready(()),
            }
        }
        let Some(work) = &mut this.work else {
            return Poll::Ready(());
        };
        let end = ready!(run::poll(work.job.as_mut(), cx));
        let Some(Work { mut job, pool }) = this.work.take() else {
            return Poll::Ready(());
        };
        run::end(job.as_mut(), end);
        match pool {
            Some(pool) => this.wait(&pool, job, cx),
            None => Poll::Ready(()),
        }
    }
}

impl Drop for Worker {
    /// A task that has no end of its own by then was dropped by its runtime.
    fn drop(&mut self) {
        let given = self.inbox.take().map(|inbox| inbox.close());
        if let Some(Next::Given(work)) = given {
            self.work = Some(work);
        }
        if let Some(Work { mut job, .. }) = self.work.take() {
            let error = "its runtime was shut down".to_owned();
            run::end(job.as_mut(), End::new(State::Cancelled, error));
        }
    }
}
