//! The runtime of bocadillo: knows when a response was sent, runs tasks, serves.
//!
//! Use it through the facade, the crate `bocadillo`, which has the documentation.

#[cfg(target_family = "wasm")]
compile_error!("bocadillo serves over sockets and threads, which wasm does not have");

pub mod background;
#[cfg(feature = "durable")]
pub mod durable;
pub mod sent;
pub mod testing;

#[doc(hidden)]
#[path = "private.rs"]
pub mod __private;

mod app;
mod error;
mod guard;
mod message;
mod server;
mod tower;

#[cfg(feature = "multipart")]
pub use self::message::request::{Field, FormData, FormFile, Multipart};
#[doc(hidden)]
pub use self::message::response::kinds;
#[cfg(feature = "tls")]
pub use self::server::tls;
#[cfg(feature = "durable")]
pub use self::server::worker::Worker;
pub use self::{
    app::{
        builder::App,
        respond::ServiceFuture,
        route_fn::{RouteFn, RouteMeta, Routed},
        view::{View, ViewOutcome},
    },
    error::{BoxError, Error, HttpError, Result},
    message::{
        body::Body,
        params::FromParam,
        request::{BodyStream, Request},
        response::{Chunk, Event, IntoChunks, Response},
    },
    server::{limits::Limits, listener::Listener, socket::Socket},
    tower::{
        boxed::{BoxedFuture, BoxedService},
        connection::{HyperFuture, HyperService},
        layer::{BackgroundLayer, BackgroundService, LayerBody, LayerFuture},
        serve::{Serve, Served, serve},
        service_fn::{ServiceFn, service_fn},
    },
};
#[cfg(feature = "cookie")]
pub use cookie;
