//! A message, before it reaches its user agent and after.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;

use crate::testing::DecryptError;

/// A message that reached its user agent.
#[derive(Clone)]
#[non_exhaustive]
pub struct Received {
    headers: HeaderMap,
    ttl: u32,
    payload: Result<Option<Vec<u8>>, DecryptError>,
}

impl Received {
    /// The request's headers.
    #[must_use]
    pub const fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// The TTL that was granted.
    #[must_use]
    pub const fn ttl(&self) -> Duration {
        Duration::from_secs(self.ttl as u64)
    }

    /// `Topic`, where there was one.
    #[must_use]
    pub fn topic(&self) -> Option<&str> {
        self.headers.get("topic").and_then(|topic| topic.to_str().ok())
    }

    /// `Urgency`, where there was one.
    #[must_use]
    pub fn urgency(&self) -> Option<&str> {
        self.headers.get("urgency").and_then(|urgency| urgency.to_str().ok())
    }

    /// What the page saw; `None` is the null payload.
    ///
    /// # Errors
    ///
    /// [`DecryptError`]: why the user agent dropped it.
    pub fn payload(&self) -> Result<Option<&[u8]>, DecryptError> {
        self.payload.as_ref().map(Option::as_deref).map_err(|error| *error)
    }
}

impl fmt::Debug for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let opened = self.payload.as_ref().map(|payload| payload.as_ref().map(Vec::len));
        f.debug_struct("Received")
            .field("ttl", &self.ttl)
            .field("payload_len", &opened)
            .finish_non_exhaustive()
    }
}

/// A message between its acceptance and its delivery.
#[derive(Debug)]
pub(super) struct Stored {
    /// What browsers acknowledge.
    #[cfg(feature = "testing-browser")]
    pub(super) number: u64,
    /// The number in its `Location`.
    pub(super) resource: u64,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) ttl: u32,
    pub(super) topic: Option<Box<str>>,
    /// Seconds since 1970.
    pub(super) accepted: u64,
}

impl Stored {
    pub(super) fn into_received(self, payload: Result<Option<Vec<u8>>, DecryptError>) -> Received {
        Received { headers: self.headers, ttl: self.ttl, payload }
    }
}
