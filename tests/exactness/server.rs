//! hyper, serving plans; and what is counted of it.

use std::{
    convert::Infallible,
    io,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    task::{Context, Poll, ready},
};

use bocadillo::sent::{Delivery, SentBody, Streams, TrackedIo};
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{rt::TokioIo, server::conn::auto};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::{
    Shared,
    io::{Pipe, ServerIo},
    lock,
    plan::{Plan, Planned},
};

/// How "sent" is found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    Tracked,
    /// What a body wrapper alone can know.
    BodyDropped,
    /// The same, and the next flush of the IO.
    BodyDroppedThenFlush,
}

/// What was reported of one response, and when.
#[derive(Clone, Copy, Debug)]
pub struct Report {
    pub delivery: Delivery,
    /// How many bytes the IO had accepted.
    pub at: usize,
}

/// The reports of each response of a connection, by its number.
pub type Reports = Shared<Vec<Vec<Report>>>;

/// Serves the plans over `io` until the connection ends.
pub async fn serve(
    io: ServerIo,
    pipe: Shared<Pipe>,
    plans: Arc<Vec<Plan>>,
    reports: Reports,
    method: Method,
) {
    let (tracked, connection) = TrackedIo::new(io);
    let naive = Naive::default();
    let io = NaiveIo {
        io: tracked,
        naive: naive.clone(),
    };
    let driver = connection.clone();
    let service = service_fn(move |request: Request<Incoming>| {
        let (connection, naive) = (connection.clone(), naive.clone());
        let (plans, reports, pipe) = (Arc::clone(&plans), Arc::clone(&reports), Arc::clone(&pipe));
        async move {
            let version = request.version();
            let n = number(&request);
            let _ = request.into_body().collect().await;
            let response = plans[n].response(version == http::Version::HTTP_2);
            let report = move |delivery| {
                let at = lock(&pipe).accepted.len();
                lock(&reports)[n].push(Report { delivery, at });
            };
            let response = match method {
                Method::Tracked => response_of(connection.track(response, version, report), None),
                Method::BodyDropped | Method::BodyDroppedThenFlush => {
                    let notify = Notify {
                        naive,
                        method,
                        report: Some(Box::new(report)),
                    };
                    // Nobody asks what is tracked: they know what they know by themselves.
                    let response = connection.track(response, version, |_| {});
                    response_of(response, Some(notify))
                }
            };
            Ok::<_, Infallible>(response)
        }
    });
    let builder = auto::Builder::new(Streams::new());
    let connection = builder.serve_connection(TokioIo::new(io), service);
    // How it ends is not what is tested.
    let _ = driver.drive(connection).await;
}

fn number(request: &Request<Incoming>) -> usize {
    let number = request.headers()["x-number"].to_str().expect("text");
    number.parse().expect("a number")
}

fn response_of(response: Response<SentBody<Planned>>, notify: Option<Notify>) -> Response<Watched> {
    response.map(|inner| Watched { inner, notify })
}

/// The body, and the naive designs' wrapper around it. It passes everything on, so that it does
/// not stand in the way of the real one.
struct Watched {
    inner: SentBody<Planned>,
    #[allow(dead_code, reason = "acts when it is dropped")]
    notify: Option<Notify>,
}

impl Body for Watched {
    type Data = <SentBody<Planned> as Body>::Data;
    type Error = <SentBody<Planned> as Body>::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Pin::new(&mut self.inner).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

type Callback = Box<dyn FnOnce(Delivery) + Send>;

struct Notify {
    naive: Naive,
    method: Method,
    report: Option<Callback>,
}

impl Drop for Notify {
    fn drop(&mut self) {
        let report = self.report.take().expect("dropped once");
        if self.method == Method::BodyDropped {
            report(Delivery::Sent);
        } else {
            self.naive.add(report);
        }
    }
}

/// Reports that wait for the next flush.
#[derive(Clone, Default)]
struct Naive {
    waiting: Arc<Mutex<Vec<Callback>>>,
    is_gone: Arc<AtomicBool>,
}

impl Naive {
    fn add(&self, report: Callback) {
        if self.is_gone.load(SeqCst) {
            report(Delivery::Aborted { bytes: 0 });
        } else {
            lock(&self.waiting).push(report);
        }
    }

    fn run(&self, delivery: Delivery) {
        let waiting = std::mem::take(&mut *lock(&self.waiting));
        for report in waiting {
            report(delivery);
        }
    }
}

struct NaiveIo<T> {
    io: T,
    naive: Naive,
}

impl<T: AsyncRead + Unpin> AsyncRead for NaiveIo<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for NaiveIo<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.io).poll_flush(cx))?;
        self.naive.run(Delivery::Sent);
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

impl<T> Drop for NaiveIo<T> {
    fn drop(&mut self) {
        self.naive.is_gone.store(true, SeqCst);
        self.naive.run(Delivery::Aborted { bytes: 0 });
    }
}

/// What a run found.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    pub responses: usize,
    pub sent: usize,
    pub aborted: usize,
    /// Reported as sent before the last byte was accepted.
    pub early: usize,
    pub never: usize,
    pub twice: usize,
    /// Reported as aborted, and yet accepted and flushed in the end.
    pub wrong_label: usize,
    /// The number of bytes with `Aborted` is not what was accepted.
    pub wrong_bytes: usize,
    /// How many of the sent were reported at the very byte.
    pub at_the_byte: usize,
}

impl Counts {
    /// Judges one response: `end` is where it was complete, and `body` how much of its body there
    /// is, exactly or at most.
    pub fn judge(&mut self, reports: &[Report], end: Option<usize>, flushed: usize, body: Range) {
        self.responses += 1;
        let Some(report) = reports.first() else {
            self.never += 1;
            return;
        };
        self.twice += usize::from(reports.len() > 1);
        match (report.delivery, end) {
            (Delivery::Sent, Some(end)) if report.at >= end => {
                self.sent += 1;
                self.at_the_byte += usize::from(report.at == end);
            }
            (Delivery::Sent, _) => self.early += 1,
            (_, Some(end)) if end <= flushed => self.wrong_label += 1,
            (Delivery::Aborted { bytes }, _) => {
                self.aborted += 1;
                self.wrong_bytes += usize::from(!body.contains(bytes));
            }
            (other, _) => panic!("unknown to this test: {other:?}"),
        }
    }

    pub fn add(&mut self, other: &Self) {
        self.responses += other.responses;
        self.sent += other.sent;
        self.aborted += other.aborted;
        self.early += other.early;
        self.never += other.never;
        self.twice += other.twice;
        self.wrong_label += other.wrong_label;
        self.wrong_bytes += other.wrong_bytes;
        self.at_the_byte += other.at_the_byte;
    }

    pub fn assert_exact(&self) {
        let faults = self.early + self.never + self.twice + self.wrong_label + self.wrong_bytes;
        assert_eq!(faults, 0, "{self:?}");
        assert!(
            self.sent > self.responses / 3 && self.aborted > self.responses / 50,
            "{self:?}"
        );
    }
}

/// How many bytes of a body may be reported.
#[derive(Clone, Copy, Debug)]
pub struct Range {
    pub low: u64,
    pub high: u64,
}

impl Range {
    fn contains(self, bytes: u64) -> bool {
        (self.low..=self.high).contains(&bytes)
    }
}
