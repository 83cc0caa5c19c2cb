//! The runtime of bocadillo: knows when a response was sent, runs tasks, serves.
//!
//! Use it through the facade, the crate `bocadillo`: its documentation is there.

#[cfg(target_family = "wasm")]
compile_error!("bocadillo serves over sockets and threads, which wasm does not have");

pub mod background;
pub mod sent;
pub mod testing;
#[cfg(feature = "tls")]
pub mod tls;

#[doc(hidden)]
#[path = "private.rs"]
pub mod __private;

mod accept;
mod app;
mod authority;
mod body;
mod boxed;
mod contain;
mod detach;
mod error;
mod exchange;
mod foreign;
mod guard;
mod host;
mod limits;
mod listener;
mod log;
mod mount;
mod on_error;
mod param;
mod path;
mod protocols;
mod request;
mod respond;
mod response;
mod route_fn;
mod routing;
mod server;
mod shutdown;
mod signals;
mod socket;
mod sync;
mod upload;
mod view;

pub use app::App;
pub use body::Body;
pub use boxed::{BoxedFuture, BoxedService};
#[cfg(feature = "cookie")]
pub use cookie;
pub use error::{BoxError, Error, HttpError, Result};
pub use limits::Limits;
pub use listener::Listener;
pub use param::FromParam;
pub use request::{BodyStream, Request};
#[cfg(feature = "multipart")]
pub use request::{Field, FormData, FormFile, Multipart};
pub use respond::ServiceFuture;
#[doc(hidden)]
pub use response::kinds;
pub use response::{Chunk, Event, IntoChunks, Response};
pub use route_fn::{RouteFn, RouteMeta, Routed};
pub use server::{Serve, serve};
pub use socket::Socket;
pub use view::{View, ViewOutcome};
