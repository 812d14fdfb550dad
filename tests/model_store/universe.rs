//! A world so small that everybody is always in everybody's way.

use std::collections::HashMap;
use std::sync::LazyLock;

use webpush_channels::store::{Entry, EntryRef, NewEntry, Version};
use webpush_channels::{
    AuthSecret, ChannelName, KeyId, PublicKey, Subscription, SubscriptionId, SubscriptionKeys, UserId,
};

/// Those who take from each other.
pub(crate) const MOVERS: u8 = 4;
/// The movers, and after them those whose one entry stays all the time: each puts new keys and new
/// endpoints into its place, from a family of endpoints of its own.
pub(crate) const USERS: u8 = MOVERS + 2;
pub(crate) const CHANNELS: u8 = 2;
/// What the movers have in common.
pub(crate) const COMMON: u8 = 8;
/// The endpoints of one who stays.
pub(crate) const FAMILY: u8 = 4;
pub(crate) const ENDPOINTS: u8 = COMMON + FAMILY * (USERS - MOVERS);

static KEY: LazyLock<PublicKey> = LazyLock::new(|| PublicKey::from_base64url(P256DH).unwrap());
const P256DH: &str =
    "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4";

/// The first endpoint of one who stays.
pub(crate) const fn family_of(user: u8) -> u8 {
    COMMON + (user - MOVERS) * FAMILY
}

/// What is put, and what a change is decided on: everything that a version is made of.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) struct New {
    pub(crate) user: u8,
    pub(crate) endpoint: u8,
    /// 0 or 1.
    pub(crate) keys: u8,
    /// 0: unknown.
    pub(crate) vapid: u8,
}

pub(crate) fn user(number: u8) -> UserId {
    UserId::new(format!("user{number}")).unwrap()
}

pub(crate) fn channel(number: u8) -> ChannelName {
    ChannelName::new(format!("channel{number}")).unwrap()
}

pub(crate) fn vapid(number: u8) -> KeyId {
    KeyId::from_bytes([number; 16])
}

pub(crate) fn id(endpoint: u8) -> SubscriptionId {
    subscription(endpoint, 0).id()
}

fn subscription(endpoint: u8, keys: u8) -> Subscription {
    let endpoint = format!("https://push.example.net/p/{endpoint}").parse().unwrap();
    Subscription::new(endpoint, SubscriptionKeys::new(KEY.clone(), AuthSecret::from_bytes([keys; 16])))
}

impl New {
    pub(crate) fn entry(self) -> NewEntry {
        let new = NewEntry::new(user(self.user), subscription(self.endpoint, self.keys));
        if self.vapid == 0 { new } else { new.with_key(vapid(self.vapid)) }
    }

    pub(crate) fn reference(self) -> EntryRef {
        EntryRef { id: id(self.endpoint), version: self.entry().version() }
    }

    fn all() -> impl Iterator<Item = Self> {
        (0..USERS).flat_map(|user| {
            (0..ENDPOINTS).flat_map(move |endpoint| {
                (0..6).map(move |n| Self { user, endpoint, keys: n % 2, vapid: n / 2 })
            })
        })
    }

    /// What an entry of a store is. Its version says it, and its other parts must say the same.
    pub(crate) fn of(entry: &Entry) -> Result<Self, String> {
        static VERSIONS: LazyLock<HashMap<Version, New>> =
            LazyLock::new(|| New::all().map(|new| (new.entry().version(), new)).collect());
        let new = *VERSIONS.get(&entry.version).ok_or("an entry with a version that nothing has")?;
        let expected = new.entry();
        let same = (&entry.user, &entry.subscription, entry.key, entry.coding)
            == (&expected.user, &expected.subscription, expected.key, expected.coding);
        if same { Ok(new) } else { Err(format!("an entry has the version of {new:?} and other parts")) }
    }
}
