//! The sources of streamed content.

use std::{
    convert::{self, Infallible},
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_core::Stream;
use tokio::sync::mpsc::{Receiver, UnboundedReceiver};

use crate::error::BoxError;

/// The argument of [`Response::stream`](super::Response::stream): a stream of results, or the
/// receiver of a tokio channel of chunks or of results.
///
/// The content of a channel ends when all of its senders are dropped. A sender that ends because of
/// a mistake sends an error first, so that the client does not take the content for whole.
///
/// `Kind` only helps the compiler to tell the implementations apart.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no source of chunks",
    label = "expected a `Stream` of results, or a receiver of `tokio::sync::mpsc`",
    note = "the chunks are bytes, vectors or strings; those of `event_stream` are `Event`s"
)]
pub trait IntoChunks<Kind> {
    /// The type of the chunks.
    type Chunk;
    /// The error that ends the stream early.
    type Error: Into<BoxError>;

    /// Converts into a stream of results.
    fn into_chunks(self) -> impl Stream<Item = Result<Self::Chunk, Self::Error>> + Send + 'static;
}

/// A chunk of `stream` or of `event_stream`.
pub trait Chunk: Send + 'static {}

impl Chunk for Bytes {}
impl Chunk for Vec<u8> {}
impl Chunk for String {}
impl Chunk for &'static str {}
impl Chunk for &'static [u8] {}

/// The kinds of sources. Only the compiler names them.
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

/// A channel as a stream. The function converts each item.
struct Received<R, F>(R, F);
