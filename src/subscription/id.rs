//! The id of a subscription.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::Endpoint;

/// The id of a subscription: the SHA-256 of its endpoint written as a JSON string, quotes
/// included, as the Kinto service `webpush-channels` computed it, so that ids survive a
/// migration. Shown as 64 lower-case hexadecimal digits.
///
/// It does not give the endpoint away and may be logged.
///
/// ```
/// use webpush_channels::{Endpoint, SubscriptionId};
///
/// let endpoint: Endpoint = "https://updates.push.services.mozilla.com/wpush/v1/gAAAAABYZNoTAeA9vv-_zHx79".parse()?;
/// assert_eq!(
///     SubscriptionId::of(&endpoint).to_string(),
///     "f7023896e08a42254fcbf4ffde1a7b36ce06bc2c857f4286c277221894ce2943"
/// );
/// # Ok::<(), webpush_channels::EndpointError>(())
/// ```
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct SubscriptionId([u8; 32]);

impl SubscriptionId {
    /// The id of the subscription with this endpoint.
    #[must_use]
    pub fn of(endpoint: &Endpoint) -> Self {
        // An endpoint holds printable ASCII without quotes and backslashes: nothing to escape.
        let hash = Sha256::new().chain_update(b"\"").chain_update(endpoint.as_str()).chain_update(b"\"");
        Self(hash.finalize().into())
    }

    /// The octets, as a store keeps them.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The id that a store kept.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

/// The text is not a [`SubscriptionId`].
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a subscription id is 64 lower-case hexadecimal digits")]
#[non_exhaustive]
pub struct SubscriptionIdError;

impl FromStr for SubscriptionId {
    type Err = SubscriptionIdError;

    fn from_str(text: &str) -> Result<Self, SubscriptionIdError> {
        let digits = text.as_bytes();
        if digits.len() != 64 {
            return Err(SubscriptionIdError);
        }
        let mut octets = [0; 32];
        for (octet, pair) in octets.iter_mut().zip(digits.chunks_exact(2)) {
            *octet = nibble(pair[0])? << 4 | nibble(pair[1])?;
        }
        Ok(Self(octets))
    }
}

const fn nibble(digit: u8) -> Result<u8, SubscriptionIdError> {
    match digit {
        b'0'..=b'9' => Ok(digit - b'0'),
        b'a'..=b'f' => Ok(digit - b'a' + 10),
        _ => Err(SubscriptionIdError),
    }
}

impl TryFrom<String> for SubscriptionId {
    type Error = SubscriptionIdError;

    fn try_from(text: String) -> Result<Self, SubscriptionIdError> {
        text.parse()
    }
}

impl From<SubscriptionId> for String {
    fn from(id: SubscriptionId) -> Self {
        id.to_string()
    }
}

impl fmt::Display for SubscriptionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

impl fmt::Debug for SubscriptionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SubscriptionId({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_round_trips_through_its_text() {
        let id = SubscriptionId::from_bytes(std::array::from_fn(|i| u8::try_from(i * 7).unwrap()));
        assert_eq!(id.to_string().parse(), Ok(id));
        for wrong in ["", "00", &"g".repeat(64), &"A".repeat(64), &"\u{e9}".repeat(32)] {
            assert_eq!(wrong.parse::<SubscriptionId>(), Err(SubscriptionIdError), "{wrong}");
        }
    }
}
