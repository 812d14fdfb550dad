//! The state that a change was decided on.

use std::fmt;

use sha2::{Digest, Sha256};

use super::Coding;
use crate::{KeyId, Subscription, UserId};

/// Octets that are equal only when user, endpoint, keys, VAPID key and coding of an entry all
/// are: a result that belongs to a former state must not touch the new one (R-50).
///
/// The first 16 octets of a SHA-256, computed in the same way by every store and every node, over:
/// the octet 1; user id and endpoint, each after its length in 8 octets; p256dh (65 octets); auth
/// (16); 1 and the VAPID key's id (16), or 17 zeros; the coding (0 or 1). Numbers are big-endian.
/// It gives nothing away and may be logged.
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub struct Version([u8; 16]);

/// In front of the hashed octets: another way to write them would be another number.
const FORMAT: u8 = 1;

impl Version {
    /// The version of an entry with these parts.
    ///
    /// ```
    /// use webpush_channels::store::{Coding, Version};
    /// use webpush_channels::{KeyId, Subscription, UserId};
    /// # let subscription = Subscription::from_json(r#"{"endpoint": "https://push.example.net/p/x", "keys": {
    /// #     "p256dh": "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",
    /// #     "auth": "BTBZMqHH6r4Tts7J_aSIgg"}}"#)?;
    ///
    /// let (alice, bob) = (UserId::new("alice")?, UserId::new("bob")?);
    /// let version = Version::of(&alice, &subscription, None, Coding::Aes128Gcm);
    /// assert_eq!(version, Version::of(&alice, &subscription, None, Coding::Aes128Gcm));
    /// assert_ne!(version, Version::of(&bob, &subscription, None, Coding::Aes128Gcm));
    /// let key = Some(KeyId::from_bytes([0; 16]));
    /// assert_ne!(version, Version::of(&alice, &subscription, key, Coding::Aes128Gcm));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn of(user: &UserId, subscription: &Subscription, key: Option<KeyId>, coding: Coding) -> Self {
        let mut hash = Sha256::new();
        hash.update([FORMAT]);
        // The two parts of varying length carry it in front; the rest has one length each.
        for part in [user.as_str(), subscription.endpoint().as_str()] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        hash.update(subscription.keys().p256dh().as_bytes());
        hash.update(subscription.keys().auth().as_bytes());
        hash.update([u8::from(key.is_some())]);
        hash.update(key.as_ref().map_or(&[0; 16], KeyId::as_bytes));
        hash.update([match coding {
            Coding::Aes128Gcm => 0,
            Coding::AesGcm => 1,
        }]);
        let digest = hash.finalize();
        let mut version = [0; 16];
        version.copy_from_slice(&digest[..16]);
        Self(version)
    }

    /// The octets, as a store keeps them.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// The version that a store kept.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }
}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Version(")?;
        self.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))?;
        f.write_str(")")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AuthSecret, PublicKey, SubscriptionKeys};

    const P256DH: &str =
        "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4";

    fn subscription(endpoint: &str, auth: u8) -> Subscription {
        let key = PublicKey::from_base64url(P256DH).unwrap();
        let keys = SubscriptionKeys::new(key, AuthSecret::from_bytes([auth; 16]));
        Subscription::new(endpoint.parse().unwrap(), keys)
    }

    fn version(user: &str, endpoint: &str, auth: u8, key: Option<KeyId>, coding: Coding) -> Version {
        Version::of(&UserId::new(user).unwrap(), &subscription(endpoint, auth), key, coding)
    }

    #[test]
    fn every_part_counts() {
        let key = |octet| Some(KeyId::from_bytes([octet; 16]));
        let versions = [
            version("a", "https://a.example/x", 1, None, Coding::Aes128Gcm),
            version("b", "https://a.example/x", 1, None, Coding::Aes128Gcm),
            version("a", "https://a.example/y", 1, None, Coding::Aes128Gcm),
            version("a", "https://a.example/x", 2, None, Coding::Aes128Gcm),
            version("a", "https://a.example/x", 1, key(0), Coding::Aes128Gcm),
            version("a", "https://a.example/x", 1, key(1), Coding::Aes128Gcm),
            version("a", "https://a.example/x", 1, None, Coding::AesGcm),
        ];
        for (i, a) in versions.iter().enumerate() {
            assert!(versions[i + 1..].iter().all(|b| a != b), "{i}");
        }
    }

    #[test]
    fn the_border_between_parts_counts() {
        let one = version("ah", "http://a.example/x", 1, None, Coding::Aes128Gcm);
        assert_ne!(one, version("a", "http://a.example/x", 1, None, Coding::Aes128Gcm));
    }

    #[test]
    fn the_value_is_the_same_in_every_release() {
        // Computed outside of this crate, by the description above.
        let version = version("alice", "https://push.example.net/p", 7, None, Coding::Aes128Gcm);
        assert_eq!(format!("{version:?}"), "Version(a6ce51094a0c6091e7eb95216ae7376d)");
        assert_eq!(Version::from_bytes(*version.as_bytes()), version);
    }
}
