//! Ends responses that make no progress, and connections without a request.

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
    clock::Clock,
    conn_state::ConnState,
    connection::Connection,
    kill::Reason,
    lock::lock,
    seen::{Seen, Waiting, Waits},
    ticket::{MARKED, Protocol, Ticket},
};

/// Looks at its connections from a thread of its own, so that requests need no timers.
///
/// A limit is noticed at most a quarter late. The thread sleeps while there are no connections,
/// and ends when the last handle is dropped.
#[derive(Clone)]
pub struct Watch {
    shared: Arc<Shared>,
}

struct Shared {
    times: Times,
    connections: Mutex<Vec<Weak<ConnState>>>,
    /// The next response of each connection is the last one. Set before the connections get it, and read
    /// under their lock.
    is_last: AtomicBool,
    /// A first connection was added.
    changed: Condvar,
    clock: Clock,
}

/// The time limits of a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    /// A response whose bytes wait without progress is aborted.
    pub(crate) send: Duration,
    /// A connection is closed if its first request has not come, or a later request is not complete.
    pub(crate) head: Duration,
    /// A connection without a request is closed.
    pub(crate) idle: Duration,
    /// A connection is closed if its client has left and no view reads the upload.
    pub(crate) left: Duration,
    /// A closing connection does not read on.
    pub(crate) linger: Duration,
    /// A connection of HTTP/2 without input is polled, so that hyper sends a PING.
    pub(crate) probe: Duration,
}

/// How long a client may pause while its upload is read and dropped. nginx has the same limit.
const LINGER_PAUSE: Duration = Duration::from_secs(5);

/// How long an idle connection of HTTP/2 may take to end after GOAWAY.
const GOODBYE: Duration = Duration::from_secs(1);

/// How long resets may take to be written.
const RESETTING: Duration = Duration::from_millis(500);

impl Watch {
    /// Starts the thread.
    ///
    /// A response whose bytes wait for `send_timeout` without progress is aborted; a connection whose
    /// first request has not come within `head_timeout`, or whose next one is not complete so long after
    /// its first byte, is closed; one without a request, after two and a half times that.
    ///
    /// # Errors
    ///
    /// Returns the operating system's error if it has no thread to give.
    pub fn start(send_timeout: Duration, head_timeout: Duration) -> io::Result<Self> {
        Self::with(Times {
            send: send_timeout,
            head: head_timeout,
            idle: head_timeout.saturating_mul(5) / 2,
            left: head_timeout,
            linger: head_timeout,
            probe: Duration::MAX,
        })
    }

    pub(crate) fn with(times: Times) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            times,
            connections: Mutex::new(Vec::new()),
            is_last: AtomicBool::new(false),
            changed: Condvar::new(),
            clock: Clock::new(),
        });
        let watched = Arc::downgrade(&shared);
        thread::Builder::new()
            .name("bocadillo-watch".into())
            .spawn(move || run(&watched, times))?;
        Ok(Self { shared })
    }

    /// Watches a connection until its IO is gone.
    pub fn add(&self, connection: &Connection) {
        let conn = connection.state();
        let mut connections = lock(&self.shared.connections);
        if connections.is_empty() {
            // The watch sleeps without connections, and its clock stands.
            self.shared.clock.set(Instant::now());
        }
        let is_last = self.shared.is_last.load(Relaxed);
        conn.activity.is_last.store(is_last, Relaxed);
        connections.push(Arc::downgrade(conn));
        drop(connections);
        self.shared.changed.notify_one();
    }

    pub(crate) fn clock(&self) -> Clock {
        self.shared.clock.clone()
    }

    /// Has each HTTP/1 connection, also a later one, end with its next response; or go on again.
    pub(crate) fn announce_end(&self, is_last: bool) {
        self.shared.is_last.store(is_last, Relaxed);
        for conn in self.shared.live_connections() {
            conn.activity.is_last.store(is_last, Relaxed);
        }
    }

    /// Asks all connections to end after the responses that are under way. A connection that may still get
    /// a request, and could not refuse it, stays until the request has come.
    pub(crate) fn finish_all(&self) {
        for conn in self.shared.live_connections() {
            conn.kill.request_finish();
        }
    }

    /// Closes the connections without a request under way.
    pub(crate) fn close_idle(&self) {
        for conn in self.shared.live_connections() {
            let activity = &conn.activity;
            // Read first, so that a request that begins meanwhile withdraws the request to close.
            let begun = activity.begun.load(Relaxed);
            let is_busy = activity.requests.load(Relaxed) > 0
                || activity.is_write_blocked.load(Relaxed)
                || activity.is_lingering.load(Relaxed)
                || !conn.tickets().is_empty();
            if !is_busy {
                conn.kill.request(Reason::Idle, begun);
            }
        }
    }

    /// Closes all connections of HTTP/1, and resets the streams of HTTP/2.
    pub(crate) fn reset_all(&self) {
        for conn in self.shared.live_connections() {
            conn.kill.request(Reason::Cut, 0);
        }
    }

    /// Closes all connections.
    pub(crate) fn close_all(&self) {
        for conn in self.shared.live_connections() {
            conn.kill.request(Reason::Now, 0);
        }
    }
}

fn run(shared: &Weak<Shared>, times: Times) {
    let pause = times.pause();
    let mut seen = HashMap::new();
    // No strong reference is kept during the pause, so that the thread ends with the last handle.
    while let Some(shared) = shared.upgrade() {
        let conns = shared.live_connections();
        if conns.is_empty() {
            shared.wait_for_change();
            continue;
        }
        let now = Instant::now();
        shared.clock.set(now);
        drop(shared);
        seen = conns
            .iter()
            .map(|conn| look(conn, &mut seen, times, now))
            .collect();
        drop(conns);
        thread::sleep(pause);
    }
}

impl Times {
    /// Returns a pause that is short for each limit, and lets a view see within a second that its client
    /// has left.
    fn pause(&self) -> Duration {
        let times = [
            self.send,
            self.head,
            self.idle,
            self.left,
            self.linger,
            self.probe,
        ];
        let shortest = times.into_iter().min().unwrap_or_default();
        (shortest / 8).clamp(Duration::from_millis(5), Duration::from_millis(500))
    }
}

impl Shared {
    fn live_connections(&self) -> Vec<Arc<ConnState>> {
        let mut connections = lock(&self.connections);
        connections.retain(|conn| conn.upgrade().is_some_and(|conn| !conn.is_closed()));
        connections.iter().filter_map(Weak::upgrade).collect()
    }

    /// Waits for a connection, for a second at most: the last handle may be dropped.
    fn wait_for_change(&self) {
        let connections = lock(&self.connections);
        if connections.is_empty() {
            let _ = self
                .changed
                .wait_timeout(connections, Duration::from_secs(1));
        }
    }
}

fn look(
    conn: &Arc<ConnState>,
    all: &mut HashMap<*const ConnState, Seen>,
    times: Times,
    now: Instant,
) -> (*const ConnState, Seen) {
    let key = Arc::as_ptr(conn);
    let mut seen = all.remove(&key).unwrap_or_else(|| Seen::new(conn, now));
    let is_blocked = conn.activity.is_write_blocked.load(Relaxed);
    let tickets = conn.tickets();
    seen.update(conn, is_blocked || !tickets.is_empty(), now);
    if is_blocked && now.duration_since(seen.moved) >= times.send {
        conn.kill.request(Reason::Stalled, seen.now.accepted);
    } else {
        end_what_is_idle(conn, &mut seen, times, now);
    }
    end_what_is_over(conn, &seen, times, now);
    poll_what_is_quiet(conn, &seen, times, now);
    seen.waiting = look_at_responses(conn, tickets, &seen.waiting, times, now);
    (key, seen)
}

/// Closes a connection without a complete request.
fn end_what_is_idle(conn: &ConnState, seen: &mut Seen, times: Times, now: Instant) {
    let is_multiplexed = conn.activity.is_multiplexed.load(Relaxed);
    let idle = now.duration_since(seen.busy);
    let head = match seen.head {
        _ if seen.now.begun == 0 => idle,
        // On HTTP/2 some frames, such as PING, belong to no request.
        Some(head) if !is_multiplexed => now.duration_since(head),
        _ => Duration::ZERO,
    };
    if idle.is_zero() || head < times.head && idle < times.idle {
        return;
    }
    if is_multiplexed && idle < times.idle.saturating_add(GOODBYE) {
        // GOAWAY first, so that no request on its way is lost.
        if !seen.is_told_to_finish {
            conn.kill.request_finish();
        }
        seen.is_told_to_finish = true;
        return;
    }
    conn.kill.request(Reason::Idle, seen.now.begun);
}

/// Closes a connection whose client has left or does not stop sending, or whose streams were reset.
fn end_what_is_over(conn: &ConnState, seen: &Seen, times: Times, now: Instant) {
    let quiet = now.duration_since(seen.heard);
    let has_left = conn.activity.has_left.load(Relaxed) && quiet >= times.left;
    let lingers = seen.lingers.is_some_and(|lingers| {
        quiet >= LINGER_PAUSE || now.duration_since(lingers) >= times.linger
    });
    let is_cut = seen
        .cut
        .is_some_and(|cut| now.duration_since(cut) >= RESETTING);
    if has_left || lingers || is_cut {
        conn.kill.request(Reason::Now, 0);
    }
}

/// Polls a connection that would not notice that its peer is gone.
fn poll_what_is_quiet(conn: &ConnState, seen: &Seen, times: Times, now: Instant) {
    let activity = &conn.activity;
    if activity.is_multiplexed.load(Relaxed) {
        if now.duration_since(seen.heard) >= times.probe {
            conn.kill.poke();
        }
    } else if seen.now.requests > 0 && activity.is_read_paused.load(Relaxed) {
        activity.must_look.store(true, Relaxed);
        conn.kill.poke();
    }
}

fn look_at_responses(
    conn: &ConnState,
    tickets: Vec<Arc<Ticket>>,
    before: &Waiting,
    times: Times,
    now: Instant,
) -> Waiting {
    let mut waiting = HashMap::new();
    for ticket in tickets.into_iter().filter(|ticket| is_waiting(ticket)) {
        let key = Arc::as_ptr(&ticket).cast();
        // Bytes that were copied into a write buffer count as written. From then on the progress is that
        // of the connection.
        let is_copied = ticket.protocol == Protocol::Http1 || ticket.in_flight() == 0;
        let connection = if is_copied {
            conn.activity.accepted.load(Relaxed)
        } else {
            0
        };
        let progress = (ticket.written(), connection);
        let since = match before.get(&key) {
            Some(before) if before.progress == progress => before.since,
            _ => now,
        };
        if now.duration_since(since) >= times.send && !ticket.abort_stream() {
            conn.kill.request(Reason::Cut, 0);
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

/// Returns whether bytes of the response wait. A quiet event stream has none.
fn is_waiting(ticket: &Ticket) -> bool {
    ticket.in_flight() > 0 || ticket.state.load(Relaxed) == MARKED
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch")
            .field("times", &self.shared.times)
            .finish_non_exhaustive()
    }
}
