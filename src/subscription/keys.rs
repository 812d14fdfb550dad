//! The receiver's keys.

use std::fmt;
use std::hint::black_box;

use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::base64url::{self, Base64Error};

/// The keys that a message for one subscription is encrypted with (`getKey()` of the Push API).
#[derive(Clone, Eq)]
pub struct SubscriptionKeys {
    p256dh: PublicKey,
    auth: AuthSecret,
}

impl SubscriptionKeys {
    /// Keys of parsed parts.
    #[must_use]
    pub const fn new(p256dh: PublicKey, auth: AuthSecret) -> Self {
        Self { p256dh, auth }
    }

    /// Parses the two members of `keys` in a subscription's JSON.
    ///
    /// # Errors
    ///
    /// [`KeyError`] when one is not base64url or not usable.
    pub fn from_base64url(p256dh: &str, auth: &str) -> Result<Self, KeyError> {
        Ok(Self::new(PublicKey::from_base64url(p256dh)?, AuthSecret::from_base64url(auth)?))
    }

    /// The receiver's public key.
    #[must_use]
    pub const fn p256dh(&self) -> &PublicKey {
        &self.p256dh
    }

    /// The secret shared with the receiver.
    #[must_use]
    pub const fn auth(&self) -> &AuthSecret {
        &self.auth
    }
}

impl PartialEq for SubscriptionKeys {
    /// In constant time: whoever registers an endpoint must not learn how much of a key is right.
    #[expect(clippy::needless_bitwise_bool, reason = "`&&` ends at the first difference")]
    fn eq(&self, other: &Self) -> bool {
        (self.p256dh == other.p256dh) & (self.auth == other.auth)
    }
}

impl fmt::Debug for SubscriptionKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SubscriptionKeys([redacted])")
    }
}

/// A receiver's public key: 65 octets that are known to be an uncompressed point on P-256
/// (E-4, E-5).
///
/// ```
/// use webpush_channels::{KeyError, PublicKey};
///
/// let compressed = "AiVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcx";
/// assert_eq!(PublicKey::from_base64url(compressed).unwrap_err(), KeyError::PublicKeyLength { octets: 33 });
/// ```
#[derive(Clone, Eq)]
pub struct PublicKey([u8; 65]);

impl PublicKey {
    /// Checks that the octets are an uncompressed point on P-256: 0x04, both coordinates below
    /// the field's prime, on the curve (RFC 8291 section 7).
    ///
    /// # Errors
    ///
    /// [`KeyError`]: another form (compressed, hybrid, raw), or not on the curve.
    pub fn from_bytes(octets: &[u8]) -> Result<Self, KeyError> {
        let key: [u8; 65] =
            octets.try_into().map_err(|_| KeyError::PublicKeyLength { octets: octets.len() })?;
        // The length and the first octet come first: libraries also accept hybrid forms (E-5).
        if key[0] != 0x04 {
            return Err(KeyError::PublicKeyForm);
        }
        p256::PublicKey::from_sec1_bytes(&key).map_err(|_| KeyError::NotOnCurve)?;
        Ok(Self(key))
    }

    /// Parses `keys.p256dh`.
    ///
    /// # Errors
    ///
    /// [`KeyError`], as for [`from_bytes`](Self::from_bytes), or when it is not base64url.
    pub fn from_base64url(text: &str) -> Result<Self, KeyError> {
        Self::from_bytes(&base64url::decode(text).map_err(|_| KeyError::PublicKeyEncoding)?)
    }

    /// The 65 octets.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 65] {
        &self.0
    }

    /// `keys.p256dh` as a browser writes it.
    #[must_use]
    pub fn to_base64url(&self) -> String {
        base64url::encode(&self.0)
    }
}

impl PartialEq for PublicKey {
    /// In constant time: it is public between a browser and us only.
    fn eq(&self, other: &Self) -> bool {
        same(&self.0, &other.0)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PublicKey([redacted])")
    }
}

/// The secret that a subscription shares with its application server: 16 octets (E-6).
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct AuthSecret([u8; 16]);

impl AuthSecret {
    /// A secret of 16 octets.
    #[must_use]
    pub const fn from_bytes(octets: [u8; 16]) -> Self {
        Self(octets)
    }

    /// Parses `keys.auth`.
    ///
    /// # Errors
    ///
    /// [`KeyError`] when it is not base64url or not 16 octets.
    pub fn from_base64url(text: &str) -> Result<Self, KeyError> {
        base64url::decode_array(text).map(Self).map_err(|error| match error {
            Base64Error::Alphabet => KeyError::AuthEncoding,
            Base64Error::Length { got, .. } => KeyError::AuthLength { octets: got },
        })
    }

    /// The octets. Whoever has them, and the public key, can forge messages (S-13).
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// `keys.auth` as a browser writes it. Secret, as its octets are.
    #[must_use]
    pub fn to_base64url(&self) -> String {
        base64url::encode(&self.0)
    }
}

impl PartialEq for AuthSecret {
    /// In constant time (E-12).
    fn eq(&self, other: &Self) -> bool {
        same(&self.0, &other.0)
    }
}

impl Eq for AuthSecret {}

impl fmt::Debug for AuthSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AuthSecret([redacted])")
    }
}

/// Looks at every octet, whatever the first ones say; the box keeps the compiler from finding an
/// earlier end.
fn same<const N: usize>(one: &[u8; N], other: &[u8; N]) -> bool {
    one.iter().zip(other).fold(0, |differences, (a, b)| black_box(differences | (a ^ b))) == 0
}

/// Why a subscription's key was refused. Never holds the key.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// `auth` is not base64url.
    #[error("keys.auth is not base64url (RFC 4648 section 5)")]
    AuthEncoding,
    /// `auth` is not 16 octets long.
    #[error("keys.auth must have 16 octets, this one has {octets}")]
    AuthLength {
        /// Octets found.
        octets: usize,
    },
    /// The public key is no point of P-256.
    #[error("keys.p256dh is not a point on P-256")]
    NotOnCurve,
    /// `p256dh` is not base64url.
    #[error("keys.p256dh is not base64url (RFC 4648 section 5)")]
    PublicKeyEncoding,
    /// The public key does not begin with 0x04.
    #[error("keys.p256dh must be an uncompressed point, beginning with 0x04")]
    PublicKeyForm,
    /// The public key is not 65 octets long: compressed, raw or damaged.
    #[error("keys.p256dh must have 65 octets (an uncompressed point), this one has {octets}")]
    PublicKeyLength {
        /// Octets found.
        octets: usize,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_zeroize_and_do_not_print() {
        static_assertions::assert_impl_all!(AuthSecret: ZeroizeOnDrop);
        let secret = AuthSecret::from_bytes([7; 16]);
        assert_eq!(format!("{secret:?}"), "AuthSecret([redacted])");
        assert_eq!(secret, AuthSecret::from_base64url(&secret.to_base64url()).unwrap());
        assert_ne!(secret, AuthSecret::from_bytes([8; 16]));
    }
}
