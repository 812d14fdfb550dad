//! The plaintext.

use std::fmt;

use bytes::Bytes;
use serde::Serialize;

/// The plaintext of a message: at most 3993 octets, what fits a body of 4096 (E-25).
///
/// Cloning is cheap: the octets are shared. `Debug` shows the length only.
///
/// ```
/// use webpush_channels::{Payload, PayloadError};
///
/// assert_eq!(Payload::new("hello")?.len(), 5);
/// assert_eq!(Payload::json(&serde_json::json!({"n": 1}))?.as_bytes(), br#"{"n":1}"#);
/// assert!(matches!(Payload::new(vec![0; 3994]), Err(PayloadError::TooLarge { len: 3994, limit: 3993 })));
/// # Ok::<(), PayloadError>(())
/// ```
#[derive(Clone, Eq, PartialEq)]
pub struct Payload(Bytes);

impl Payload {
    /// The most octets of plaintext: a push service need not take a body over 4096 octets
    /// (RFC 8030 section 7.2), and the encryption adds 103 (RFC 8291 section 4).
    pub const MAX_LEN: usize = 3993;

    /// What also reaches Firefox on Android and iOS, whose bridges take less (Q-M5).
    pub const PORTABLE_LEN: usize = 2744;

    /// A payload of these octets.
    ///
    /// # Errors
    ///
    /// [`PayloadError::TooLarge`] over [`MAX_LEN`](Self::MAX_LEN).
    pub fn new(octets: impl Into<Bytes>) -> Result<Self, PayloadError> {
        let octets = octets.into();
        if octets.len() > Self::MAX_LEN {
            return Err(PayloadError::TooLarge { len: octets.len(), limit: Self::MAX_LEN });
        }
        Ok(Self(octets))
    }

    /// No payload: the receiver's `PushEvent.data` is null. It is sent without a body (H-12).
    #[must_use]
    pub const fn empty() -> Self {
        Self(Bytes::new())
    }

    /// A value as JSON.
    ///
    /// # Errors
    ///
    /// [`PayloadError::TooLarge`], or [`PayloadError::Json`] when the value has no JSON form.
    pub fn json<T: Serialize + ?Sized>(value: &T) -> Result<Self, PayloadError> {
        Self::new(serde_json::to_vec(value).map_err(|error| PayloadError::Json(Box::new(error)))?)
    }

    /// The octets. They are the message's secret.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether there is no payload.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many octets.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Payload({} octets)", self.len())
    }
}

/// Why a payload was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PayloadError {
    /// The value has no JSON form.
    #[error("the value cannot be written as JSON")]
    Json(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// More octets than a push service must take.
    #[error("a payload has at most {limit} octets, this one has {len}: send an id and fetch the rest")]
    TooLarge {
        /// Octets given.
        len: usize,
        /// Octets allowed.
        limit: usize,
    },
}
