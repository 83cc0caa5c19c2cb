//! Where a streamed content comes from.

use std::{
    convert::{self, Infallible},
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_core::Stream;
use tokio::sync::mpsc::{Receiver, UnboundedReceiver};

use crate::error::BoxError;

/// What [`Response::stream`](super::Response::stream) takes: a stream of results, or the receiver of a
/// tokio channel, of chunks or of results.
///
/// A channel's content ends when all of its senders are gone. One that ends by a mistake sends an error
/// first, that the client may see that this was not all.
///
/// `Kind` tells them apart, for the compiler alone.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no source of chunks",
    label = "expected a `Stream` of results, or a receiver of `tokio::sync::mpsc`",
    note = "the chunks are bytes, vectors or strings; those of `event_stream` are `Event`s"
)]
pub trait IntoChunks<Kind> {
    /// What it yields.
    type Chunk;
    /// Why it ends before its end.
    type Error: Into<BoxError>;

    /// Converts into a stream.
    fn into_chunks(self) -> impl Stream<Item = Result<Self::Chunk, Self::Error>> + Send + 'static;
}

/// A chunk of either content.
pub trait Chunk: Send + 'static {}

impl Chunk for Bytes {}
impl Chunk for Vec<u8> {}
impl Chunk for String {}
impl Chunk for &'static str {}
impl Chunk for &'static [u8] {}

/// The kinds: only the compiler names them.
pub mod kinds {
    /// A stream of results.
    #[derive(Debug)]
    pub enum Results {}
    /// A channel of chunks.
    #[derive(Debug)]
    pub enum Channel {}
    /// A channel of results.
    #[derive(Debug)]
    pub enum ChannelOfResults {}
}

impl<S, T, E> IntoChunks<kinds::Results> for S
where
    S: Stream<Item = Result<T, E>> + Send + 'static,
    E: Into<BoxError>,
{
    type Chunk = T;
    type Error = E;

    fn into_chunks(self) -> impl Stream<Item = Result<T, E>> + Send + 'static {
        self
    }
}

macro_rules! channels {
    ($($receiver:ident)+) => {$(
        impl<T: Chunk> IntoChunks<kinds::Channel> for $receiver<T> {
            type Chunk = T;
            type Error = Infallible;

            fn into_chunks(self) -> impl Stream<Item = Result<T, Infallible>> + Send + 'static {
                Received(self, Ok as fn(T) -> _)
            }
        }

        impl<T, E> IntoChunks<kinds::ChannelOfResults> for $receiver<Result<T, E>>
        where
            T: Chunk,
            E: Into<BoxError> + Send + 'static,
        {
            type Chunk = T;
            type Error = E;

            fn into_chunks(self) -> impl Stream<Item = Result<T, E>> + Send + 'static {
                Received(self, convert::identity as fn(_) -> _)
            }
        }

        impl<T, U> Stream for Received<$receiver<T>, fn(T) -> U> {
            type Item = U;

            fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<U>> {
                let map = self.1;
                self.0.poll_recv(cx).map(|received| received.map(map))
            }
        }
    )+};
}

channels! { Receiver UnboundedReceiver }

/// A channel as a stream of what its items become.
struct Received<R, F>(R, F);
