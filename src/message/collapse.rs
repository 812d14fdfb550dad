//! What a message replaces.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// A message replaces an undelivered one for the same subscription with the same key.
///
/// The push service never sees it: the `Topic` header holds a keyed hash of it and of the
/// subscription, so that nobody can group the members of a channel (H-10).
///
/// ```
/// use webpush_channels::CollapseKey;
///
/// assert_eq!(CollapseKey::new("inbox")?.as_str(), "inbox");
/// assert!(CollapseKey::new("").is_err());
/// # Ok::<(), webpush_channels::CollapseKeyError>(())
/// ```
#[derive(Clone, Eq, Hash, PartialEq)]
pub struct CollapseKey(Arc<str>);

impl CollapseKey {
    /// The most octets of UTF-8 that a key may have.
    pub const MAX_LEN: usize = 256;

    /// A key of 1 to 256 octets.
    ///
    /// # Errors
    ///
    /// [`CollapseKeyError`] when it is empty or longer.
    pub fn new(key: impl AsRef<str>) -> Result<Self, CollapseKeyError> {
        let key = key.as_ref();
        if key.is_empty() || key.len() > Self::MAX_LEN {
            return Err(CollapseKeyError { len: key.len() });
        }
        Ok(Self(key.into()))
    }

    /// The key as it was given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for CollapseKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CollapseKey([redacted])")
    }
}

impl FromStr for CollapseKey {
    type Err = CollapseKeyError;

    fn from_str(text: &str) -> Result<Self, CollapseKeyError> {
        Self::new(text)
    }
}

/// The text is not a [`CollapseKey`].
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a collapse key has 1 to 256 octets of UTF-8, this one has {len}")]
#[non_exhaustive]
pub struct CollapseKeyError {
    /// Octets found.
    pub len: usize,
}
