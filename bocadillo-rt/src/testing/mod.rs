//! Tests an app, or any tower service, without a socket, and waits for the tasks of a response.
//!
//! Tasks run on the test's own runtime, so a test may pause the time. They start when the test
//! client has read the body of their response to its end.
//!
//! # Examples
//!
//! ```
//! use bocadillo::{App, Request, Response, background::TaskState, testing::Client};
//! use std::time::Duration;
//!
//! async fn create_order(_req: &mut Request, res: &mut Response) {
//!     res.background(async { tokio::time::sleep(Duration::from_secs(1)).await });
//!     res.status(201);
//! }
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! # tokio::time::pause();
//! let client = Client::new(App::new().add("/orders", &["post"], create_order));
//! let response = client.post("/orders").await;
//! assert_eq!(response.status(), 201);
//!
//! let reports = response.tasks().await;
//! assert_eq!(reports[0].outcome, TaskState::Completed);
//! # }
//! ```

mod client;
#[cfg(feature = "durable")]
mod drain;
mod tasks;
mod view;

pub use self::{
    client::{Client, RequestBuilder, TestResponse},
    tasks::{StillPending, Tasks, Within},
    view::{request, response},
};
