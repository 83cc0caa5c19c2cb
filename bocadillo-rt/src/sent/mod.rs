//! Knows, exactly once for each response, that it was sent or never will be.
//!
//! This module knows nothing of tasks. It answers one question about any connection that hyper
//! drives, HTTP/1 or HTTP/2, plain or behind TLS: *has the last byte of this response been
//! accepted by the transport and flushed?* Somebody else could use it to log true response times.
//!
//! # What "sent" means
//!
//! [`Delivery::Sent`]: every byte of the response, up to the end of its body, was accepted by the
//! IO under hyper, and a flush that followed succeeded. On a TCP socket that is "the kernel has
//! it": a slow client may still be reading from socket buffers. [`Delivery::Aborted`]: it is
//! certain that this can never be.
//!
//! # How it is known
//!
//! Three facts are put together, and no single one of them is enough.
//!
//! 1. **The flush.** hyper and h2 call `poll_flush` of the IO only when their own write buffer is
//!    empty. [`TrackedIo`] sits around the IO (outside of TLS) and sees it.
//! 2. **The end.** Which flush is the right one? The first that succeeds after the frame that
//!    *ends* the response entered the write buffer.
//!    * HTTP/1: the body is dropped when its last frame was buffered, and nothing is flushed in
//!      between. So the [`SentBody`] marks the response when it is dropped.
//!    * HTTP/2: the body is dropped long before its frames reach the buffer: they wait for flow
//!      control and for other streams. So a token travels *inside* the frame that carries
//!      END_STREAM: in its [`SentBuf`], or, where the end is a HEADERS frame, in the owner of one
//!      header value. When h2 has encoded the frame, the token goes.
//! 3. **The wire.** When a stream is reset, h2 drops its queued frames, which a token without data
//!    cannot tell from being encoded. But an encoded frame is *offered to the IO by the very next
//!    call*, and a dropped one is not. So a token that went without data is undecided until the
//!    next call of the IO: a write whose new bytes hold that many END_STREAM frames means encoded,
//!    anything else means dropped.
//!
//! # Invariants
//!
//! 1. A response that was [tracked](Connection::track) is in the connection's list until it is
//!    reported, and it is reported when it is taken from the list: never twice.
//! 2. Dropping the [`TrackedIo`] reports everything that is left as aborted, and whatever is
//!    tracked afterwards at once: never never.
//! 3. A response is reported as sent only by a flush that succeeded after it was marked: never
//!    early.
//! 4. Callbacks run outside of every lock of this module; and of h2, which drops buffers while it
//!    holds its own: reports of HTTP/2 wait for the end of the poll, and where nobody wraps that poll
//!    another thread makes them (`scope`). So it is with and without [`drive`](Connection::drive), and
//!    with any executor.
//! 5. Lock order: a lock of h2, then the list. Never the other way round.
//! 6. A response is not reported as sent before the IO was offered the head of *this* response. hyper
//!    refuses a head that it cannot encode, drops the body and flushes: nothing of it was sent. On
//!    HTTP/1 the IO looks for the head; on HTTP/2 the body's end was never handed over. (With
//!    `pipeline_flush` of hyper, the head of a response before it may be taken for its own.)
//! 7. A response that the protocol calls broken is never reported as sent. Its body is kept to the
//!    length that its head declares (`keeper`), and a shorter or longer one fails.
//!
//! # What a body may do
//!
//! Whatever the body, no empty chunk of it reaches hyper, and it yields to the runtime after 32 items
//! (`keeper`). A body that is nothing but bytes needs none of that and has no keeper.
//!
//! # A response that stalls
//!
//! [`Watch`] aborts a response whose bytes wait without any progress. On HTTP/2 that must not hurt
//! the other streams, and only the stream's own task can reset it. So a body of
//! which more than 16 KiB wait in h2 keeps its end back until none do: until then the task lives,
//! and dropping it resets the stream ([`Streams`]), by INTERNAL_ERROR (`resets`). A response of less that
//! is stuck is ended by closing the connection.
//!
//! # A client that leaves
//!
//! hyper notices the end of what an HTTP/1 client sends when it reads. It does not read while it has bytes
//! of a further request, or a part of an upload that no view has taken. A request that is under way for
//! long, where hyper does not read, makes [`Watch`] ask the IO to read in its place (`ahead`). If the client
//! has left, the connection ends; where an upload is still to be read, when that was read or is given up.
//!
//! # A client that still sends
//!
//! A socket that is closed with bytes unread sends a reset, which takes from an HTTP/1 client what it has
//! not read of its response. So the IO reads and drops before it closes (`linger`).
//!
//! # Costs
//!
//! A response that is not tracked is passed through: its body is wrapped, and one flag is read
//! for each flush. Our own server tracks those of HTTP/2 that have a body, to end them when they
//! stall.
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
    io::{Closed, Settings},
    keeper::Origin,
    request_guard::{RequestGuard, Unread},
    watch::Times,
};
