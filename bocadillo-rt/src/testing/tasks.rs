//! Waits for the tasks of one response.

use std::{
    fmt,
    future::poll_fn,
    panic::Location,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
        mpsc::{self, RecvTimeoutError},
    },
    task::{Poll, Waker},
    thread,
    time::Duration,
};

use crate::background::{Group, Report};

/// How long a test waits in real time, unless it sets another limit.
const PATIENCE: Duration = Duration::from_secs(10);

type Reports = Pin<Box<dyn Future<Output = Vec<Report>> + Send>>;

/// The tasks of one response. Awaiting them waits until all have ended, and returns their reports
/// in the order in which they ended.
///
/// A task that has ended already does not delay the wait. The wait lasts at most 10 seconds of real
/// time, also if tokio's time is paused.
///
/// # Panics
///
/// Awaiting the tasks panics after 10 seconds. The message names the tasks that are pending.
#[must_use = "tasks are waited for by `.await`"]
#[derive(Debug)]
pub struct Tasks {
    group: Arc<Group>,
    caller: &'static Location<'static>,
}

impl Tasks {
    #[track_caller]
    pub(super) fn new(group: Arc<Group>) -> Self {
        Self {
            group,
            caller: Location::caller(),
        }
    }

    /// Waits for at most this long in tokio's time.
    ///
    /// # Errors
    ///
    /// The future returns [`StillPending`], which names the tasks that have not ended.
    pub fn within(self, limit: Duration) -> Within {
        let Self { group, .. } = self;
        Within(Box::pin(async move {
            let all_ended = tokio::time::timeout(limit, group.all_ended()).await;
            all_ended.map_err(|_| StillPending {
                names: group.pending(),
                limit,
            })
        }))
    }
}

impl IntoFuture for Tasks {
    type Output = Vec<Report>;
    type IntoFuture = Reports;

    fn into_future(self) -> Reports {
        let Self { group, caller } = self;
        Box::pin(async move {
            match in_real_time(PATIENCE, group.all_ended()).await {
                Some(reports) => reports,
                None => {
                    let pending = StillPending {
                        names: group.pending(),
                        limit: PATIENCE,
                    };
                    panic!("{pending} (waited for at {caller})");
                }
            }
        })
    }
}

/// Future returned by [`Tasks::within`].
#[must_use = "futures do nothing unless awaited"]
pub struct Within(Pin<Box<dyn Future<Output = Result<Vec<Report>, StillPending>> + Send>>);

impl Future for Within {
    type Output = Result<Vec<Report>, StillPending>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(cx)
    }
}

impl fmt::Debug for Within {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Within").finish_non_exhaustive()
    }
}

/// The error of a wait that has ended before the tasks.
#[derive(Clone, Debug)]
pub struct StillPending {
    names: Vec<String>,
    limit: Duration,
}

impl StillPending {
    /// Returns the names of the pending tasks, in the order in which they were started.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }
}

impl fmt::Display for StillPending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.names.join("`, `");
        write!(
            f,
            "background tasks still pending after {:?}: `{names}`",
            self.limit
        )
    }
}

impl std::error::Error for StillPending {}

/// Waits in real time. With paused time, a timeout of tokio fires as soon as all tasks sleep.
async fn in_real_time<F: Future>(limit: Duration, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut alarm = None;
    poll_fn(|cx| {
        if let Poll::Ready(output) = future.as_mut().poll(cx) {
            return Poll::Ready(Some(output));
        }
        let alarm = alarm.get_or_insert_with(|| Alarm::set(limit, cx.waker().clone()));
        if alarm.rang.load(SeqCst) {
            Poll::Ready(None)
        } else {
            Poll::Pending
        }
    })
    .await
}

/// A thread that wakes the test after the limit. It ends early when the alarm is dropped.
struct Alarm {
    rang: Arc<AtomicBool>,
    _cancel: mpsc::Sender<()>,
}

impl Alarm {
    fn set(limit: Duration, waker: Waker) -> Self {
        let rang = Arc::new(AtomicBool::new(false));
        let (cancel, cancelled) = mpsc::channel();
        let ring = Arc::clone(&rang);
        thread::spawn(move || {
            if cancelled.recv_timeout(limit) == Err(RecvTimeoutError::Timeout) {
                ring.store(true, SeqCst);
                waker.wake();
            }
        });
        Self {
            rang,
            _cancel: cancel,
        }
    }
}
