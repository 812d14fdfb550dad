//! Failures of a store.

use std::error::Error as StdError;
use std::fmt;

use super::PositionError;

/// What kind of failure it is.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum StoreErrorKind {
    /// The storage failed and will fail again: a damaged file, a wrong schema, no permission. Not
    /// retried.
    Backend,
    /// The arguments contradict each other, or cannot be stored. Not retried.
    Invalid,
    /// A position or range is damaged or belongs to another store. Not retried.
    Position,
    /// The storage cannot be reached now, or is busy. Retried.
    Unavailable,
}

/// A store could not do what was asked.
///
/// An operation that failed may have been done in part; each can be repeated without harm.
///
/// ```
/// use webpush_channels::store::{StoreError, StoreErrorKind};
///
/// let error = StoreError::new(StoreErrorKind::Unavailable)
///     .with_source(std::io::Error::other("connection reset"));
/// assert!(error.is_retryable());
/// assert_eq!(error.to_string(), "the store cannot be reached now");
/// ```
#[derive(Debug)]
pub struct StoreError {
    kind: StoreErrorKind,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl StoreError {
    /// A failure of this kind.
    #[must_use]
    pub const fn new(kind: StoreErrorKind) -> Self {
        Self { kind, source: None }
    }

    /// The same with its cause, whose text must not hold an endpoint or a key (S-12).
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What kind of failure it is.
    #[must_use]
    pub const fn kind(&self) -> StoreErrorKind {
        self.kind
    }

    /// Whether the same call may succeed later.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        matches!(self.kind, StoreErrorKind::Unavailable)
    }
}

impl From<PositionError> for StoreError {
    fn from(error: PositionError) -> Self {
        Self::new(StoreErrorKind::Position).with_source(error)
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            StoreErrorKind::Backend => "the store failed: see the cause, repeating will not help",
            StoreErrorKind::Invalid => "the store cannot keep what it was given",
            StoreErrorKind::Position => "a position or range is not one of this store",
            StoreErrorKind::Unavailable => "the store cannot be reached now",
        })
    }
}

impl StdError for StoreError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_error_stays_the_cause() {
        let error = StoreError::from(PositionError::Foreign);
        assert_eq!(error.kind(), StoreErrorKind::Position);
        assert!(!error.is_retryable());
        assert_eq!(error.source().unwrap().downcast_ref(), Some(&PositionError::Foreign));
    }
}
