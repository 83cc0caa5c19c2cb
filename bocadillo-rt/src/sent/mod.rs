//! Knows, exactly once for each response, that it was sent or never will be.
//!
//! This module knows nothing of tasks. It answers one question about any connection of hyper, HTTP/1
//! or HTTP/2, plain or behind TLS: *has the transport accepted and flushed the last byte of this
//! response?* It can also be used alone, for example to log true response times.
//!
//! # What "sent" means
//!
//! [`Delivery::Sent`]: every byte of the response, up to the end of its body, was accepted by the
//! IO under hyper, and a later flush succeeded. On a TCP socket this means that the kernel has the
//! bytes: a slow client may still be reading them. [`Delivery::Aborted`]: the response can never be
//! sent whole.
//!
//! # How it is known
//!
//! The module combines three facts. None of them is enough alone.
//!
//! 1. **The flush.** hyper and h2 call `poll_flush` of the IO only when their own write buffer is
//!    empty. [`TrackedIo`] sits around the IO (outside of TLS) and sees it.
//! 2. **The end.** The right flush is the first one that succeeds after the frame that *ends* the
//!    response entered the write buffer.
//!    * HTTP/1: the body is dropped when its last frame was buffered, and nothing is flushed in
//!      between. So the [`SentBody`] marks the response when it is dropped.
//!    * HTTP/2: the body is dropped long before its frames reach the buffer: they wait for flow
//!      control and for other streams. So a token travels *inside* the frame that carries
//!      END_STREAM: in its [`SentBuf`], or, where the end is a HEADERS frame, in the owner of one
//!      header value. When h2 has encoded the frame, it drops the token.
//! 3. **The wire.** When a stream is reset, h2 drops its queued frames. A token without data cannot
//!    tell this from being encoded. But the very next call of the IO *offers* an encoded frame, and
//!    never a dropped one. So a token that was dropped without data is undecided until the next call of
//!    the IO: if that is a write whose new bytes hold that many END_STREAM frames, the token was encoded;
//!    otherwise it was thrown away.
//!
//! # Invariants
//!
//! Each response is reported exactly once: never early, never twice, always eventually.
//!
//! 1. A [tracked](Connection::track) response is in the connection's list until it is reported, and
//!    taking it from the list reports it: never twice.
//! 2. Dropping the [`TrackedIo`] reports all responses that are left as aborted. A response that is
//!    tracked later is reported at once: always eventually.
//! 3. Only a flush that succeeded after the response was marked reports it as sent: never early.
//! 4. Callbacks run outside of every lock of this module and of h2. h2 drops buffers under its lock, so
//!    reports of HTTP/2 wait for the end of the poll. Where that poll is not wrapped, another thread
//!    reports (`scope`). This holds with and without [`drive`](Connection::drive), and with any executor.
//! 5. Lock order: a lock of h2, then the list. Never the other way round.
//! 6. A response is not reported as sent before the head of *this* response was offered to the IO. hyper
//!    refuses a head that it cannot encode, drops the body and flushes: no byte of it was sent. On
//!    HTTP/1 the IO looks for the head; on HTTP/2 the body's end was never handed over. (With
//!    `pipeline_flush` of hyper, the head of an earlier response may be mistaken for it.)
//! 7. A response that breaks the protocol is never reported as sent. A body that is shorter or longer than
//!    its head declares fails (`keeper`).
//!
//! # What a body may do
//!
//! No empty chunk of a body reaches hyper, and each body yields to the runtime after 32 items
//! (`keeper`). A body that is only bytes needs no keeper.
//!
//! # A response that stalls
//!
//! [`Watch`] aborts a response whose bytes wait without any progress. On HTTP/2 the other streams must
//! go on, and only the stream's own task can reset its stream. So a body with more than 16 KiB waiting in
//! h2 keeps its end back until no byte waits. Until then the task lives, and dropping it resets the stream
//! ([`Streams`]) by INTERNAL_ERROR (`resets`). If a smaller response stalls, the connection is closed.
//!
//! # A client that leaves
//!
//! hyper sees that an HTTP/1 client has left when it reads. It does not read while it holds bytes of a
//! further request, or a part of an upload that no view has read. If a request is under way and hyper does
//! not read, [`Watch`] asks the IO to read in its place (`ahead`). If the client has left, the connection
//! ends; if an upload is still to be read, it ends after the view has read it or given it up.
//!
//! # A client that still sends
//!
//! A socket that is closed with unread bytes sends a reset. An HTTP/1 client then loses the part of its
//! response that it has not read. So the IO reads and drops the rest before it closes (`linger`).
//!
//! # Costs
//!
//! A response that is not tracked passes through: its body is wrapped, and each flush reads one flag.
//! Our own server tracks all HTTP/2 responses with a body, to end them when they stall.
//!
//! # What it cannot tell
//!
//! A successful CONNECT on HTTP/2 has no frame that ends its response: it is reported as aborted
//! when hyper drops its body.

mod activity;
mod ahead;
mod body;
mod buf;
mod clock;
mod conn_state;
mod connection;
mod delivery;
mod drive;
pub(crate) mod framing;
mod handed;
mod header_token;
mod io;
mod keeper;
mod kill;
mod linger;
mod lock;
mod request_guard;
mod resets;
mod scope;
mod seen;
mod stream;
mod ticket;
mod token;
mod watch;
mod wire;

pub use self::{
    body::SentBody, buf::SentBuf, connection::Connection, delivery::Delivery, drive::Driven,
    io::TrackedIo, keeper::BodyError, stream::Streams, watch::Watch,
};
pub(crate) use self::{
    clock::Clock,
    delivery::{Done, OnDone},
    handed::Handed,
    io::{Closed, Settings},
    keeper::Origin,
    request_guard::{RequestGuard, Unread},
    watch::Times,
};
