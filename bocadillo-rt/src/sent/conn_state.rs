//! The state of one connection: its responses on their way, and what its IO saw of them.

use std::{
    fmt, mem, ptr,
    sync::{
        Arc, Mutex,
        atomic::{
            AtomicBool, AtomicUsize,
            Ordering::{Relaxed, SeqCst},
        },
    },
};

use super::{
    activity::Activity,
    delivery::{Delivery, OnDone},
    kill::Kill,
    lock::lock,
    scope,
    ticket::{MARKED, Protocol, Ticket, UNDECIDED},
};

#[derive(Default)]
pub(super) struct ConnState {
    list: Mutex<List>,
    /// Some response is marked. Set and cleared within the connection's own poll. `SeqCst`, because a
    /// server may drop a body on another thread.
    marked: AtomicBool,
    /// How many responses are undecided. Ordered as `marked`.
    undecided: AtomicUsize,
    pub(super) activity: Activity,
    pub(super) kill: Kill,
    /// The connection is polled through [`Driven`](super::Driven): outside of that poll, hyper writes
    /// nothing.
    pub(super) is_driven: AtomicBool,
    /// The current poll has reported a response. Set and read by that poll.
    pub(super) has_reported: AtomicBool,
    /// The head of the newest HTTP/1 response was not offered to the IO yet. Set and read by the
    /// connection's own poll.
    pub(super) awaits_head: AtomicBool,
}

#[derive(Default)]
struct List {
    live: Vec<Live>,
    /// The ticket of a response that was sent, kept for the next one: HTTP/1 mostly has one at a time.
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
    /// Reports a response that will never be sent.
    fn abort(self) {
        let bytes = self.ticket.written();
        self.report(Delivery::Aborted { bytes });
    }

    /// HTTP/1 holds no locks, so its callbacks run at once.
    fn report(self, delivery: Delivery) {
        match self.ticket.protocol {
            Protocol::Http1 => self.on_done.done(delivery),
            Protocol::Http2 => scope::report(self.on_done, delivery),
        }
    }
}

impl ConnState {
    /// Adds a response to the list. If the IO is gone, reports it as aborted.
    #[inline]
    pub(super) fn add(&self, protocol: Protocol, on_done: OnDone) -> Option<Arc<Ticket>> {
        let mut list = lock(&self.list);
        if list.is_closed {
            drop(list);
            on_done.done(Delivery::Aborted { bytes: 0 });
            return None;
        }
        if protocol == Protocol::Http1 {
            self.awaits_head.store(true, Relaxed);
        }
        let ticket = list.ticket(protocol);
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

    /// A token was dropped without data. Within the connection's own poll hyper may have encoded it;
    /// outside of that poll hyper encodes nothing.
    pub(super) fn drop_undecided(&self, ticket: &Ticket) {
        if self.is_driven.load(Relaxed) && !scope::is_polling(self) {
            self.abort(ticket);
            return;
        }
        ticket.state.store(UNDECIDED, SeqCst);
        self.undecided.fetch_add(1, SeqCst);
    }

    pub(super) fn has_undecided(&self) -> bool {
        self.undecided.load(SeqCst) != 0
    }

    /// Decides about the undecided responses at the next call of the IO: they were encoded if the newly
    /// offered bytes hold as many ends of streams.
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
        if self.awaits_head.load(Relaxed) {
            self.abort_headless();
        }
        let mut list = lock(&self.list);
        // HTTP/1 mostly has one response: its place in the list is used again.
        if let [live] = &*list.live {
            let is_marked = live.ticket.state.load(SeqCst) == MARKED;
            let is_http1 = live.ticket.protocol == Protocol::Http1;
            let on_done = if is_marked { list.take_only() } else { None };
            drop(list);
            match on_done {
                None => {}
                Some(on_done) if is_http1 => on_done.done(Delivery::Sent),
                Some(on_done) => scope::report(on_done, Delivery::Sent),
            }
            return;
        }
        let sent = list.take(MARKED);
        drop(list);
        for live in sent {
            live.report(Delivery::Sent);
        }
    }

    /// Aborts the newest response: hyper could not encode its head and dropped its body, so the flush was
    /// not of this response.
    #[cold]
    fn abort_headless(&self) {
        let mut list = lock(&self.list);
        let is_marked = |live: &Live| live.ticket.state.load(SeqCst) == MARKED;
        let headless = if list.live.last().is_some_and(is_marked) {
            list.live.pop()
        } else {
            None
        };
        drop(list);
        if let Some(live) = headless {
            live.abort();
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

    /// The IO is gone: reports all responses that are left as aborted.
    pub(super) fn close(&self) {
        let mut list = lock(&self.list);
        list.is_closed = true;
        let left = mem::take(&mut list.live);
        drop(list);
        for live in left {
            live.abort();
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        lock(&self.list).is_closed
    }

    /// Resets the HTTP/2 streams of all responses on their way.
    pub(super) fn reset_streams(&self) {
        for ticket in self.tickets() {
            ticket.abort_stream();
        }
    }

    /// Returns the tickets of all responses on their way, for [`Watch`](super::Watch).
    pub(super) fn tickets(&self) -> Vec<Arc<Ticket>> {
        let list = lock(&self.list);
        let live = list.live.iter();
        live.map(|live| Arc::clone(&live.ticket)).collect()
    }
}

impl List {
    /// Returns a ticket: the spare one, unless a buffer still holds it.
    #[inline(always)]
    fn ticket(&mut self, protocol: Protocol) -> Arc<Ticket> {
        if protocol == Protocol::Http1 {
            if let Some(mut spare) = self.spare.take() {
                if let Some(ticket) = Arc::get_mut(&mut spare) {
                    ticket.renew();
                    return spare;
                }
            }
        }
        Arc::new(Ticket::new(protocol))
    }

    /// Takes the only response, which was sent; returns its callback.
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

impl fmt::Debug for ConnState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnState")
            .field("responses", &lock(&self.list).live.len())
            .field("marked", &self.marked)
            .field("undecided", &self.undecided)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, channel};

    use super::{super::delivery::call, *};

    fn add(conn: &Arc<ConnState>) -> (Arc<Ticket>, Receiver<Delivery>) {
        let (sender, receiver) = channel();
        let on_done = call(move |delivery| {
            // The test may not wait for it.
            let _ = sender.send(delivery);
        });
        let ticket = conn.add(Protocol::Http1, on_done);
        // As when the IO was offered its head.
        conn.awaits_head.store(false, Relaxed);
        (ticket.expect("the IO is there"), receiver)
    }

    #[test]
    fn a_ticket_is_used_again_as_if_it_were_new() {
        let conn = Arc::new(ConnState::default());
        let (first, done) = add(&conn);
        first.hand_over(5);
        conn.mark(&first);
        let address = Arc::as_ptr(&first);
        drop(first);
        conn.flushed();
        assert_eq!(done.try_recv(), Ok(Delivery::Sent));

        let (second, done) = add(&conn);
        assert_eq!(Arc::as_ptr(&second), address);
        assert_eq!(second.in_flight(), 0);
        conn.flushed();
        assert!(done.try_recv().is_err(), "its end has not come");
        conn.mark(&second);
        conn.flushed();
        assert_eq!(done.try_recv(), Ok(Delivery::Sent));
    }

    #[test]
    fn a_ticket_that_somebody_has_is_not_used_again() {
        let conn = Arc::new(ConnState::default());
        let (first, done) = add(&conn);
        conn.mark(&first);
        conn.flushed();
        assert_eq!(done.try_recv(), Ok(Delivery::Sent));
        let (second, _done) = add(&conn);
        assert!(!Arc::ptr_eq(&first, &second));
    }
}
