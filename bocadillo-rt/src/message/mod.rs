//! What a view holds: request, response, bodies, path parameters.

pub(crate) mod authority;
pub(crate) mod body;
pub(crate) mod contain;
pub(crate) mod context;
pub(crate) mod params;
pub(crate) mod path;
pub(crate) mod request;
pub(crate) mod response;
pub(crate) mod upload;
