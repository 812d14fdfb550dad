//! What the cases are made of.

use std::num::NonZeroU16;
use std::sync::LazyLock;

use crate::store::{
    Audience, Change, Entry, EntryRef, NewEntry, Position, Put, Range, SubscriptionStore, Version,
};
use crate::{AuthSecret, ChannelName, KeyId, PublicKey, Subscription, SubscriptionKeys, UserId};

/// A scan with more pages than this has no end.
pub(super) const MOST_PAGES: usize = 100_000;

static PUBLIC_KEY: LazyLock<PublicKey> = LazyLock::new(|| {
    let text = "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4";
    PublicKey::from_base64url(text).expect("the text is a point")
});

pub(in crate::testing) fn user(name: &str) -> UserId {
    UserId::new(name).expect("the name is valid")
}

pub(in crate::testing) fn channel(name: &str) -> ChannelName {
    ChannelName::new(name).expect("the name is valid")
}

pub(in crate::testing) fn members(name: &str) -> Audience {
    Audience::Channel(channel(name))
}

pub(in crate::testing) fn key(number: u8) -> KeyId {
    KeyId::from_bytes([number; 16])
}

pub(super) fn limit(limit: u16) -> NonZeroU16 {
    NonZeroU16::new(limit).expect("limits are not zero")
}

/// A subscription, its endpoint and its keys told apart by numbers.
pub(in crate::testing) fn subscription(endpoint: u32, keys: u8) -> Subscription {
    let endpoint = format!("https://push.example.net/p/{endpoint}").parse().expect("the endpoint is valid");
    let keys = SubscriptionKeys::new(PUBLIC_KEY.clone(), AuthSecret::from_bytes([keys; 16]));
    Subscription::new(endpoint, keys)
}

pub(in crate::testing) fn new(owner: &str, endpoint: u32) -> NewEntry {
    NewEntry::new(user(owner), subscription(endpoint, 0))
}

pub(in crate::testing) fn new_with_keys(owner: &str, endpoint: u32, keys: u8) -> NewEntry {
    NewEntry::new(user(owner), subscription(endpoint, keys))
}

/// The endpoint's number.
pub(in crate::testing) fn number(entry: &Entry) -> u32 {
    let text = entry.subscription.endpoint().as_str();
    let (_, number) = text.rsplit_once('/').expect("the endpoint has a path");
    number.parse().expect("the path ends with a number")
}

pub(in crate::testing) fn numbers(entries: &[Entry]) -> Vec<u32> {
    entries.iter().map(number).collect()
}

pub(in crate::testing) fn sorted(entries: &[Entry]) -> Vec<u32> {
    let mut numbers = numbers(entries);
    numbers.sort_unstable();
    numbers
}

pub(super) async fn put(store: &dyn SubscriptionStore, new: NewEntry) -> Put {
    let puts = store.put(&[new]).await.expect("put");
    assert_eq!(puts.len(), 1, "one result for each entry");
    puts[0]
}

/// The subscriptions of a user, each checked to be consistent in itself.
pub(super) async fn list(store: &dyn SubscriptionStore, owner: &str) -> Vec<Entry> {
    let entries = store.subscriptions(&user(owner)).await.expect("subscriptions");
    entries.iter().for_each(check);
    assert!(entries.iter().all(|entry| entry.user == user(owner)), "only the user's own");
    entries
}

/// The one subscription that a user has.
pub(super) async fn only(store: &dyn SubscriptionStore, owner: &str) -> Entry {
    let mut entries = list(store, owner).await;
    assert_eq!(entries.len(), 1, "the user has one subscription");
    entries.remove(0)
}

/// Puts one and reads it back.
pub(super) async fn stored(store: &dyn SubscriptionStore, new: NewEntry) -> Entry {
    let owner = new.user.clone();
    put(store, new).await;
    only(store, owner.as_str()).await
}

pub(super) async fn apply_one(store: &dyn SubscriptionStore, to: EntryRef, change: Change) -> bool {
    let done = store.apply(&[(to, change)]).await.expect("apply");
    assert_eq!(done.len(), 1, "one result for each change");
    done[0]
}

pub(in crate::testing) async fn join(store: &dyn SubscriptionStore, name: &str, users: &[&str]) {
    let users: Vec<UserId> = users.iter().map(|name| user(name)).collect();
    store.join(&channel(name), &users).await.expect("join");
}

pub(super) async fn leave(store: &dyn SubscriptionStore, name: &str, users: &[&str]) {
    let users: Vec<UserId> = users.iter().map(|name| user(name)).collect();
    store.leave(&channel(name), &users).await.expect("leave");
}

/// What must hold of every entry.
fn check(entry: &Entry) {
    let version = Version::of(&entry.user, &entry.subscription, entry.key, entry.coding);
    assert_eq!(entry.version, version, "the version is `Version::of` the entry's parts");
    assert!(entry.created <= entry.seen, "an entry is seen when it is created, or later");
}

/// Whether two entries are equal in all but when they were seen.
pub(super) fn assert_unchanged(before: &Entry, after: &Entry) {
    assert_eq!(before.user, after.user);
    assert_eq!(before.subscription, after.subscription);
    assert_eq!(before.key, after.key);
    assert_eq!(before.coding, after.coding);
    assert_eq!(before.payload_limit, after.payload_limit);
    assert_eq!(before.needs_renewal, after.needs_renewal);
    assert_eq!(before.created, after.created);
    assert_eq!(before.version, after.version);
    assert!(after.seen >= before.seen);
}

/// Several users, each with several subscriptions: user `u{i}` has the endpoints `10 i` to
/// `10 i + count - 1`; all are members of `news`.
pub(super) async fn populate(store: &dyn SubscriptionStore, users: u32, count: u32) -> Vec<u32> {
    let mut all = Vec::new();
    for owner in 0..users {
        let name = format!("u{owner}");
        let entries: Vec<NewEntry> = (0..count).map(|i| new(&name, 10 * owner + i)).collect();
        let puts = store.put(&entries).await.expect("put");
        assert!(puts.iter().all(|put| *put == Put::New));
        join(store, "news", &[&name]).await;
        all.extend((0..count).map(|i| 10 * owner + i));
    }
    all
}

pub(super) async fn split(store: &dyn SubscriptionStore, to: &Audience, parts: u16) -> Vec<Range> {
    let ranges = store.split(to, limit(parts)).await.expect("split");
    assert!(!ranges.is_empty() && ranges.len() <= usize::from(parts), "one to {parts} ranges");
    ranges
}

/// A scan of one range, page by page.
pub(super) struct Scan<'a> {
    store: &'a dyn SubscriptionStore,
    to: Audience,
    range: Range,
    after: Option<Position>,
    limit: NonZeroU16,
    pages: usize,
    ended: bool,
    pub(super) read: Vec<Entry>,
}

impl<'a> Scan<'a> {
    pub(super) async fn new(store: &'a dyn SubscriptionStore, to: &Audience, page: u16) -> Self {
        let ranges = split(store, to, 1).await;
        Self::of(store, to, ranges[0], page)
    }

    pub(super) fn of(store: &'a dyn SubscriptionStore, to: &Audience, range: Range, page: u16) -> Self {
        let to = to.clone();
        Self { store, to, range, after: None, limit: limit(page), pages: 0, ended: false, read: Vec::new() }
    }

    /// Reads a page; false when there is no more.
    pub(super) async fn page(&mut self) -> bool {
        if self.ended {
            return false;
        }
        let page =
            self.store.page(&self.to, &self.range, self.after.as_ref(), self.limit).await.expect("page");
        assert!(page.entries.len() <= usize::from(self.limit.get()), "a page has at most `limit` entries");
        page.entries.iter().for_each(check);
        self.read.extend(page.entries);
        self.pages += 1;
        assert!(self.pages < MOST_PAGES, "a scan ends");
        self.after = page.next;
        self.ended = self.after.is_none();
        true
    }

    /// Reads pages until there are this many entries.
    pub(super) async fn until(&mut self, entries: usize) {
        while self.read.len() < entries && self.page().await {}
        assert!(self.read.len() >= entries, "the scan has {entries} entries");
    }

    /// Reads the rest.
    pub(super) async fn rest(mut self) -> Vec<Entry> {
        while self.page().await {}
        self.read
    }

    /// Writes range and position to octets and reads them back.
    pub(super) fn through_octets(&mut self) {
        self.range = Range::from_bytes(self.range.as_bytes()).expect("a range survives as octets");
        self.after = self
            .after
            .map(|after| Position::from_bytes(after.as_bytes()).expect("a position survives as octets"));
    }
}

/// All of an audience, in pages of this size.
pub(in crate::testing) async fn scan(store: &dyn SubscriptionStore, to: &Audience, page: u16) -> Vec<Entry> {
    Scan::new(store, to, page).await.rest().await
}
