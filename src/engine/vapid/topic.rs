//! The `Topic` header (RFC 8030 section 5.4).

use std::fmt;
use std::str::FromStr;

use hmac::{Hmac, KeyInit as _, Mac as _};
use http::HeaderValue;
use sha2::Sha256;
use zeroize::{ZeroizeOnDrop, Zeroizing};

use super::VapidKey;
use crate::{BroadcastId, CollapseKey, SubscriptionId, base64url};

/// The longest topic, in characters (H-8).
const MAX_LEN: usize = 32;

/// Which undelivered message of a subscription a message replaces, as the push service sees it:
/// 1 to 32 characters of the base64url alphabet (H-8). Never a channel.
///
/// [`Vapid::topic`](super::Vapid::topic) makes them, always of 32 characters: Apple decodes the
/// value and refuses some lengths (H-9). `Debug` shows nothing of it, because it groups messages.
///
/// ```
/// use webpush_channels::engine::vapid::Topic;
///
/// assert_eq!("upd".parse::<Topic>()?.as_str(), "upd");
/// assert!("a b".parse::<Topic>().is_err());
/// # Ok::<(), webpush_channels::engine::vapid::TopicError>(())
/// ```
#[derive(Clone, Eq, Hash, PartialEq)]
pub struct Topic(Box<str>);

impl Topic {
    /// Parses the value of a `Topic` header, as a push service does.
    ///
    /// # Errors
    ///
    /// [`TopicError`] when it is empty, longer than 32 characters or holds another character.
    pub fn parse(text: &str) -> Result<Self, TopicError> {
        let allowed = |octet: u8| octet.is_ascii_alphanumeric() || octet == b'-' || octet == b'_';
        if (1..=MAX_LEN).contains(&text.len()) && text.bytes().all(allowed) {
            Ok(Self(text.into()))
        } else {
            Err(TopicError)
        }
    }

    /// The characters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The value of the header, marked sensitive.
    #[must_use]
    #[allow(clippy::missing_panics_doc, reason = "the characters were checked")]
    pub fn to_header_value(&self) -> HeaderValue {
        let mut value = HeaderValue::from_str(&self.0).expect("the alphabet of base64url is visible ASCII");
        value.set_sensitive(true);
        value
    }
}

impl FromStr for Topic {
    type Err = TopicError;

    fn from_str(text: &str) -> Result<Self, TopicError> {
        Self::parse(text)
    }
}

impl fmt::Debug for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Topic([redacted])")
    }
}

/// The text is not a [`Topic`].
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a topic has 1 to 32 characters of base64url (letters, digits, - and _)")]
#[non_exhaustive]
pub struct TopicError;

/// What a topic is made from.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum TopicInput<'a> {
    /// The broadcast itself: a repeat of a message replaces the first one.
    Broadcast(&'a BroadcastId),
    /// The caller's collapse key.
    Collapse(&'a CollapseKey),
}

/// The secret that topics are made with, so that a push service cannot group subscriptions by
/// guessed names (H-10). Wiped when dropped; `Debug` shows nothing of it.
///
/// A [`VapidKey`] has one of its own, derived from it. A [`Signer`](super::Signer), whose key
/// cannot be read, brings one: random once, kept in a secret store, equal on all nodes. With
/// another one, messages stop replacing those that were sent before.
#[derive(Clone)]
pub struct TopicKey(Zeroizing<[u8; 32]>);

/// Its field erases itself.
impl ZeroizeOnDrop for TopicKey {}

impl TopicKey {
    /// A secret of 32 octets, from a good source of randomness.
    #[must_use]
    pub fn from_bytes(secret: [u8; 32]) -> Self {
        Self(Zeroizing::new(secret))
    }

    #[cfg(feature = "testing")]
    pub(crate) fn octets(&self) -> &[u8; 32] {
        &self.0
    }

    /// HKDF-SHA-256 (RFC 5869) of the private scalar without salt: equal on all nodes and after a
    /// restart, without configuration.
    pub(super) fn of(key: &VapidKey) -> Self {
        let extracted = Zeroizing::new(hmac(&[0; 32], &[key.scalar().as_slice()]));
        Self(Zeroizing::new(hmac(&extracted, &[b"webpush-channels topic", &[1]])))
    }

    /// 24 octets make 32 characters (H-9). The octet between keeps the two kinds apart.
    pub(crate) fn topic(&self, subscription: &SubscriptionId, input: TopicInput<'_>) -> Topic {
        let (kind, name) = match input {
            TopicInput::Collapse(key) => (0, key.as_str()),
            TopicInput::Broadcast(id) => (1, id.as_str()),
        };
        let hash = hmac(&self.0, &[subscription.as_bytes(), &[kind], name.as_bytes()]);
        Topic(base64url::encode(&hash[..24]).into())
    }
}

impl fmt::Debug for TopicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TopicKey([redacted])")
    }
}

fn hmac(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> TopicKey {
        let key = "ya-p2EW6dRZrXCFXZ7HWk05Qw9s26JsSe4piKxIPZyE";
        TopicKey::of(&VapidKey::from_base64url(key).unwrap())
    }

    #[test]
    fn a_topic_depends_on_key_subscription_kind_and_name() {
        let id = SubscriptionId::from_bytes([7; 32]);
        let other = SubscriptionId::from_bytes([8; 32]);
        let (inbox, news) = (CollapseKey::new("inbox").unwrap(), CollapseKey::new("news").unwrap());
        let broadcast = BroadcastId::new("inbox").unwrap();
        let topics = [
            key().topic(&id, TopicInput::Collapse(&inbox)),
            key().topic(&id, TopicInput::Collapse(&news)),
            key().topic(&id, TopicInput::Broadcast(&broadcast)),
            key().topic(&other, TopicInput::Collapse(&inbox)),
            TopicKey::of(&VapidKey::generate().unwrap()).topic(&id, TopicInput::Collapse(&inbox)),
        ];
        let distinct: std::collections::HashSet<_> = topics.iter().collect();
        assert_eq!(distinct.len(), topics.len());
        for topic in &topics {
            assert_eq!(topic.as_str().len(), 32);
            assert_eq!(Topic::parse(topic.as_str()).as_ref(), Ok(topic));
            assert_eq!(format!("{topic:?}"), "Topic([redacted])");
            assert!(topic.to_header_value().is_sensitive());
        }
        assert_eq!(topics[0], key().topic(&id, TopicInput::Collapse(&inbox)), "stable");
    }
}
