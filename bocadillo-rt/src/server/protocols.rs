//! The settings of hyper for both protocols.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use hyper::rt::{Sleep, Timer};
use hyper_util::server::conn::auto::Builder;

use crate::{
    sent::{Clock, Streams},
    server::limits::Limits,
};

/// Creates a builder of connections with the settings of both protocols.
pub(crate) fn builder(limits: &Limits, clock: Clock, streams: Streams) -> Builder<Streams> {
    let mut builder = Builder::new(streams);
    builder
        .http1()
        .half_close(limits.half_close)
        .max_headers(limits.max_headers)
        .max_buf_size(limits.header_bytes);
    // hyper compares this limit with the size of the decoded headers.
    let header_bytes = u32::try_from(limits.header_bytes).unwrap_or(u32::MAX);
    let (stream_window, connection_window) = limits.windows();
    let mut http2 = builder.http2();
    http2
        .max_concurrent_streams(limits.max_streams)
        .max_header_list_size(header_bytes)
        // For WebSockets of services, as axum has them.
        .enable_connect_protocol()
        .initial_stream_window_size(stream_window)
        .initial_connection_window_size(connection_window);
    if let Some((silence, answer)) = limits.probes() {
        http2
            .timer(Watched(clock))
            .keep_alive_interval(silence)
            .keep_alive_timeout(answer);
    }
    builder
}

/// A timer that wakes no task. Instead, the server's watch polls an HTTP/2 connection that is quiet.
///
/// A timer of the runtime would cost one timer for each connection, and the runtime may have no timers.
#[derive(Clone, Debug)]
struct Watched(Clock);

struct Until {
    clock: Clock,
    deadline: Instant,
}

impl Timer for Watched {
    fn now(&self) -> Instant {
        self.0.now()
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        self.sleep_until(self.now() + duration)
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        let clock = self.0.clone();
        Box::pin(Until { clock, deadline })
    }

    fn reset(&self, sleep: &mut Pin<Box<dyn Sleep>>, deadline: Instant) {
        match sleep.as_mut().downcast_mut_pin::<Until>() {
            Some(until) => until.get_mut().deadline = deadline,
            None => *sleep = self.sleep_until(deadline),
        }
    }
}

impl Future for Until {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<()> {
        if self.clock.now() >= self.deadline {
            return Poll::Ready(());
        }
        Poll::Pending
    }
}

impl Sleep for Until {}
