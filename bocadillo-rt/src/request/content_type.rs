//! Whether a body is of the kind that is read.

use http::header::CONTENT_TYPE;
use mime::Mime;

use super::Request;
use crate::error::{HttpError, Result};

impl Request {
    /// JSON, or something that says nothing of its kind.
    #[inline]
    pub(super) fn expect_json(&self) -> Result<()> {
        match self.headers().get(CONTENT_TYPE) {
            None => Ok(()),
            Some(value) if value == "application/json" => Ok(()),
            Some(_) => self.expect("application/json", |mime| {
                mime.subtype() == mime::JSON || mime.suffix() == Some(mime::JSON)
            }),
        }
    }

    /// Exactly this essence.
    pub(super) fn expect_essence(&self, essence: &'static str) -> Result<()> {
        self.expect(essence, |mime| mime.essence_str() == essence)
    }

    #[cold]
    fn expect(&self, expected: &str, is_it: impl Fn(&Mime) -> bool) -> Result<()> {
        let found = self.header(CONTENT_TYPE).unwrap_or_default();
        if found.parse().is_ok_and(|mime| is_it(&mime)) {
            return Ok(());
        }
        let detail = if found.is_empty() {
            format!("The content type must be `{expected}`.")
        } else {
            format!("The content type must be `{expected}`, and is `{found}`.")
        };
        Err(HttpError::new(415).detail(detail).into())
    }
}
