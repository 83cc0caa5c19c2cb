//! Ends responses that make no progress, and connections that send no request.

use std::{
    collections::HashMap,
    fmt, io,
    sync::{
        Arc, Condvar, Mutex, Weak,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use super::{
    Connection,
    hub::{Hub, Reason},
    ticket::{MARKED, Protocol, Ticket, lock},
};

/// Looks at its connections from a thread of its own, so that a request pays for no timer.
///
/// A limit is noticed at most a quarter late. The thread sleeps while there are no connections,
/// and ends when the last handle is dropped.
#[derive(Clone)]
pub struct Watch {
    shared: Arc<Shared>,
}

struct Shared {
    limits: Limits,
    connections: Mutex<Vec<Weak<Hub>>>,
    /// The next response is the last one. Set before the connections are told, and read with their lock
    /// held.
    is_last: AtomicBool,
    /// There is a first connection, or nobody is left to add one.
    changed: Condvar,
}

#[derive(Clone, Copy, Debug)]
struct Limits {
    /// A response whose bytes wait without progress is aborted after this.
    send: Duration,
    /// A connection on which no request begins, and nothing is sent, is closed after this.
    head: Duration,
}

impl Watch {
    /// Starts the thread.
    ///
    /// A response whose bytes wait for `send_timeout` without progress is aborted; a connection on
    /// which no request has come for `head_timeout`, and nothing is under way, is closed; one of
    /// HTTP/2 that has had a request, after ten times that.
    ///
    /// # Errors
    ///
    /// Returns the operating system's error if it has no thread to give.
    pub fn start(send_timeout: Duration, head_timeout: Duration) -> io::Result<Self> {
        let limits = Limits {
            send: send_timeout,
            head: head_timeout,
        };
        let shared = Arc::new(Shared {
            limits,
            connections: Mutex::new(Vec::new()),
            is_last: AtomicBool::new(false),
            changed: Condvar::new(),
        });
        let watched = Arc::downgrade(&shared);
        thread::Builder::new()
            .name("bocadillo-watch".into())
            .spawn(move || run(&watched, limits))?;
        Ok(Self { shared })
    }

    /// Watches a connection until its IO is gone.
    pub fn add(&self, connection: &Connection) {
        let hub = connection.hub();
        let mut connections = lock(&self.shared.connections);
        let is_last = self.shared.is_last.load(Relaxed);
        hub.activity.is_last.store(is_last, Relaxed);
        connections.push(Arc::downgrade(hub));
        drop(connections);
        self.shared.changed.notify_one();
    }

    /// Has each HTTP/1 connection end with its next response, those included that are still to come; or
    /// go on again.
    pub(crate) fn announce_end(&self, is_last: bool) {
        self.shared.is_last.store(is_last, Relaxed);
        for hub in self.shared.live_connections() {
            hub.activity.is_last.store(is_last, Relaxed);
        }
    }

    /// Asks all connections to end after the responses that are under way; one that may have a request
    /// to come, and no way to refuse it, is asked in vain until that has come.
    pub(crate) fn finish_all(&self) {
        for hub in self.shared.live_connections() {
            hub.kill.request_finish();
        }
    }

    /// Closes the connections without a request under way.
    pub(crate) fn close_idle(&self) {
        for hub in self.shared.live_connections() {
            let activity = &hub.activity;
            let is_busy = activity.requests.load(Relaxed) > 0
                || activity.is_write_blocked.load(Relaxed)
                || !hub.tickets().is_empty();
            if !is_busy {
                let accepted = activity.accepted.load(Relaxed);
                hub.kill.request(Reason::Idle, accepted);
            }
        }
    }

    /// Closes all connections.
    pub(crate) fn close_all(&self) {
        for hub in self.shared.live_connections() {
            hub.kill.request(Reason::Now, 0);
        }
    }
}

fn run(shared: &Weak<Shared>, limits: Limits) {
    let pause =
        (limits.send.min(limits.head) / 8).clamp(Duration::from_millis(5), Duration::from_secs(1));
    let mut seen = HashMap::new();
    // The strong reference is not kept over the pause: with the last handle, the thread ends.
    while let Some(shared) = shared.upgrade() {
        let hubs = shared.live_connections();
        if hubs.is_empty() {
            shared.wait_for_change();
            continue;
        }
        drop(shared);
        let now = Instant::now();
        seen = hubs
            .iter()
            .map(|hub| look(hub, &mut seen, limits, now))
            .collect();
        drop(hubs);
        thread::sleep(pause);
    }
}

impl Shared {
    fn live_connections(&self) -> Vec<Arc<Hub>> {
        let mut connections = lock(&self.connections);
        connections.retain(|hub| hub.upgrade().is_some_and(|hub| !hub.is_closed()));
        connections.iter().filter_map(Weak::upgrade).collect()
    }

    /// Waits for a connection; not for ever, since the last handle may go.
    fn wait_for_change(&self) {
        let connections = lock(&self.connections);
        if connections.is_empty() {
            let _ = self
                .changed
                .wait_timeout(connections, Duration::from_secs(1));
        }
    }
}

/// What was seen of a connection when something last moved.
struct Seen {
    accepted: u64,
    requests: usize,
    since: Instant,
    waiting: Waiting,
    /// Keeps the address, by which it is found again, from being given to another.
    _hub: Weak<Hub>,
}

/// The responses whose bytes wait.
type Waiting = HashMap<*const (), Waits>;

/// How far a response, and where that matters its connection, had come when that last changed.
struct Waits {
    progress: (u64, u64),
    since: Instant,
    /// As in `Seen`.
    _ticket: Weak<Ticket>,
}

fn look(
    hub: &Arc<Hub>,
    seen: &mut HashMap<*const Hub, Seen>,
    limits: Limits,
    now: Instant,
) -> (*const Hub, Seen) {
    let key = Arc::as_ptr(hub);
    let before = seen.remove(&key);
    let activity = &hub.activity;
    let is_blocked = activity.is_write_blocked.load(Relaxed);
    let accepted = activity.accepted.load(Relaxed);
    let requests = activity.requests.load(Relaxed);
    let since = match &before {
        Some(seen) if (seen.accepted, seen.requests) == (accepted, requests) => seen.since,
        _ => now,
    };
    let still = now.duration_since(since);
    let tickets = hub.tickets();
    if is_blocked && still >= limits.send {
        hub.kill.request(Reason::Stalled, accepted);
    } else if !is_blocked && requests == 0 && tickets.is_empty() && still >= limits.idle(hub) {
        hub.kill.request(Reason::Idle, accepted);
    }
    let before = before.map(|seen| seen.waiting).unwrap_or_default();
    let waiting = look_at_responses(hub, tickets, &before, limits, now);
    (
        key,
        Seen {
            accepted,
            requests,
            since,
            waiting,
            _hub: Arc::downgrade(hub),
        },
    )
}

fn look_at_responses(
    hub: &Hub,
    tickets: Vec<Arc<Ticket>>,
    before: &Waiting,
    limits: Limits,
    now: Instant,
) -> Waiting {
    let mut waiting = HashMap::new();
    for ticket in tickets.into_iter().filter(|ticket| is_waiting(ticket)) {
        let key = Arc::as_ptr(&ticket).cast();
        // What was copied into a write buffer counts as written at once. From then on it is the
        // connection that moves, or does not.
        let is_copied = ticket.protocol == Protocol::Http1 || ticket.in_flight() == 0;
        let connection = if is_copied {
            hub.activity.accepted.load(Relaxed)
        } else {
            0
        };
        let progress = (ticket.written(), connection);
        let since = match before.get(&key) {
            Some(before) if before.progress == progress => before.since,
            _ => now,
        };
        if now.duration_since(since) >= limits.send && !ticket.abort_stream() {
            hub.kill.request(Reason::Now, 0);
        }
        let ticket = Arc::downgrade(&ticket);
        waiting.insert(
            key,
            Waits {
                progress,
                since,
                _ticket: ticket,
            },
        );
    }
    waiting
}

/// Whether bytes of the response wait. A quiet event stream has none that do.
fn is_waiting(ticket: &Ticket) -> bool {
    ticket.in_flight() > 0 || ticket.state.load(Relaxed) == MARKED
}

impl Limits {
    /// A connection of HTTP/2 is made to last: browsers keep one for minutes.
    fn idle(&self, hub: &Hub) -> Duration {
        let is_multiplexed = hub.activity.is_multiplexed.load(Relaxed);
        if is_multiplexed {
            self.head * 10
        } else {
            self.head
        }
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch")
            .field("limits", &self.shared.limits)
            .finish_non_exhaustive()
    }
}
