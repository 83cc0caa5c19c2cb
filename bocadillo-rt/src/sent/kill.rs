//! The wish that a connection end, and what its own task makes of it.
//!
//! A wish is stronger than another, or weaker: the stronger one stays. What [`Watch`](super::Watch) saw may
//! have changed until the connection's task is polled. That looks again, and withdraws what is out of date.

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

/// The wish, and how to wake the connection's task for it.
#[derive(Default)]
pub(super) struct Kill {
    /// There is such a wish, or was: most connections never have one. Set after what is wished, read
    /// before; `SeqCst` with `waker`: each side writes its own before it reads the other's.
    is_wished: AtomicBool,
    /// Why. `SeqCst` as `is_wished`.
    reason: AtomicU8,
    /// The wish that it end after the responses that are under way. `SeqCst` as `is_wished`.
    is_to_finish: AtomicBool,
    /// How far the connection had come when it was wished: of what, the reason says.
    mark: AtomicU64,
    /// What is under way was reset. Set by the connection's task.
    pub(super) is_cut: AtomicBool,
    /// Set by [`Driven`](super::Driven).
    waker: Mutex<Option<Waker>>,
}

/// Why a connection is to be closed, from the weakest on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(super) enum Reason {
    None,
    /// No request has come for long. The mark is how many there were.
    Idle,
    /// Nothing was written for long, although there was something to write. The mark is how many bytes the
    /// IO had accepted.
    Stalled,
    /// Whatever happens; HTTP/2 streams are reset before, so that no client takes what it has for the whole.
    Cut,
    /// Whatever happens.
    Now,
}

/// What is to be done about a wish to close.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    None,
    Close,
    /// Unless a request is there already that was not read.
    CloseUnread,
    /// Reset what is under way.
    Cut,
    /// After the responses that are under way.
    Finish,
    /// None any more.
    Withdrawn,
}

impl Kill {
    pub(super) fn request(&self, reason: Reason, mark: u64) {
        if reason < Reason::Cut {
            self.mark.store(mark, SeqCst);
        }
        self.reason.fetch_max(reason as u8, SeqCst);
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

    /// Lets the connection be polled, without a wish.
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

    /// Whether there is that wish; it is told once.
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

    /// Unless there is a stronger wish by now.
    fn withdraw(&self, reason: Reason) {
        let none = Reason::None as u8;
        let _ = self
            .reason
            .compare_exchange(reason as u8, none, SeqCst, SeqCst);
    }

    #[inline]
    pub(super) fn verdict(&self, activity: &Activity) -> Verdict {
        if self.is_wished.load(SeqCst) {
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
            // It is asked again.
            if may_have_unread(activity) {
                return Verdict::Withdrawn;
            }
            return Verdict::Finish;
        }
        // Also where there is no wish any more: the waker may have gone with the last one.
        Verdict::Withdrawn
    }

    /// Returns whether nothing has happened since somebody wished the connection closed as idle.
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
    fn a_stronger_wish_is_not_weakened() {
        let (kill, activity) = (Kill::default(), Activity::default());
        kill.request(Reason::Now, 0);
        kill.request(Reason::Idle, 7);
        kill.request(Reason::Stalled, 7);
        assert_eq!(kill.verdict(&activity), Verdict::Close);
        assert_eq!(kill.verdict(&activity), Verdict::Close);
    }

    #[test]
    fn a_wish_that_is_out_of_date_is_withdrawn() {
        let (kill, activity) = (Kill::default(), Activity::default());
        kill.request(Reason::Idle, 0);
        activity.begun.store(1, Relaxed);
        assert_eq!(kill.verdict(&activity), Verdict::Withdrawn);
        kill.request(Reason::Stalled, 0);
        assert_eq!(kill.verdict(&activity), Verdict::Withdrawn);
    }

    #[test]
    fn a_wish_to_finish_survives_one_that_is_withdrawn() {
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
