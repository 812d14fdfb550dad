//! What a store keeps of one subscription.

use std::sync::Arc;
use std::time::SystemTime;

use super::Version;
use crate::{KeyId, Subscription, SubscriptionId, UserId};

/// How payloads for a subscription are encrypted. A property of the subscription, not of the
/// message: a browser lists what it takes in `PushManager.supportedContentEncodings`.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Coding {
    /// RFC 8291, which every current browser takes.
    #[default]
    Aes128Gcm,
    /// The draft before it, for user agents of 2016 and 2017. Needs an encryptor that has it.
    AesGcm,
}

impl Coding {
    /// The name of the content coding, as in `supportedContentEncodings`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Aes128Gcm => "aes128gcm",
            Self::AesGcm => "aesgcm",
        }
    }

    /// The coding of this name, where it is one of these.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Aes128Gcm, Self::AesGcm].into_iter().find(|coding| coding.as_str() == name)
    }
}

/// A subscription to be stored, and whose it is.
///
/// ```
/// use webpush_channels::store::{Coding, NewEntry};
/// use webpush_channels::{Subscription, UserId};
/// # let subscription = Subscription::from_json(r#"{"endpoint": "https://push.example.net/p/x", "keys": {
/// #     "p256dh": "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",
/// #     "auth": "BTBZMqHH6r4Tts7J_aSIgg"}}"#)?;
///
/// let new = NewEntry::new(UserId::new("alice")?, subscription);
/// assert_eq!(new.key, None);
/// assert_eq!(new.coding, Coding::Aes128Gcm);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct NewEntry {
    /// Who owns it. From the authenticated session, never from the request's body (S-10).
    pub user: UserId,
    /// The subscription.
    pub subscription: Arc<Subscription>,
    /// The VAPID key that it was made with, where that is known. `toJSON()` does not carry it, so
    /// a page that sends only that leaves it unknown.
    pub key: Option<KeyId>,
    /// How its payloads are encrypted.
    pub coding: Coding,
}

impl NewEntry {
    /// A subscription of this user, in the usual coding, its VAPID key unknown.
    #[must_use]
    pub fn new(user: UserId, subscription: impl Into<Arc<Subscription>>) -> Self {
        Self { user, subscription: subscription.into(), key: None, coding: Coding::default() }
    }

    /// The same, made with this VAPID key.
    #[must_use]
    pub const fn with_key(mut self, key: KeyId) -> Self {
        self.key = Some(key);
        self
    }

    /// The same, with payloads encrypted in this way.
    #[must_use]
    pub const fn with_coding(mut self, coding: Coding) -> Self {
        self.coding = coding;
        self
    }

    /// The version that an entry with exactly these parts has.
    #[must_use]
    pub fn version(&self) -> Version {
        Version::of(&self.user, &self.subscription, self.key, self.coding)
    }
}

/// A stored subscription.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Entry {
    /// Who owns it.
    pub user: UserId,
    /// The subscription.
    pub subscription: Arc<Subscription>,
    /// The VAPID key that it is bound to, where that is known (V-13).
    pub key: Option<KeyId>,
    /// How its payloads are encrypted.
    pub coding: Coding,
    /// The most octets of request body that its push service took, where it refused more.
    pub payload_limit: Option<u16>,
    /// Whether no VAPID key of ours fits: nothing is sent until its client subscribes anew.
    pub needs_renewal: bool,
    /// When it was first stored for this user, to the second, by the store's clock. For people:
    /// nothing compares it.
    pub created: SystemTime,
    /// When it was last stored, to the second, by the store's clock. For people;
    /// [`unseen`](super::SubscriptionStore::unseen) is for programs.
    pub seen: SystemTime,
    /// Changes whenever user, endpoint, keys, VAPID key or coding do.
    pub version: Version,
}

impl Entry {
    /// An entry as a store builds it: without VAPID key, limit or mark, in the usual coding, last
    /// seen when it was created. The store then sets the public fields that differ.
    ///
    /// `version` is [`Version::of`] the entry's parts. A store keeps it beside the row: it is
    /// compared in every [`apply`](super::SubscriptionStore::apply).
    #[must_use]
    pub const fn new(
        user: UserId,
        subscription: Arc<Subscription>,
        version: Version,
        created: SystemTime,
    ) -> Self {
        Self {
            user,
            subscription,
            key: None,
            coding: Coding::Aes128Gcm,
            payload_limit: None,
            needs_renewal: false,
            created,
            seen: created,
            version,
        }
    }

    /// Names this entry in the state it was read in. Computes a hash of the endpoint.
    #[must_use]
    pub fn reference(&self) -> EntryRef {
        EntryRef { id: self.subscription.id(), version: self.version }
    }
}

/// Names an entry in one state: a change made by it does nothing once the entry is another
/// (R-50).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[allow(clippy::exhaustive_structs, reason = "an id and a version name a state, there is no third part")]
pub struct EntryRef {
    /// Which subscription.
    pub id: SubscriptionId,
    /// In which state.
    pub version: Version,
}
