//! Facade.

pub use bocadillo_macros::{background, main, route, view};
#[doc(hidden)]
pub use bocadillo_rt::__private;
pub use bocadillo_rt::{
    App, Body, BoxError, Error, FromParam, HttpError, Limits, Listener, Request, Response, Result,
    RouteFn, RouteMeta, Routed, Serve, ServiceFuture, View, ViewOutcome, background,
    background::{Runner, Task, gather},
    sent, serve, testing,
};
