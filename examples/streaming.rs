//! Content that comes bit by bit, events among it, and a task after the last of it.
//!
//! Run with `cargo run --example streaming`, and try
//!
//! ```text
//! curl -N http://127.0.0.1:8000/numbers                          # 200, log: all numbers are out: Sent
//! curl -N http://127.0.0.1:8000/events                           # 200, log: all events are out: Sent
//! ```

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bocadillo::{App, Event, Request, Response, background, route};
use futures_core::Stream;
use tokio::{
    sync::mpsc::{Receiver, channel},
    time::sleep,
};

/// What comes through a channel, as a stream. (The crate `tokio-stream` has this.)
struct Items<T>(Receiver<T>);

impl<T> Stream for Items<T> {
    type Item = Result<T, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(cx).map(|item| item.map(Ok))
    }
}

/// Five items, one after the other; nobody goes on when the client has left.
fn slowly<T: Send + 'static>(make: impl Fn(u32) -> T + Send + 'static) -> Items<T> {
    let (items, stream) = channel(1);
    tokio::spawn(async move {
        for number in 1..=5 {
            sleep(Duration::from_millis(100)).await;
            if items.send(make(number)).await.is_err() {
                return;
            }
        }
    });
    Items(stream)
}

async fn note(what: &'static str) {
    tracing::info!("all {what} are out: {:?}", background::current().delivery());
}

#[route("/numbers")]
async fn numbers(_req: &mut Request, res: &mut Response) {
    res.stream(slowly(|number| format!("{number}\n")));
    res.background(note("numbers"));
}

#[route("/events")]
async fn events(_req: &mut Request, res: &mut Response) {
    res.event_stream(slowly(|number| {
        Event::new(number.to_string()).name("count")
    }));
    res.background(note("events"));
}

#[bocadillo::main]
async fn main() -> bocadillo::Result<()> {
    App::new()
        .route(numbers)
        .route(events)
        .serve("127.0.0.1:8000")
        .await
}
