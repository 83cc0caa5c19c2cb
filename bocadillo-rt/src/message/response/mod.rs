//! A response, as a view builds it, and as a server can send it.

mod build;
mod chunks;
#[cfg(feature = "cookie")]
mod cookies;
mod errors;
mod events;
#[cfg(feature = "file")]
mod file;
mod finish;
mod headers;
mod location;
#[cfg(feature = "file")]
mod range;

pub use self::{
    build::Response,
    chunks::{Chunk, IntoChunks, kinds},
    events::Event,
};
