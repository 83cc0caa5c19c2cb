//! Work that a web server does after its response has been sent.
//!
//! An unofficial port of the one feature that Python's Bocadillo was loved for, `@res.background`,
//! and of the part of it that handlers touch:
//!
//! ```
//! use bocadillo::{App, Request, Response, route, testing::Client};
//!
//! #[route("/orders", methods = ["post"])]
//! async fn create_order(req: &mut Request, res: &mut Response) -> bocadillo::Result<()> {
//!     let email: String = req.json().await?;
//!
//!     #[background]
//!     async fn send_confirmation() {
//!         println!("to {email}");     // `email` is moved into the task
//!     }
//!
//!     res.status(201);
//!     Ok(())
//! }
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! let client = Client::new(App::new().route(create_order));
//! let response = client.post("/orders").json("ada@example.net").await;
//! assert_eq!(response.status(), 201);
//! assert_eq!(response.tasks().await[0].name, "send_confirmation");
//! # }
//! ```
//!
//! # Promises
//!
//! * A task starts when the kernel has accepted the last byte of *its* response, or when it is
//!   certain that this can never happen ([`sent`]). It does not start when the view returns, or when
//!   the body was handed to hyper. A slow client may still be reading from socket buffers then.
//! * A task starts exactly once, also if the view fails or panics, and if the client leaves. A view
//!   whose client leaves runs to its end, within the bounds of [`Limits`]. A client that closes only
//!   its sending direction has left, unless [`Limits::half_close`] says otherwise.
//! * The latest registration wins. [`Response::add_background`] keeps the earlier ones.
//! * A task that fails or panics is logged with its name and place. Its connection, the process and
//!   its siblings go on.
//! * Tasks run on a runtime of their own, within limits. A task that blocks delays no request.
//!   [`Runner`] has the limits, their defaults, and the reasons.
//! * On SIGTERM or SIGINT the server finishes its responses and drains their tasks, within a
//!   deadline. It names the tasks that it aborts ([`App::serve`]).
//! * Every task is counted in exactly one state, at every instant ([`background::Stats`]), and has
//!   one report at its end.
//! * A test awaits exactly the tasks of one response ([`testing`]).
//! * With the feature `durable`, a function with [`task`](macro@task) survives the death of its process:
//!   its call is committed to a store before the response, and runs at least once. Plain tasks are lost
//!   with their process.
//!
//! # Without an [`App`]
//!
//! [`serve`] makes the same promises for any tower service, such as an axum router. The service registers
//! its tasks on the [`background::Background`] in the extensions of its requests. [`BackgroundLayer`], and
//! an [`App`] within another server, start their tasks when the body of the response was handed to the
//! transport: nothing later is known there. `docs/doors.md` has a table of all of them.
//!
//! # Features
//!
//! | feature | default | what it pulls in | MSRV |
//! | --- | --- | --- | --- |
//! | `log` | ✔ | `tracing-subscriber`: the log on stderr of [`bocadillo::main`](macro@main) | 1.85 |
//! | `cookie` | | `cookie`: [`Request::cookie`], [`Response::cookie`](Response) | 1.85 |
//! | `durable` | | `inventory`, `uuid`: [`task`](macro@task), the module `durable` | 1.85 |
//! | `file` | | `tower-http`: `Response::file` | 1.85 |
//! | `multipart` | | `multer`, `tempfile`: forms with files, `Request::multipart`, `Request::form_data` | 1.85 |
//! | `sqlite` | | `durable`, and `rusqlite` with SQLite itself, `fs4`: `durable::Sqlite` | 1.85 |
//! | `tls` | | `rustls`, `tokio-rustls`, `ring`: the module `tls` | 1.85 |
//! | `full` | | `cookie`, `file`, `log`, `metrics`, `multipart`, `tls` | 1.85 |
//! | `axum` | | `axum` without its own features: `Background` as an extractor, `ConnectInfo` | 1.85 |
//! | `metrics` | | `metrics`: counters, gauges and histograms of tasks, see [`background`](mod@background#metrics) | 1.85 |

#![cfg_attr(docsrs, feature(doc_cfg))]

pub use bocadillo_macros::{background, main, route, view};

#[doc(hidden)]
pub mod __private {
    pub use bocadillo_rt::__private::*;

    pub use crate::background_belongs_inside_a_function;

    /// The names that expansions find by the user's own word: the attribute, and not the module of the
    /// same name, which may be another module where the attribute is used.
    pub mod names {
        pub use bocadillo_macros::background;
    }
}

pub use bocadillo_rt::{
    App, BackgroundLayer, BackgroundService, Body, BodyStream, BoxError, BoxedFuture, BoxedService,
    Chunk, Error, Event, FromParam, HttpError, HyperFuture, HyperService, IntoChunks, LayerBody,
    LayerFuture, Limits, Listener, Request, Response, Result, RouteFn, RouteMeta, Routed, Serve,
    Served, ServiceFn, ServiceFuture, Socket, View, ViewOutcome, background,
    background::{Runner, Task, after_response, gather},
    sent, serve, service_fn, testing,
};

#[cfg(feature = "multipart")]
#[cfg_attr(docsrs, doc(cfg(feature = "multipart")))]
pub use bocadillo_rt::{Field, FormData, FormFile, Multipart};

#[cfg(feature = "durable")]
#[cfg_attr(docsrs, doc(cfg(feature = "durable")))]
pub use bocadillo_macros::task;
#[cfg(feature = "durable")]
#[cfg_attr(docsrs, doc(cfg(feature = "durable")))]
/// Tasks that survive the death of their process.
pub mod durable {
    #[doc(inline)]
    pub use bocadillo_rt::{Worker, durable::*};
}

#[cfg(feature = "cookie")]
#[cfg_attr(docsrs, doc(cfg(feature = "cookie")))]
pub use bocadillo_rt::cookie;

#[cfg(feature = "tls")]
#[cfg_attr(docsrs, doc(cfg(feature = "tls")))]
pub mod tls {
    //! TLS connections, by rustls.
    //!
    //! A [`Listener`] makes each connection of another listener a TLS connection. ALPN offers HTTP/2,
    //! HTTP/1.1 and HTTP/1.0. A response counts as sent when its last byte was encrypted and the kernel
    //! has accepted it, as without TLS.
    //!
    //! Handshakes run concurrently, so a slow one does not delay other connections. Their number and
    //! their time are limited.
    //!
    //! # Examples
    //!
    //! ```no_run
    //! use bocadillo::{App, tls};
    //! use tokio::net::TcpListener;
    //!
    //! # #[tokio::main] async fn main() -> bocadillo::Result<()> {
    //! let config = tls::Config::from_pem_files("cert.pem", "key.pem")?;
    //! let listener = TcpListener::bind("0.0.0.0:8443").await?;
    //! App::new().serve_with(tls::Listener::new(listener, config)).await
    //! # }
    //! ```

    #[doc(no_inline)]
    pub use bocadillo_rt::tls::rustls;
    pub use bocadillo_rt::tls::{Config, Listener};
}

/// The names that handlers need: `use bocadillo::prelude::*`.
pub mod prelude {
    #[doc(no_inline)]
    pub use crate::{App, HttpError, Request, Response, Task, background, gather, route, view};
}

/// The expansion of a stand-alone `#[background]`. Outside of a function, the compiler's error shows
/// this name.
#[doc(hidden)]
#[macro_export]
macro_rules! background_belongs_inside_a_function {
    ($($task:tt)*) => {{ $($task)* }};
}

#[cfg(all(doctest, feature = "axum"))]
#[doc = include_str!("../README.md")]
struct Readme;

#[cfg(all(doctest, feature = "axum"))]
#[doc = include_str!("../docs/axum.md")]
struct Axum;

#[cfg(doctest)]
#[doc = include_str!("../docs/background-tasks.md")]
struct BackgroundTasks;

#[cfg(all(doctest, feature = "durable", feature = "sqlite"))]
#[doc = include_str!("../docs/durable.md")]
struct Durable;

#[cfg(doctest)]
#[doc = include_str!("../docs/running.md")]
struct Running;
