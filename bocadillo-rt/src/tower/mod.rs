//! Any tower service as a door.

mod answer;
pub(crate) mod boxed;
mod commit;
pub(crate) mod connection;
#[cfg(feature = "axum")]
mod extract;
mod grpc;
pub(crate) mod handed;
pub(crate) mod layer;
mod registered;
pub(crate) mod serve;
pub(crate) mod service;
pub(crate) mod service_fn;
