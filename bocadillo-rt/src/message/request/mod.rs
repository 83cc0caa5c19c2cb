//! A request, as a view reads it.

mod content_type;
#[cfg(feature = "cookie")]
mod cookies;
mod form;
#[cfg(feature = "multipart")]
mod form_data;
mod head;
#[cfg(feature = "multipart")]
mod multipart;
mod query;
mod read;
mod source;
mod stream;

pub(crate) use self::source::Source;
#[cfg(feature = "multipart")]
pub use self::{
    form_data::{FormData, FormFile},
    multipart::{Field, Multipart},
};
pub use self::{head::Request, stream::BodyStream};
