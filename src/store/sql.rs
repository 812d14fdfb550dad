//! What the stores in databases share: how entries and broadcasts are written as columns.
//!
//! Both have the same tables and the same numbers in them; only the dialect differs. What is read
//! from a database may be damaged: it is parsed as what strangers send is.

mod tallies;

use std::num::{NonZeroU16, NonZeroU32};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

pub(in crate::store) use self::tallies::{
    counts_from_json, counts_to_json, label_from_text, outcome_from_text,
};
use super::journal::{Control, NewBroadcast};
use super::{Audience, Coding, Entry, Version};
use crate::clock::unix_seconds;
use crate::{
    AuthSecret, BroadcastId, ChannelName, CollapseKey, KeyId, Message, Padding, Payload, PublicKey,
    Subscription, SubscriptionKeys, Ttl, UserId,
};

/// The version of the tables that this crate makes.
pub(in crate::store) const SCHEMA: i64 = 2;

/// A column holds what no store of this crate wrote.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the column {column} of a row of {table} is damaged: restore the row from a backup, or delete it")]
pub(in crate::store) struct Damaged {
    pub(in crate::store) table: &'static str,
    pub(in crate::store) column: &'static str,
}

impl Damaged {
    pub(in crate::store) const fn new(table: &'static str, column: &'static str) -> Self {
        Self { table, column }
    }
}

/// A row of `subscriptions`, with its owner's name.
#[derive(Clone)]
pub(in crate::store) struct EntryColumns {
    pub(in crate::store) user: String,
    pub(in crate::store) endpoint: String,
    /// 65 octets.
    pub(in crate::store) p256dh: Vec<u8>,
    /// 16 octets.
    pub(in crate::store) auth: Vec<u8>,
    /// 16 octets.
    pub(in crate::store) key: Option<Vec<u8>>,
    pub(in crate::store) coding: i16,
    pub(in crate::store) payload_limit: Option<i32>,
    pub(in crate::store) needs_renewal: bool,
    /// `expirationTime`, in milliseconds since 1970.
    pub(in crate::store) expires: Option<i64>,
    /// Seconds since 1970.
    pub(in crate::store) created: i64,
    /// Seconds since 1970.
    pub(in crate::store) seen: i64,
    /// 16 octets.
    pub(in crate::store) version: Vec<u8>,
}

impl EntryColumns {
    pub(in crate::store) fn of(entry: &Entry) -> Self {
        let subscription = &entry.subscription;
        let expires = subscription.expiration_time().map(|at| {
            let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
        });
        Self {
            user: entry.user.as_str().to_owned(),
            endpoint: subscription.endpoint().as_str().to_owned(),
            p256dh: subscription.keys().p256dh().as_bytes().to_vec(),
            auth: subscription.keys().auth().as_bytes().to_vec(),
            key: entry.key.map(|key| key.as_bytes().to_vec()),
            coding: match entry.coding {
                Coding::Aes128Gcm => 0,
                Coding::AesGcm => 1,
            },
            payload_limit: entry.payload_limit.map(i32::from),
            needs_renewal: entry.needs_renewal,
            expires,
            created: seconds(entry.created),
            seen: seconds(entry.seen),
            version: entry.version.as_bytes().to_vec(),
        }
    }

    pub(in crate::store) fn entry(self) -> Result<Entry, Damaged> {
        let damaged = |column| move || Damaged::new("subscriptions", column);
        let user = UserId::new(&self.user).ok().ok_or_else(damaged("user"))?;
        let endpoint = self.endpoint.parse().ok().ok_or_else(damaged("endpoint"))?;
        let p256dh = PublicKey::from_bytes(&self.p256dh).ok().ok_or_else(damaged("p256dh"))?;
        let auth = self.auth.try_into().ok().ok_or_else(damaged("auth"))?;
        let keys = SubscriptionKeys::new(p256dh, AuthSecret::from_bytes(auth));
        let expires = self.expires.map(|at| Duration::from_millis(u64::try_from(at).unwrap_or_default()));
        let subscription = Subscription::new(endpoint, keys)
            .with_expiration_time(expires.map(|since| SystemTime::UNIX_EPOCH + since));
        let version = self.version.try_into().ok().ok_or_else(damaged("version"))?;
        let created = instant(self.created);
        let mut entry = Entry::new(user, Arc::new(subscription), Version::from_bytes(version), created);
        let key = self.key.map(|key| key.try_into().ok().ok_or_else(damaged("key"))).transpose()?;
        entry.key = key.map(KeyId::from_bytes);
        entry.coding = match self.coding {
            0 => Coding::Aes128Gcm,
            1 => Coding::AesGcm,
            _ => return Err(Damaged::new("subscriptions", "coding")),
        };
        let limit = self.payload_limit.map(|limit| u16::try_from(limit).ok());
        entry.payload_limit = limit.map(|limit| limit.ok_or_else(damaged("payload_limit"))).transpose()?;
        entry.needs_renewal = self.needs_renewal;
        entry.seen = instant(self.seen);
        Ok(entry)
    }
}

/// A row of `broadcasts`: what was published.
#[derive(Clone)]
pub(in crate::store) struct BroadcastColumns {
    pub(in crate::store) id: String,
    /// 0: a channel; 1: a user.
    pub(in crate::store) audience_kind: i16,
    pub(in crate::store) audience: String,
    pub(in crate::store) payload: Vec<u8>,
    pub(in crate::store) fallback: Option<Vec<u8>>,
    pub(in crate::store) ttl: i64,
    pub(in crate::store) urgency: String,
    pub(in crate::store) collapse_key: Option<String>,
    /// 0: none; 1: fixed; 2: multiples.
    pub(in crate::store) padding_kind: i16,
    pub(in crate::store) padding: i32,
    /// Milliseconds; `i64::MAX` for no limit.
    pub(in crate::store) send_within: i64,
}

impl BroadcastColumns {
    pub(in crate::store) fn of(broadcast: &NewBroadcast) -> Self {
        let message = &broadcast.message;
        let (audience_kind, audience) = audience_columns(&broadcast.audience);
        let (padding_kind, padding) = match message.padding() {
            Padding::None => (0, 0),
            Padding::Fixed(size) => (1, size),
            Padding::MultipleOf(size) => (2, size.get()),
        };
        Self {
            id: broadcast.id.as_str().to_owned(),
            audience_kind,
            audience: audience.to_owned(),
            payload: message.payload().as_bytes().to_vec(),
            fallback: message.fallback().map(|fallback| fallback.as_bytes().to_vec()),
            ttl: i64::from(message.ttl().as_secs()),
            urgency: message.urgency().as_str().to_owned(),
            collapse_key: message.collapse_key().map(|key| key.as_str().to_owned()),
            padding_kind,
            padding: i32::from(padding),
            send_within: millis(broadcast.send_within),
        }
    }

    pub(in crate::store) fn broadcast(self) -> Result<NewBroadcast, Damaged> {
        let damaged = |column| move || Damaged::new("broadcasts", column);
        let id = BroadcastId::new(&self.id).ok().ok_or_else(damaged("id"))?;
        let audience = audience(self.audience_kind, &self.audience)?;
        let payload = Payload::new(self.payload).ok().ok_or_else(damaged("payload"))?;
        let ttl = u32::try_from(self.ttl).ok().ok_or_else(damaged("ttl"))?;
        let size = u16::try_from(self.padding).ok().ok_or_else(damaged("padding"))?;
        let padding = match (self.padding_kind, NonZeroU16::new(size)) {
            (0, _) => Padding::None,
            (1, _) => Padding::Fixed(size),
            (2, Some(size)) => Padding::MultipleOf(size),
            _ => return Err(Damaged::new("broadcasts", "padding")),
        };
        let mut message = Message::new(payload, Ttl::from_secs(ttl))
            .with_urgency(self.urgency.parse().ok().ok_or_else(damaged("urgency"))?)
            .with_padding(padding);
        if let Some(key) = self.collapse_key {
            message =
                message.with_collapse_key(CollapseKey::new(&key).ok().ok_or_else(damaged("collapse_key"))?);
        }
        if let Some(fallback) = self.fallback {
            message = message.with_fallback(Payload::new(fallback).ok().ok_or_else(damaged("fallback"))?);
        }
        let send_within = match u64::try_from(self.send_within).ok().ok_or_else(damaged("send_within"))? {
            NO_LIMIT => Duration::MAX,
            limit => Duration::from_millis(limit),
        };
        Ok(NewBroadcast::new(id, audience, message, send_within))
    }
}

const NO_LIMIT: u64 = i64::MAX.cast_unsigned();

/// How an audience is written.
pub(in crate::store) fn audience_columns(audience: &Audience) -> (i16, &str) {
    match audience {
        Audience::Channel(name) => (0, name.as_str()),
        Audience::User(name) => (1, name.as_str()),
    }
}

/// Reads an audience.
pub(in crate::store) fn audience(kind: i16, name: &str) -> Result<Audience, Damaged> {
    let audience = match kind {
        0 => ChannelName::new(name).ok().map(Audience::Channel),
        1 => UserId::new(name).ok().map(Audience::User),
        _ => None,
    };
    audience.ok_or(Damaged::new("broadcasts", "audience"))
}

/// A duration in a column.
pub(in crate::store) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// How fast a broadcast may go, all its leases together.
pub(in crate::store) fn control(paused: bool, per_minute: Option<i64>) -> Result<Control, Damaged> {
    let limit = |column: i64| u32::try_from(column).ok().and_then(NonZeroU32::new);
    let damaged = Damaged::new("broadcasts", "per_minute");
    let per_minute = per_minute.map(|column| limit(column).ok_or(damaged)).transpose()?;
    Ok(Control { paused, per_minute })
}

/// Retries come back at these steps of the storage's clock, in milliseconds, whoever deferred them, so
/// that they are leased as batches and not one by one.
#[cfg(any(feature = "sqlite", test))]
pub(in crate::store) const STEP: i64 = 250;

/// When a retry is due that waits for so long. What does not wait is due at once.
#[cfg(feature = "sqlite")]
pub(in crate::store) fn due_at(now: i64, after: Duration) -> i64 {
    if after.is_zero() {
        return now;
    }
    (now.saturating_add(millis(after)).saturating_add(STEP - 1) / STEP).saturating_mul(STEP)
}

fn seconds(at: SystemTime) -> i64 {
    i64::try_from(unix_seconds(at)).unwrap_or(i64::MAX)
}

fn instant(seconds: i64) -> SystemTime {
    since_1970(Duration::from_secs(u64::try_from(seconds).unwrap_or_default()))
}

/// When a broadcast began, from its column.
pub(in crate::store) fn created(millis: i64) -> SystemTime {
    since_1970(Duration::from_millis(u64::try_from(millis).unwrap_or_default()))
}

/// For people: a damaged one is 1970.
fn since_1970(since: Duration) -> SystemTime {
    SystemTime::UNIX_EPOCH.checked_add(since).unwrap_or(SystemTime::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Urgency;
    use crate::store::NewEntry;

    const P256DH: &str =
        "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4";

    fn entry() -> Entry {
        let key = PublicKey::from_base64url(P256DH).unwrap();
        let keys = SubscriptionKeys::new(key, AuthSecret::from_bytes([7; 16]));
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let subscription = Subscription::new("https://push.example.net/p".parse().unwrap(), keys)
            .with_expiration_time(Some(at));
        let new = NewEntry::new(UserId::new("alice").unwrap(), subscription)
            .with_key(KeyId::from_bytes([1; 16]))
            .with_coding(Coding::AesGcm);
        let mut entry = Entry::first(&new, at);
        entry.payload_limit = Some(3000);
        entry.needs_renewal = true;
        entry
    }

    #[test]
    fn an_entry_survives_its_columns() {
        let entry = entry();
        let read = EntryColumns::of(&entry).entry().unwrap();
        assert_eq!((&read.user, read.version, read.key), (&entry.user, entry.version, entry.key));
        assert_eq!(read.subscription, entry.subscription);
        assert_eq!((read.coding, read.payload_limit), (entry.coding, entry.payload_limit));
        assert_eq!((read.needs_renewal, read.created, read.seen), (true, entry.created, entry.seen));
    }

    #[test]
    fn a_damaged_entry_names_its_column() {
        let whole = EntryColumns::of(&entry());
        let column = |damage: &dyn Fn(&mut EntryColumns)| {
            let mut columns = whole.clone();
            damage(&mut columns);
            columns.entry().unwrap_err().column
        };
        assert_eq!(column(&|c| c.user.clear()), "user");
        assert_eq!(column(&|c| c.endpoint = "x".into()), "endpoint");
        assert_eq!(column(&|c| c.p256dh[0] = 2), "p256dh");
        assert_eq!(column(&|c| c.auth.truncate(3)), "auth");
        assert_eq!(column(&|c| c.key = Some(vec![])), "key");
        assert_eq!(column(&|c| c.coding = 9), "coding");
        assert_eq!(column(&|c| c.payload_limit = Some(-1)), "payload_limit");
        assert_eq!(column(&|c| c.version.clear()), "version");
    }

    #[test]
    fn a_broadcast_survives_its_columns() {
        let key = CollapseKey::new("inbox").unwrap();
        for (padding, within) in [
            (Padding::None, Duration::MAX),
            (Padding::Fixed(3000), Duration::from_secs(5)),
            (Padding::default(), Duration::ZERO),
        ] {
            let message = Message::new(Payload::new("hello").unwrap(), Ttl::hours(1))
                .with_urgency(Urgency::High)
                .with_padding(padding)
                .with_collapse_key(key.clone());
            let to = Audience::Channel(ChannelName::new("news").unwrap());
            let new = NewBroadcast::new(BroadcastId::new("b").unwrap(), to, message, within);
            let read = BroadcastColumns::of(&new).broadcast().unwrap();
            assert_eq!((&read.id, read.fingerprint()), (&new.id, new.fingerprint()));
            let mut columns = BroadcastColumns::of(&new);
            columns.padding_kind = 7;
            assert_eq!(columns.clone().broadcast().unwrap_err().column, "padding");
            columns.padding_kind = 0;
            columns.fallback = Some(vec![0; 5000]);
            assert_eq!(columns.broadcast().unwrap_err().column, "fallback");
        }
    }
}
