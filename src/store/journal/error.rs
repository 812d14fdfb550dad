//! Failures of a journal.

use std::error::Error as StdError;
use std::fmt;

use crate::store::{StoreError, StoreErrorKind};

/// What kind of failure it is.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum JournalErrorKind {
    /// The storage failed and will fail again. Not retried.
    Backend,
    /// There is another broadcast with this id. Not retried: choose another id.
    Conflict,
    /// What was given cannot be kept, or belongs to another journal. Not retried.
    Invalid,
    /// The lease is another worker's by now. Not retried: stop working on it.
    LeaseLost,
    /// The storage cannot be reached now, or is busy. Retried.
    Unavailable,
    /// No broadcast has this id. Not retried.
    Unknown,
}

/// A journal could not do what was asked.
#[derive(Debug)]
pub struct JournalError {
    kind: JournalErrorKind,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl JournalError {
    /// A failure of this kind.
    #[must_use]
    pub const fn new(kind: JournalErrorKind) -> Self {
        Self { kind, source: None }
    }

    /// The same with its cause, whose text must not hold an endpoint, a key or a payload (S-12).
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What kind of failure it is.
    #[must_use]
    pub const fn kind(&self) -> JournalErrorKind {
        self.kind
    }

    /// Whether the same call may succeed later.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        matches!(self.kind, JournalErrorKind::Unavailable)
    }
}

impl From<StoreError> for JournalError {
    fn from(error: StoreError) -> Self {
        let kind = match error.kind() {
            StoreErrorKind::Backend => JournalErrorKind::Backend,
            StoreErrorKind::Invalid | StoreErrorKind::Position => JournalErrorKind::Invalid,
            StoreErrorKind::Unavailable => JournalErrorKind::Unavailable,
        };
        Self::new(kind).with_source(error)
    }
}

impl fmt::Display for JournalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            JournalErrorKind::Backend => "the journal failed: see the cause, repeating will not help",
            JournalErrorKind::Conflict => "another broadcast has this id: choose another",
            JournalErrorKind::Invalid => "the journal cannot keep what it was given",
            JournalErrorKind::LeaseLost => "the lease was lost to another worker",
            JournalErrorKind::Unavailable => "the journal cannot be reached now",
            JournalErrorKind::Unknown => "no broadcast has this id",
        })
    }
}

impl StdError for JournalError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_error_keeps_what_it_says_about_repeating() {
        for kind in [StoreErrorKind::Backend, StoreErrorKind::Unavailable, StoreErrorKind::Position] {
            let store = StoreError::new(kind);
            let retryable = store.is_retryable();
            let error = JournalError::from(store);
            assert_eq!(error.is_retryable(), retryable);
            assert!(error.source().and_then(|source| source.downcast_ref::<StoreError>()).is_some());
        }
    }
}
