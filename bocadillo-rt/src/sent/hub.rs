//! One connection: the list of its responses on their way, and what its IO tells of them.

use std::{
    fmt, mem, ptr,
    sync::{
        Arc, Mutex,
        atomic::{
            AtomicBool, AtomicU8, AtomicU64, AtomicUsize,
            Ordering::{Relaxed, SeqCst},
        },
    },
    task::Waker,
};

use super::{
    drive, scope,
    ticket::{Delivery, MARKED, OnDone, Protocol, Ticket, UNDECIDED, lock},
};

#[derive(Default)]
pub(super) struct Hub {
    list: Mutex<List>,
    /// Some response is marked. Set and cleared within the connection's own poll; `SeqCst` because
    /// a body may have been dropped by another thread where a server does that.
    marked: AtomicBool,
    /// How many responses are undecided. As `marked`.
    undecided: AtomicUsize,
    pub(super) activity: Activity,
    pub(super) kill: Kill,
    /// The connection is polled through [`Driven`](super::Driven): what happens outside of that
    /// poll is not hyper writing.
    pub(super) is_driven: AtomicBool,
    /// A response was reported within the poll that runs. Set and read by that poll.
    pub(super) has_reported: AtomicBool,
    /// What was written is HTTP/1, which it stays. Set and read by the connection's own poll.
    pub(super) is_http1: AtomicBool,
}

/// What the connection is doing, for [`Watch`](super::Watch). Plain counters, each read alone.
#[derive(Default)]
pub(super) struct Activity {
    /// Bytes that the IO has accepted.
    pub(super) accepted: AtomicU64,
    /// The IO's last write would have blocked.
    pub(super) is_write_blocked: AtomicBool,
    /// Requests whose response is not complete, and uploads that somebody may still read.
    pub(super) requests: AtomicUsize,
    /// An HTTP/2 request was seen: the connection may be idle for long.
    pub(super) is_multiplexed: AtomicBool,
    /// The server is to end: on HTTP/1 the next response is the last one, and says so.
    pub(super) is_last: AtomicBool,
}

/// The wish that the connection's task end, and how to wake it for that.
#[derive(Default)]
pub(super) struct Kill {
    /// There is such a wish, or was: most connections never have one. Set after what is wished, read
    /// before; `SeqCst` with `waker`: each side writes its own before it reads the other's.
    is_wished: AtomicBool,
    /// Why. `SeqCst` as `is_wished`.
    reason: AtomicU8,
    /// The wish that it end after the responses that are under way. `SeqCst` as `is_wished`.
    is_to_finish: AtomicBool,
    /// What the IO had accepted when it was wished.
    accepted: AtomicU64,
    /// Set by [`Driven`](super::Driven).
    waker: Mutex<Option<Waker>>,
}

/// Why a connection is to be closed. What [`Watch`](super::Watch) saw may have changed until the
/// connection's task is polled, which looks again.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Reason {
    None,
    /// No request has come for long.
    Idle,
    /// Nothing was written for long, although there was something to write.
    Stalled,
    /// Whatever happens.
    Now,
}

#[derive(Default)]
struct List {
    live: Vec<Live>,
    /// The ticket of a response that is out, for the next one: with HTTP/1 there is mostly one at a time.
    /// It goes with the IO, as it has the hub.
    spare: Option<Arc<Ticket>>,
    /// The IO is gone.
    is_closed: bool,
}

/// A response on its way.
struct Live {
    ticket: Arc<Ticket>,
    on_done: OnDone,
}

impl Live {
    /// It will never be sent.
    fn abort(self) {
        let bytes = self.ticket.written();
        scope::report(self.on_done, Delivery::Aborted { bytes });
    }
}

impl Hub {
    /// Enters a response on its way, unless that has an end already.
    #[inline]
    pub(super) fn add(
        self: &Arc<Self>,
        protocol: Protocol,
        on_done: OnDone,
    ) -> Option<Arc<Ticket>> {
        let mut list = lock(&self.list);
        if list.is_closed {
            drop(list);
            on_done.done(Delivery::Aborted { bytes: 0 });
            return None;
        }
        let ticket = list.ticket(self, protocol);
        list.live.push(Live {
            ticket: Arc::clone(&ticket),
            on_done,
        });
        Some(ticket)
    }

    pub(super) fn mark(&self, ticket: &Ticket) {
        ticket.state.store(MARKED, SeqCst);
        self.marked.store(true, SeqCst);
    }

    /// A token went without data. Within the connection's own poll that may mean "encoded";
    /// anywhere else nothing is ever encoded.
    pub(super) fn drop_undecided(&self, ticket: &Ticket) {
        if drive::is_elsewhere(self) {
            self.abort(ticket);
            return;
        }
        ticket.state.store(UNDECIDED, SeqCst);
        self.undecided.fetch_add(1, SeqCst);
    }

    pub(super) fn has_undecided(&self) -> bool {
        self.undecided.load(SeqCst) != 0
    }

    /// The call of the IO that follows tells what became of the undecided: they were encoded if
    /// the bytes that are offered for the first time hold as many ends.
    pub(super) fn decide(&self, new_ends: usize) {
        let undecided = self.undecided.swap(0, SeqCst);
        let was_encoded = new_ends >= undecided;
        if was_encoded {
            self.marked.store(true, SeqCst);
            for live in &lock(&self.list).live {
                let state = &live.ticket.state;
                let _ = state.compare_exchange(UNDECIDED, MARKED, SeqCst, SeqCst);
            }
            return;
        }
        let dropped = lock(&self.list).take(UNDECIDED);
        for live in dropped {
            live.abort();
        }
    }

    /// A flush of the IO succeeded.
    #[inline]
    pub(super) fn flushed(&self) {
        if self.marked.load(Relaxed) {
            self.report_sent();
        }
    }

    fn report_sent(&self) {
        self.marked.store(false, SeqCst);
        self.has_reported.store(true, Relaxed);
        let mut list = lock(&self.list);
        // On HTTP/1 it is mostly the only one: its place in the list is used again.
        if let [live] = &*list.live {
            let is_marked = live.ticket.state.load(SeqCst) == MARKED;
            let on_done = if is_marked { list.take_only() } else { None };
            drop(list);
            if let Some(on_done) = on_done {
                on_done.done(Delivery::Sent);
            }
            return;
        }
        let sent = list.take(MARKED);
        drop(list);
        for live in sent {
            live.on_done.done(Delivery::Sent);
        }
    }

    pub(super) fn abort(&self, ticket: &Ticket) {
        let mut list = lock(&self.list);
        let is_it = |live: &Live| ptr::eq(Arc::as_ptr(&live.ticket), ticket);
        let at = list.live.iter().position(is_it);
        let live = at.map(|at| list.live.remove(at));
        drop(list);
        if let Some(live) = live {
            live.abort();
        }
    }

    /// The IO is gone: nothing that is left can ever be sent.
    pub(super) fn close(&self) {
        let mut list = lock(&self.list);
        list.is_closed = true;
        let left = mem::take(&mut list.live);
        let spare = list.spare.take();
        drop(list);
        drop(spare);
        for live in left {
            live.abort();
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        lock(&self.list).is_closed
    }

    /// The tickets on their way, for [`Watch`](super::Watch).
    pub(super) fn tickets(&self) -> Vec<Arc<Ticket>> {
        let list = lock(&self.list);
        let live = list.live.iter();
        live.map(|live| Arc::clone(&live.ticket)).collect()
    }
}

impl List {
    /// The ticket of a response: the spare one, if nobody else still has that.
    #[inline(always)]
    fn ticket(&mut self, hub: &Arc<Hub>, protocol: Protocol) -> Arc<Ticket> {
        if protocol == Protocol::Http1 {
            if let Some(mut spare) = self.spare.take() {
                if let Some(ticket) = Arc::get_mut(&mut spare) {
                    ticket.renew();
                    return spare;
                }
            }
        }
        Arc::new(Ticket::new(Arc::clone(hub), protocol))
    }

    /// Takes the only response, which is out; returns what is to be called.
    #[inline(always)]
    fn take_only(&mut self) -> Option<OnDone> {
        let Live { ticket, on_done } = self.live.pop()?;
        if ticket.protocol == Protocol::Http1 {
            self.spare = Some(ticket);
        }
        Some(on_done)
    }

    fn take(&mut self, state: u8) -> Vec<Live> {
        let is_wanted = |live: &Live| live.ticket.state.load(SeqCst) == state;
        let (wanted, rest) = mem::take(&mut self.live).into_iter().partition(is_wanted);
        self.live = rest;
        wanted
    }
}

impl Kill {
    pub(super) fn request(&self, reason: Reason, accepted: u64) {
        self.accepted.store(accepted, SeqCst);
        self.reason.store(reason as u8, SeqCst);
        self.is_wished.store(true, SeqCst);
        self.wake();
    }

    pub(super) fn request_finish(&self) {
        self.is_to_finish.store(true, SeqCst);
        self.is_wished.store(true, SeqCst);
        self.wake();
    }

    fn wake(&self) {
        let waker = lock(&self.waker).take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    pub(super) fn register(&self, waker: &Waker) {
        *lock(&self.waker) = Some(waker.clone());
    }

    pub(super) fn forget_waker(&self) {
        lock(&self.waker).take();
    }

    /// Whether there is that wish; it is told once.
    fn takes_finish(&self) -> bool {
        self.is_to_finish.load(SeqCst) && self.is_to_finish.swap(false, SeqCst)
    }

    fn reason(&self) -> Reason {
        match self.reason.load(SeqCst) {
            0 => Reason::None,
            1 => Reason::Idle,
            2 => Reason::Stalled,
            _ => Reason::Now,
        }
    }
}

/// What is to be done about a wish to close.
pub(super) enum Verdict {
    None,
    Close,
    /// If no request is there already that it has not read.
    CloseUnread,
    /// After the responses that are under way.
    Finish,
    /// It is out of date.
    Withdrawn,
}

impl Hub {
    #[inline]
    pub(super) fn verdict(&self) -> Verdict {
        if self.kill.is_wished.load(SeqCst) {
            return self.judge();
        }
        Verdict::None
    }

    #[cold]
    fn judge(&self) -> Verdict {
        match self.kill.reason() {
            Reason::None if !self.kill.takes_finish() => Verdict::None,
            Reason::None if self.may_have_unread() => Verdict::Withdrawn,
            Reason::None => Verdict::Finish,
            Reason::Now => Verdict::Close,
            Reason::Idle if self.is_idle() => Verdict::CloseUnread,
            Reason::Stalled if self.is_stalled() => Verdict::Close,
            Reason::Idle | Reason::Stalled => {
                self.kill.reason.store(Reason::None as u8, SeqCst);
                Verdict::Withdrawn
            }
        }
    }

    /// Nothing has happened since it was wished that it be closed for that.
    pub(super) fn is_idle(&self) -> bool {
        self.activity.requests.load(Relaxed) == 0 && self.is_still()
    }

    fn is_stalled(&self) -> bool {
        self.activity.is_write_blocked.load(Relaxed) && self.is_still()
    }

    fn is_still(&self) -> bool {
        self.activity.accepted.load(Relaxed) == self.kill.accepted.load(SeqCst)
    }

    /// Whether a request may be on its way that would be lost if the connection ended now: HTTP/1 has
    /// no GOAWAY, and a connection that has just been accepted is not known to have one.
    fn may_have_unread(&self) -> bool {
        let activity = &self.activity;
        let has_goaway = activity.accepted.load(Relaxed) > 0 && !self.is_http1.load(Relaxed);
        activity.requests.load(Relaxed) == 0 && !has_goaway
    }
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub")
            .field("responses", &lock(&self.list).live.len())
            .field("marked", &self.marked)
            .field("undecided", &self.undecided)
            .finish_non_exhaustive()
    }
}

/// A request that has no complete response yet: while one exists, its connection is not idle.
#[derive(Debug)]
pub(crate) struct Busy(Arc<Hub>);

impl Busy {
    pub(super) fn new(hub: Arc<Hub>) -> Self {
        hub.activity.requests.fetch_add(1, Relaxed);
        Self(hub)
    }
}

impl Clone for Busy {
    fn clone(&self) -> Self {
        Self::new(Arc::clone(&self.0))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.activity.requests.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, channel};

    use super::{super::ticket::call, *};

    fn add(hub: &Arc<Hub>) -> (Arc<Ticket>, Receiver<Delivery>) {
        let (sender, receiver) = channel();
        let on_done = call(move |delivery| {
            // The test may not wait for it.
            let _ = sender.send(delivery);
        });
        let ticket = hub.add(Protocol::Http1, on_done);
        (ticket.expect("the IO is there"), receiver)
    }

    #[test]
    fn a_ticket_is_used_again_as_if_it_were_new() {
        let hub = Arc::new(Hub::default());
        let (first, done) = add(&hub);
        first.hand_over(5);
        first.complete();
        let address = Arc::as_ptr(&first);
        drop(first);
        hub.flushed();
        assert_eq!(done.try_recv(), Ok(Delivery::Sent));

        let (second, done) = add(&hub);
        assert_eq!(Arc::as_ptr(&second), address);
        assert_eq!(second.in_flight(), 0);
        hub.flushed();
        assert!(done.try_recv().is_err(), "its end has not come");
        second.complete();
        hub.flushed();
        assert_eq!(done.try_recv(), Ok(Delivery::Sent));
    }

    #[test]
    fn a_ticket_that_somebody_has_is_not_used_again() {
        let hub = Arc::new(Hub::default());
        let (first, done) = add(&hub);
        first.complete();
        hub.flushed();
        assert_eq!(done.try_recv(), Ok(Delivery::Sent));
        let (second, _done) = add(&hub);
        assert!(!Arc::ptr_eq(&first, &second));
    }

    #[test]
    fn what_is_left_goes_with_the_io() {
        let hub = Arc::new(Hub::default());
        let (first, _) = add(&hub);
        first.complete();
        drop(first);
        hub.flushed();
        let (second, done) = add(&hub);
        drop(second);
        hub.close();
        assert_eq!(done.try_recv(), Ok(Delivery::Aborted { bytes: 0 }));
        // No ticket has it any more.
        assert_eq!(Arc::strong_count(&hub), 1);
    }
}
