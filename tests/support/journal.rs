//! What the tests of journals put into them.

#![allow(dead_code, unreachable_pub, clippy::unwrap_used, reason = "a part of the tests that use it")]

use std::num::NonZeroU16;
use std::time::Duration;

use webpush_channels::store::journal::{Checkpoint, Deferred, NewBroadcast, RetryId, Tried, WorkerId};
use webpush_channels::store::{Audience, EntryRef, NewEntry};
use webpush_channels::{
    AuthSecret, BroadcastId, ChannelName, Message, OriginLabel, Payload, PublicKey, Subscription,
    SubscriptionKeys, Ttl, UserId, Vendor,
};

pub const P256DH: &str =
    "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4";
pub const TERM: Duration = Duration::from_secs(30);
pub const HOUR: Duration = Duration::from_secs(3600);
pub const BATCH: NonZeroU16 = NonZeroU16::new(100).unwrap();
pub const ONE: NonZeroU16 = NonZeroU16::MIN;
pub const FCM: OriginLabel = OriginLabel::Vendor(Vendor::Fcm);

pub fn id(name: &str) -> BroadcastId {
    BroadcastId::new(name).unwrap()
}

pub fn user(name: &str) -> UserId {
    UserId::new(name).unwrap()
}

pub fn news() -> ChannelName {
    ChannelName::new("news").unwrap()
}

pub fn broadcast(name: &str) -> NewBroadcast {
    let message = Message::new(Payload::new("goal!").unwrap(), Ttl::hours(1));
    NewBroadcast::new(id(name), Audience::Channel(news()), message, HOUR)
}

pub fn entry(owner: &str, endpoint: u32) -> NewEntry {
    let keys =
        SubscriptionKeys::new(PublicKey::from_base64url(P256DH).unwrap(), AuthSecret::from_bytes([1; 16]));
    let endpoint = format!("https://push.example.net/p/{endpoint}").parse().unwrap();
    NewEntry::new(user(owner), Subscription::new(endpoint, keys))
}

/// A reference to an entry of this number, stored or not.
pub fn reference(owner: &str, endpoint: u32) -> EntryRef {
    let new = entry(owner, endpoint);
    EntryRef { id: new.subscription.id(), version: new.version() }
}

pub fn retry(number: u64) -> RetryId {
    RetryId::of(&WorkerId::from_bytes([0; 16]), number)
}

pub fn deferred(number: u64, attempts: u8, after: Duration) -> Deferred {
    let tried = Tried::new(attempts, attempts, false);
    Deferred::new(retry(number), user("ann"), reference("ann", 1), FCM, tried, after, HOUR)
}

/// A checkpoint that ends what was leased.
pub fn done(number: u64) -> Checkpoint {
    let mut last = Checkpoint::new(number, TERM);
    last.done = true;
    last
}
