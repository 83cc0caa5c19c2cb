//! Routes, views, error handlers, mounts, and the app as a service.

mod build;
pub(crate) mod builder;
pub(crate) mod connection;
pub(crate) mod dispatch;
pub(crate) mod exchange;
pub(crate) mod layers;
pub(crate) mod mount;
pub(crate) mod on_error;
pub(crate) mod respond;
pub(crate) mod route_fn;
pub(crate) mod router;
pub(crate) mod service;
pub(crate) mod serving;
pub(crate) mod shared;
pub(crate) mod view;
