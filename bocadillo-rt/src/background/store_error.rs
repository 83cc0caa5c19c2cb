//! Why a store did not do what was asked.

use std::{borrow::Cow, error::Error as StdError, fmt};

use crate::error::BoxError;

/// A store did not do what was asked.
///
/// Its `Display` says what was tried; the reason is its [`source`](StdError::source).
#[derive(Debug)]
pub struct StoreError {
    what: Cow<'static, str>,
    source: Option<BoxError>,
    /// The program's fault: it will be the same next time.
    is_fault: bool,
}

impl StoreError {
    /// Creates an error that says what was tried.
    pub fn new(what: impl Into<Cow<'static, str>>) -> Self {
        Self {
            what: what.into(),
            source: None,
            is_fault: false,
        }
    }

    /// Creates an error that says what was tried, and why it failed.
    pub fn with(what: impl Into<Cow<'static, str>>, source: impl Into<BoxError>) -> Self {
        Self {
            what: what.into(),
            source: Some(source.into()),
            is_fault: false,
        }
    }

    /// Creates an error that the program itself has made.
    pub(crate) fn fault_of(what: impl Into<Cow<'static, str>>) -> Self {
        Self {
            is_fault: true,
            ..Self::new(what)
        }
    }

    pub(crate) fn fault(what: impl Into<Cow<'static, str>>, source: impl Into<BoxError>) -> Self {
        Self {
            is_fault: true,
            ..Self::with(what, source)
        }
    }

    /// Returns whether the program itself is wrong, as with an argument that cannot be written. It is
    /// answered by a 500; other errors, as of a store that is locked, by a 503.
    #[must_use]
    pub fn is_fault(&self) -> bool {
        self.is_fault
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl StdError for StoreError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        let source: &(dyn StdError + 'static) = self.source.as_deref()?;
        Some(source)
    }
}
