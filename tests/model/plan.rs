//! What happens in one run.

use std::time::Duration;

use bocadillo::background::When;

use crate::rng::Rng;

#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) views: Vec<ViewPlan>,
    pub(crate) max_running: usize,
    pub(crate) max_waiting: usize,
    pub(crate) holds_back: bool,
    pub(crate) timeout: Option<Duration>,
    pub(crate) shutdown_at: Duration,
    pub(crate) drain: Duration,
}

#[derive(Debug)]
pub(crate) struct ViewPlan {
    pub(crate) begins: Duration,
    pub(crate) tasks: Vec<TaskPlan>,
    pub(crate) after: Duration,
    pub(crate) end: ViewEnd,
    pub(crate) client_leaves: Option<Duration>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum ViewEnd {
    Ok,
    NotFound,
    HttpError,
    Error,
    Panic,
}

#[derive(Clone, Debug)]
pub(crate) struct TaskPlan {
    /// How long the view takes before it registers the task.
    pub(crate) before: Duration,
    pub(crate) adds: bool,
    pub(crate) when: When,
    pub(crate) timeout: Option<Duration>,
    pub(crate) ending: Ending,
    pub(crate) nested: Vec<Self>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Ending {
    Now,
    After(Duration),
    Yields(usize),
    Fails(Duration),
    Panics,
    Never,
    WhenCancelled,
}

impl Plan {
    pub(crate) fn random(rng: &mut Rng) -> Self {
        let views = (0..rng.range(1, 8))
            .map(|_| ViewPlan::random(rng))
            .collect();
        Self {
            views,
            max_running: rng.range(1, 6),
            max_waiting: rng.range(0, 12),
            holds_back: rng.one_in(3),
            timeout: (!rng.one_in(3)).then(|| time(rng, 400)),
            shutdown_at: time(rng, 300),
            drain: time(rng, 500),
        }
    }
}

impl ViewPlan {
    fn random(rng: &mut Rng) -> Self {
        let ends = [
            ViewEnd::Ok,
            ViewEnd::Ok,
            ViewEnd::NotFound,
            ViewEnd::HttpError,
            ViewEnd::Error,
            ViewEnd::Panic,
        ];
        Self {
            begins: time(rng, 200),
            tasks: (0..rng.range(0, 5))
                .map(|_| TaskPlan::random(rng, 2))
                .collect(),
            after: time(rng, 50),
            end: ends[rng.range(0, ends.len() - 1)],
            client_leaves: rng.one_in(4).then(|| time(rng, 80)),
        }
    }
}

impl TaskPlan {
    fn random(rng: &mut Rng, depth: usize) -> Self {
        let whens = [When::Always, When::Always, When::Success, When::Delivered];
        let is_follow_up = depth < 2;
        let nested = if depth > 0 && rng.one_in(3) {
            (0..rng.range(1, 2))
                .map(|_| Self::random(rng, depth - 1))
                .collect()
        } else {
            Vec::new()
        };
        Self {
            before: if rng.one_in(2) {
                Duration::ZERO
            } else {
                time(rng, 20)
            },
            adds: !rng.one_in(3),
            when: if is_follow_up {
                When::Always
            } else {
                whens[rng.range(0, 3)]
            },
            timeout: rng
                .one_in(4)
                .then(|| time(rng, 200) + Duration::from_millis(1)),
            ending: Ending::random(rng),
            nested,
        }
    }
}

impl Ending {
    fn random(rng: &mut Rng) -> Self {
        match rng.range(0, 9) {
            0..=2 => Self::Now,
            3 | 4 => Self::After(time(rng, 300)),
            5 => Self::Yields(rng.range(1, 4)),
            6 => Self::Fails(time(rng, 50)),
            7 => Self::Panics,
            8 => Self::Never,
            _ => Self::WhenCancelled,
        }
    }
}

fn time(rng: &mut Rng, most: usize) -> Duration {
    Duration::from_millis(rng.range(0, most) as u64)
}
