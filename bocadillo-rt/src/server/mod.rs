//! Listeners, TLS, limits, connections, signals and shutdown: serves a service, and knows no app.

pub(crate) mod accept;
pub(crate) mod detach;
pub(crate) mod limits;
pub(crate) mod listener;
pub(crate) mod log;
pub(crate) mod protocols;
pub(crate) mod run;
pub(crate) mod shutdown;
pub(crate) mod signals;
pub(crate) mod socket;
#[cfg(feature = "tls")]
pub mod tls;
pub(crate) mod turn;
#[cfg(feature = "durable")]
pub(crate) mod worker;
