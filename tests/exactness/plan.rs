//! What a response will be, drawn at random.

use std::{
    collections::VecDeque,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Response,
    header::{CONTENT_LENGTH, TRANSFER_ENCODING},
};
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
    /// Headers that frame the message, as users set them.
    framing: Framing,
    /// How often the body is not ready: once in so many times.
    pending_in: u64,
    pub upload: usize,
    rng: Rng,
}

#[derive(Clone, Copy, Debug, Default)]
struct Framing {
    /// A `content-length` of so many bytes, which may be wrong.
    length: Option<u64>,
    /// One that is no number.
    is_no_number: bool,
    /// `transfer-encoding` and `keep-alive`.
    of_the_connection: bool,
}

impl Framing {
    fn new(rng: &mut Rng, chunks: &[usize]) -> Self {
        let total: u64 = chunks.iter().map(|&size| size as u64).sum();
        let by = rng.range(1, 2000) as u64;
        Self {
            length: match rng.range(0, 19) {
                0..=2 => Some(total),
                3 => Some(total + by),
                4 if total > 0 => Some(total.saturating_sub(by)),
                _ => None,
            },
            is_no_number: rng.one_in(20),
            of_the_connection: rng.one_in(10),
        }
    }

    /// The length header that is left.
    fn kept(self) -> Option<u64> {
        self.length.filter(|_| !self.is_no_number)
    }
}

impl Plan {
    pub fn new(rng: &mut Rng) -> Self {
        let kind = rng.range(0, 9);
        let mut chunks = match kind {
            0..=2 => Vec::new(),
            3..=5 => vec![rng.size(100_000)],
            _ => (0..rng.range(1, 12)).map(|_| rng.size(30_000)).collect(),
        };
        let is_streamed = kind > 5;
        if is_streamed && rng.one_in(3) {
            // Far more than are taken in one go, and where a reader may expect the last one.
            let at = rng.range(0, chunks.len());
            let empty = vec![0; rng.range(1, 150)];
            chunks.splice(at..at, empty);
        }
        let framing = if is_streamed {
            Framing::new(rng, &chunks)
        } else {
            Framing::default()
        };
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
            framing,
            pending_in: if is_streamed && !rng.one_in(3) {
                rng.range(2, 5) as u64
            } else {
                u64::MAX
            },
            upload: if rng.one_in(3) { rng.size(5000) } else { 0 },
            rng: rng.fork(),
        }
    }

    /// How many bytes of body a client must get: another number is a broken response.
    pub fn length(&self) -> Option<u64> {
        let total = self.chunks.iter().map(|&size| size as u64).sum();
        let length = self.framing.kept().or(self.declares.then_some(total));
        length.filter(|_| !self.has_no_content())
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
        // Without content hyper has nothing to be framed.
        if !self.has_no_content() {
            self.frame(response.headers_mut());
        }
        response
    }
}

impl Plan {
    fn frame(&self, headers: &mut HeaderMap) {
        let framing = self.framing;
        if let Some(length) = framing.length {
            headers.append(CONTENT_LENGTH, length.into());
        }
        if framing.is_no_number {
            headers.append(CONTENT_LENGTH, HeaderValue::from_static("abc"));
        }
        if framing.of_the_connection {
            headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
            headers.insert("keep-alive", HeaderValue::from_static("timeout=5"));
        }
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
