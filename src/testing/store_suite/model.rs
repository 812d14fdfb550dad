//! Random operations on a store, and on a plain model that says what must come of them.

mod naive;

use std::collections::BTreeSet;
use std::time::Duration;

use self::naive::{Model, Pair};
use super::kit::*;
use super::unseen;
use crate::store::{Audience, Change, Count, Entry, EntryRef, NewEntry, SubscriptionStore};

const USERS: u32 = 5;
const CHANNELS: u32 = 2;
const ENDPOINTS: u32 = 16;
const STEPS: u32 = 600;

/// A long random history, with scans going on all the while, is that of the model.
pub async fn agrees_with_a_model(store: &dyn SubscriptionStore) {
    agrees_with_a_model_for(store, 1).await;
}

/// The same with another history.
pub async fn agrees_with_a_model_for(store: &dyn SubscriptionStore, seed: u64) {
    let mut run =
        Run { store, model: Model::default(), random: Random::new(seed), scan: None, stale: Vec::new() };
    for _ in 0..STEPS {
        run.step().await;
    }
    run.compare().await;
}

/// A small generator: the same history for the same seed, everywhere.
pub(in crate::testing) struct Random(u64);

impl Random {
    pub(in crate::testing) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(in crate::testing) fn below(&mut self, end: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        u32::try_from((self.0 >> 16) % u64::from(end)).expect("it is below a u32")
    }
}

struct Run<'a> {
    store: &'a dyn SubscriptionStore,
    model: Model,
    random: Random,
    scan: Option<Watched<'a>>,
    /// References to entries as they once were.
    stale: Vec<EntryRef>,
}

/// A scan, and what was there when its range was made.
struct Watched<'a> {
    scan: Scan<'a>,
    channel: u32,
    at_split: BTreeSet<Pair>,
    yielded: Vec<u64>,
}

fn owner(user: u32) -> String {
    format!("user{user}")
}

fn room(channel: u32) -> String {
    format!("channel{channel}")
}

impl Run<'_> {
    async fn step(&mut self) {
        let who = self.random.below(USERS);
        match self.random.below(20) {
            0..6 => self.put(who).await,
            6..9 => self.replace(who).await,
            9..12 => self.apply(who).await,
            12..14 => self.join(who).await,
            14 => self.leave(who).await,
            15 if self.random.below(6) == 0 => self.remove_channel().await,
            16 if self.random.below(6) == 0 => self.forget(who).await,
            _ => self.page().await,
        }
        self.compare_user(who).await;
    }

    fn some_entry(&mut self, who: u32) -> (NewEntry, u32, u8, Option<u8>) {
        let endpoint = self.random.below(ENDPOINTS);
        let keys = u8::from(self.random.below(4) == 0);
        let vapid = [None, None, Some(1), Some(2)][self.random.below(4) as usize];
        let mut entry = new_with_keys(&owner(who), endpoint, keys);
        entry.key = vapid.map(key);
        (entry, endpoint, keys, vapid)
    }

    async fn put(&mut self, who: u32) {
        let (entry, endpoint, keys, vapid) = self.some_entry(who);
        let expected = self.model.put(who, endpoint, keys, vapid);
        assert_eq!(put(self.store, entry).await, expected);
    }

    async fn replace(&mut self, who: u32) {
        let former = self.model.former(who);
        let old = match self.random.below(2) {
            0 if !former.is_empty() => {
                former[self.random.below(u32::try_from(former.len()).expect("few")) as usize]
            }
            _ => self.random.below(ENDPOINTS),
        };
        let (entry, endpoint, keys, vapid) = self.some_entry(who);
        if let Some(expected) = self.model.replace(who, old, endpoint, keys, vapid) {
            let id = subscription(old, 0).id();
            let put = self.store.replace(&entry.user, &id, &entry).await.expect("replace");
            assert_eq!(put, expected, "user {who} replaces {old} by {endpoint}");
        }
    }

    async fn apply(&mut self, who: u32) {
        let entries = list(self.store, &owner(who)).await;
        let mut targets: Vec<EntryRef> = entries.iter().map(Entry::reference).collect();
        self.stale.extend(&targets);
        targets.push(self.stale_reference());
        let to = targets[self.random.below(u32::try_from(targets.len()).expect("few")) as usize];
        let number = u8::try_from(self.random.below(3)).expect("small");
        let change = match self.random.below(4) {
            0 => Change::Remove,
            1 => Change::LimitPayload(number.into()),
            2 => Change::NeedsRenewal,
            _ => Change::UseKey(key(number)),
        };
        let expected = self.model.apply(&to, change);
        assert_eq!(apply_one(self.store, to, change).await, expected, "{change:?}");
    }

    fn stale_reference(&mut self) -> EntryRef {
        match u32::try_from(self.stale.len()).expect("few") {
            0 => EntryRef { id: subscription(999, 0).id(), version: new("x", 999).version() },
            len => self.stale[self.random.below(len) as usize],
        }
    }

    async fn join(&mut self, who: u32) {
        let channel = self.random.below(CHANNELS);
        self.model.join(channel, who);
        join(self.store, &room(channel), &[&owner(who)]).await;
    }

    async fn leave(&mut self, who: u32) {
        let channel = self.random.below(CHANNELS);
        self.model.members.remove(&(channel, who));
        leave(self.store, &room(channel), &[&owner(who)]).await;
    }

    async fn remove_channel(&mut self) {
        let gone = self.random.below(CHANNELS);
        self.model.members.retain(|(channel, _), _| *channel != gone);
        self.store.remove_channel(&channel(&room(gone))).await.expect("remove_channel");
    }

    async fn forget(&mut self, who: u32) {
        self.model.forget(who);
        self.store.forget(&user(&owner(who))).await.expect("forget");
    }

    /// Reads one page of the scan that is open, or opens one.
    async fn page(&mut self) {
        let Some(mut watched) = self.scan.take() else {
            let channel = self.random.below(CHANNELS);
            let size = u16::try_from(self.random.below(4) + 1).expect("small");
            let scan = Scan::new(self.store, &members(&room(channel)), size).await;
            let at_split = self.model.pairs(channel);
            self.scan = Some(Watched { scan, channel, at_split, yielded: Vec::new() });
            return;
        };
        let before = watched.scan.read.len();
        if watched.scan.page().await {
            for entry in &watched.scan.read[before..] {
                let row = self.model.check(entry);
                assert!(self.model.members.contains_key(&(watched.channel, row.user)), "a member");
                watched.yielded.push(row.uid);
            }
            self.scan = Some(watched);
            return;
        }
        let distinct: BTreeSet<u64> = watched.yielded.iter().copied().collect();
        assert_eq!(distinct.len(), watched.yielded.len(), "no entry comes twice");
        let rows: BTreeSet<u64> = watched.at_split.iter().map(|pair| pair.row).collect();
        assert!(distinct.is_subset(&rows), "nothing comes that was not there at the split");
        // Numbers are never used again: what was there and is there was there throughout.
        let throughout = self.model.pairs(watched.channel);
        let mut throughout = throughout.intersection(&watched.at_split);
        assert!(throughout.all(|pair| distinct.contains(&pair.row)), "what stays is read");
    }

    async fn compare_user(&self, who: u32) {
        let entries = list(self.store, &owner(who)).await;
        for entry in &entries {
            self.model.check(entry);
        }
        assert_eq!(sorted(&entries), self.model.endpoints(|row| row.user == who));
    }

    async fn compare(&self) {
        for who in 0..USERS {
            self.compare_user(who).await;
            let count = self.store.count(&Audience::User(user(&owner(who)))).await.expect("count");
            assert_eq!(count.subscriptions, self.model.endpoints(|row| row.user == who).len() as u64);
        }
        for channel in 0..CHANNELS {
            let to = members(&room(channel));
            let there = |user| self.model.members.contains_key(&(channel, user));
            let expected = self.model.endpoints(|row| there(row.user));
            assert_eq!(sorted(&scan(self.store, &to, 3).await), expected);
            let Count { subscriptions, .. } = self.store.count(&to).await.expect("count");
            assert_eq!(subscriptions, expected.len() as u64);
        }
        let page = self.store.needing_renewal(None, limit(100)).await.expect("needing_renewal");
        assert_eq!(sorted(&page.entries), self.model.endpoints(|row| row.renewal));
        let everything = unseen::read(self.store, Duration::ZERO, 3).await;
        assert_eq!(unseen::endpoints(&everything), self.model.endpoints(|_| true));
    }
}
