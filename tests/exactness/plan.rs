//! What a response will be, drawn at random.

use std::{
    collections::VecDeque,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response};
use http_body::{Body, Frame, SizeHint};

use crate::rng::Rng;

#[derive(Clone, Debug)]
pub struct Plan {
    pub head: bool,
    pub status: u16,
    /// The chunks of the body.
    pub chunks: Vec<usize>,
    pub trailers: Option<usize>,
    pub fails: bool,
    /// The body says how long it is.
    declares: bool,
    /// The body says with its last frame that it is the last.
    foretells: bool,
    headers: usize,
    /// How often the body is not ready: once in so many times.
    pending_in: u64,
    pub upload: usize,
    rng: Rng,
}

impl Plan {
    pub fn new(rng: &mut Rng) -> Self {
        let kind = rng.range(0, 9);
        let chunks = match kind {
            0..=2 => Vec::new(),
            3..=5 => vec![rng.size(100_000)],
            _ => (0..rng.range(1, 12)).map(|_| rng.size(30_000)).collect(),
        };
        let is_streamed = kind > 5;
        Self {
            head: rng.one_in(8),
            status: *[200, 200, 201, 404, 500, 204, 304]
                .get(rng.range(0, 6))
                .expect("within"),
            trailers: (is_streamed && rng.one_in(3)).then(|| rng.range(0, 2)),
            fails: is_streamed && rng.one_in(8),
            declares: !is_streamed || rng.one_in(3),
            foretells: !is_streamed || rng.one_in(2),
            chunks,
            headers: rng.range(0, 2),
            pending_in: if is_streamed {
                rng.range(2, 5) as u64
            } else {
                u64::MAX
            },
            upload: if rng.one_in(3) { rng.size(5000) } else { 0 },
            rng: rng.fork(),
        }
    }

    pub fn has_no_content(&self) -> bool {
        self.head || self.status == 204 || self.status == 304
    }

    pub fn response(&self, is_http2: bool) -> Response<Planned> {
        let mut response = Response::new(Planned::new(self));
        // hyper leaves it to the application on HTTP/2.
        if is_http2 && self.has_no_content() {
            *response.body_mut() = Planned::empty(self);
        }
        *response.status_mut() = self.status.try_into().expect("a status");
        for n in 0..self.headers {
            let value = HeaderValue::from_static(["first", "the second one"][n]);
            response.headers_mut().insert(["x-one", "x-two"][n], value);
        }
        response
    }
}

/// The body of a plan.
pub struct Planned {
    frames: VecDeque<Step>,
    exact: Option<u64>,
    foretells: bool,
    pending_in: u64,
    rng: Rng,
}

enum Step {
    Data(Bytes),
    Trailers(HeaderMap),
    Fail,
}

impl Planned {
    fn new(plan: &Plan) -> Self {
        let mut frames: VecDeque<_> = plan
            .chunks
            .iter()
            .map(|&size| Step::Data(vec![b'x'; size].into()))
            .collect();
        if plan.fails {
            frames.push_back(Step::Fail);
        } else if let Some(count) = plan.trailers {
            frames.push_back(Step::Trailers(trailers(count)));
        }
        let total = plan.chunks.iter().map(|&size| size as u64).sum();
        Self {
            frames,
            exact: plan.declares.then_some(total),
            foretells: plan.foretells,
            pending_in: plan.pending_in,
            rng: plan.rng.clone(),
        }
    }

    fn empty(plan: &Plan) -> Self {
        Self {
            frames: VecDeque::new(),
            exact: Some(0),
            foretells: true,
            ..Self::new(plan)
        }
    }
}

fn trailers(count: usize) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    for n in 0..count {
        trailers.insert(["x-sum", "x-count"][n], HeaderValue::from_static("42"));
    }
    trailers
}

impl Body for Planned {
    type Data = Bytes;
    type Error = &'static str;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
        let pending_in = self.pending_in;
        if pending_in != u64::MAX && self.rng.one_in(pending_in) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(self.frames.pop_front().map(|step| match step {
            Step::Data(data) => Ok(Frame::data(data)),
            Step::Trailers(trailers) => Ok(Frame::trailers(trailers)),
            Step::Fail => Err("the body fails, as planned"),
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.foretells && self.frames.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        self.exact
            .map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
