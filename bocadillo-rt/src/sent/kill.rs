//! Requests to close a connection, and the verdict of the connection's own task.
//!
//! Of two requests, the one with the stronger reason stays. The connection may have moved on since
//! [`Watch`](super::Watch) saw it. So the connection's task checks the reason again, and withdraws a
//! request that is out of date.

use std::{
    sync::{
        Mutex,
        atomic::{
            AtomicBool, AtomicU8, AtomicU64,
            Ordering::{Relaxed, SeqCst},
        },
    },
    task::Waker,
};

use super::{activity::Activity, lock::lock};

/// The request to close a connection, and the waker of the connection's task.
#[derive(Default)]
pub(super) struct Kill {
    /// There was a request: most connections never have one. Set after the reason, read before it.
    /// `SeqCst` with `waker`: each side writes its own before it reads the other's.
    is_requested: AtomicBool,
    /// The strongest reason. `SeqCst` as `is_requested`.
    reason: AtomicU8,
    /// The connection has to end after the responses that are under way. `SeqCst` as `is_requested`.
    is_to_finish: AtomicBool,
    /// The connection's progress at the time of the request. The reason says which counter it is.
    mark: AtomicU64,
    /// The streams were reset. Set by the connection's task.
    pub(super) is_cut: AtomicBool,
    /// Set by [`Driven`](super::Driven).
    waker: Mutex<Option<Waker>>,
}

/// Why a connection is to be closed, from the weakest on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(super) enum Reason {
    None,
    /// No request has come for too long. The mark counts the requests before.
    Idle,
    /// The IO accepted no byte for too long, although bytes waited. The mark counts the accepted bytes.
    Stalled,
    /// Unconditional. HTTP/2 streams are reset first, so that no client takes a part for the whole.
    Cut,
    /// Unconditional, at once.
    Now,
}

/// What the connection's task does about a request to close.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    None,
    Close,
    /// Close, unless a request waits unread.
    CloseUnread,
    /// Reset the streams.
    Cut,
    /// End after the responses that are under way.
    Finish,
    /// The request was withdrawn.
    Withdrawn,
}

impl Kill {
    pub(super) fn request(&self, reason: Reason, mark: u64) {
        if reason < Reason::Cut {
            self.mark.store(mark, SeqCst);
        }
        self.reason.fetch_max(reason as u8, SeqCst);
        self.is_requested.store(true, SeqCst);
        self.wake();
    }

    pub(super) fn request_finish(&self) {
        self.is_to_finish.store(true, SeqCst);
        self.is_requested.store(true, SeqCst);
        self.wake();
    }

    fn wake(&self) {
        let waker = lock(&self.waker).take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Has the connection polled, without a request to close.
    pub(super) fn poke(&self) {
        let waker = lock(&self.waker).clone();
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

    /// Takes the request to finish: returns `true` once.
    fn takes_finish(&self) -> bool {
        self.is_to_finish.load(SeqCst) && self.is_to_finish.swap(false, SeqCst)
    }

    fn reason(&self) -> Reason {
        match self.reason.load(SeqCst) {
            0 => Reason::None,
            1 => Reason::Idle,
            2 => Reason::Stalled,
            3 => Reason::Cut,
            _ => Reason::Now,
        }
    }

    /// Withdraws the request, unless a stronger one has come.
    fn withdraw(&self, reason: Reason) {
        let none = Reason::None as u8;
        let _ = self
            .reason
            .compare_exchange(reason as u8, none, SeqCst, SeqCst);
    }

    #[inline]
    pub(super) fn verdict(&self, activity: &Activity) -> Verdict {
        if self.is_requested.load(SeqCst) {
            return self.judge(activity);
        }
        Verdict::None
    }

    #[cold]
    fn judge(&self, activity: &Activity) -> Verdict {
        let reason = self.reason();
        if self.is_due(reason, activity) {
            let is_first = || !self.is_cut.swap(true, SeqCst);
            return match reason {
                Reason::Cut if !activity.is_multiplexed.load(Relaxed) => Verdict::Close,
                Reason::Cut if is_first() => Verdict::Cut,
                Reason::Cut => Verdict::Withdrawn,
                Reason::Idle => Verdict::CloseUnread,
                _ => Verdict::Close,
            };
        }
        self.withdraw(reason);
        if self.takes_finish() {
            // The shutdown repeats its request.
            if may_have_unread(activity) {
                return Verdict::Withdrawn;
            }
            return Verdict::Finish;
        }
        // Also without a request: the last one may have taken the waker.
        Verdict::Withdrawn
    }

    /// Returns whether the connection has been idle since the request to close it as idle.
    pub(super) fn is_idle(&self, activity: &Activity) -> bool {
        self.is_due(Reason::Idle, activity)
    }

    fn is_due(&self, reason: Reason, activity: &Activity) -> bool {
        let mark = self.mark.load(SeqCst);
        match reason {
            Reason::None => false,
            Reason::Idle => {
                activity.requests.load(Relaxed) == 0 && activity.begun.load(Relaxed) == mark
            }
            Reason::Stalled => {
                activity.is_write_blocked.load(Relaxed) && activity.accepted.load(Relaxed) == mark
            }
            Reason::Cut | Reason::Now => true,
        }
    }
}

/// Returns whether a request may be on its way that would be lost if the connection ended now:
/// HTTP/1 has no GOAWAY, and a connection that has just been accepted is not known to have one.
fn may_have_unread(activity: &Activity) -> bool {
    let has_goaway = activity.accepted.load(Relaxed) > 0 && !activity.is_http1.load(Relaxed);
    activity.requests.load(Relaxed) == 0 && !has_goaway
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stronger_reason_stays() {
        let (kill, activity) = (Kill::default(), Activity::default());
        kill.request(Reason::Now, 0);
        kill.request(Reason::Idle, 7);
        kill.request(Reason::Stalled, 7);
        assert_eq!(kill.verdict(&activity), Verdict::Close);
        assert_eq!(kill.verdict(&activity), Verdict::Close);
    }

    #[test]
    fn a_request_that_is_out_of_date_is_withdrawn() {
        let (kill, activity) = (Kill::default(), Activity::default());
        kill.request(Reason::Idle, 0);
        activity.begun.store(1, Relaxed);
        assert_eq!(kill.verdict(&activity), Verdict::Withdrawn);
        kill.request(Reason::Stalled, 0);
        assert_eq!(kill.verdict(&activity), Verdict::Withdrawn);
    }

    #[test]
    fn a_request_to_finish_survives_one_that_is_withdrawn() {
        let (kill, activity) = (Kill::default(), Activity::default());
        activity.requests.store(1, Relaxed);
        kill.request_finish();
        kill.request(Reason::Stalled, 0);
        assert_eq!(kill.verdict(&activity), Verdict::Finish);
        assert_eq!(kill.verdict(&activity), Verdict::Withdrawn);
    }

    #[test]
    fn http2_is_cut_once_and_then_closed() {
        let (kill, activity) = (Kill::default(), Activity::default());
        activity.is_multiplexed.store(true, Relaxed);
        kill.request(Reason::Cut, 0);
        assert_eq!(kill.verdict(&activity), Verdict::Cut);
        assert_eq!(kill.verdict(&activity), Verdict::Withdrawn);
        kill.request(Reason::Now, 0);
        assert_eq!(kill.verdict(&activity), Verdict::Close);
    }

    #[test]
    fn http1_has_nothing_to_reset() {
        let (kill, activity) = (Kill::default(), Activity::default());
        kill.request(Reason::Cut, 0);
        assert_eq!(kill.verdict(&activity), Verdict::Close);
    }
}
