//! How often a durable task is tried, and how long it waits in between.

use std::{
    hash::{BuildHasher as _, Hasher as _, RandomState},
    time::Duration,
};

/// The attempts of a durable task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Policy {
    /// How many attempts there are in all, at least one. The death of the process uses one up too.
    pub(crate) attempts: u32,
    pub(crate) first_delay: Duration,
    pub(crate) longest_delay: Duration,
}

impl Policy {
    /// Returns how long to wait after a failed attempt, or nothing after the last one.
    ///
    /// The delay doubles each time. The upper half of it is random: tasks that failed together, as
    /// when a service is down, do not come back together.
    pub(crate) fn delay_after(&self, attempt: u32) -> Option<Duration> {
        if attempt >= self.attempts {
            return None;
        }
        let doublings = attempt.saturating_sub(1).min(31);
        let delay = self.first_delay.saturating_mul(1 << doublings);
        let delay = delay.min(self.longest_delay.max(self.first_delay));
        Some(delay / 2 + (delay / 2).mul_f64(random()))
    }
}

/// Returns a number from 0 to 1. Every `RandomState` has other keys.
fn random() -> f64 {
    let bits = RandomState::new().build_hasher().finish() as u32;
    f64::from(bits) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: Policy = Policy {
        attempts: 4,
        first_delay: Duration::from_secs(1),
        longest_delay: Duration::from_secs(3),
    };

    #[test]
    fn delays_double_up_to_the_longest() {
        for (attempt, most) in [(1, 1), (2, 2), (3, 3)] {
            let delay = POLICY.delay_after(attempt).expect("it is right");
            let most = Duration::from_secs(most);
            assert!(delay >= most / 2 && delay <= most, "{attempt}: {delay:?}");
        }
    }

    #[test]
    fn the_last_attempt_has_no_delay() {
        assert_eq!(POLICY.delay_after(4), None);
        assert_eq!(POLICY.delay_after(u32::MAX), None);
    }

    #[test]
    fn the_longest_times_do_not_overflow() {
        let policy = Policy {
            attempts: u32::MAX,
            first_delay: Duration::MAX,
            longest_delay: Duration::MAX,
        };
        assert!(policy.delay_after(1000).is_some());
    }

    #[test]
    fn two_delays_differ() {
        let delays = (0..8).map(|_| POLICY.delay_after(1));
        let first = POLICY.delay_after(1);
        assert!(delays.into_iter().any(|delay| delay != first));
    }
}
