//! A store of one's own, over ordered maps in the shape of a database's tables.
//! `tests/custom_store.rs` runs the conformance suite over it.

use std::collections::BTreeMap;
use std::num::NonZeroU16;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use webpush_channels::store::{
    Audience, Change, Entry, EntryRef, NewEntry, Page, Position, Put, Range, StoreError, StoreErrorKind,
    SubscriptionStore, UnseenPage,
};
use webpush_channels::{ChannelName, Clock, Subscription, SubscriptionId, SystemClock, UserId};

/// A user's number, then the subscription's: the primary key, hence the order of scans.
type Place = (u64, u64);

const TAG: [u8; 8] = *b"mapstore";

/// Subscriptions and memberships in ordered maps.
#[allow(unreachable_pub, reason = "in an application it would be public")]
#[derive(Debug, Default)]
pub struct MapStore(Mutex<Tables>);

#[derive(Debug, Default)]
struct Tables {
    rows: BTreeMap<Place, Entry>,
    /// Also the ids that rows had before they were replaced.
    ids: BTreeMap<SubscriptionId, Place>,
    users: BTreeMap<UserId, u64>,
    /// When a user joined a channel.
    members: BTreeMap<(ChannelName, u64), u64>,
    /// Numbers users, subscriptions and moments; none is used twice.
    clock: u64,
}

impl Tables {
    fn tick(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }

    fn user(&mut self, name: &UserId) -> u64 {
        let fresh = self.tick();
        *self.users.entry(name.clone()).or_insert(fresh)
    }

    fn find(&self, id: &SubscriptionId) -> Option<Place> {
        self.ids.get(id).copied().filter(|place| self.rows[place].subscription.id() == *id)
    }

    fn insert(&mut self, place: Place, entry: Entry) {
        self.ids.insert(entry.subscription.id(), place);
        self.rows.insert(place, entry);
    }

    fn remove(&mut self, place: Place) {
        self.rows.remove(&place);
        self.ids.retain(|_, row| *row != place);
    }

    fn put(&mut self, new: &NewEntry) -> Put {
        let (now, fresh) = (SystemClock::new().now(), (self.user(&new.user), self.tick()));
        let Some(place) = self.find(&new.subscription.id()) else {
            self.insert(fresh, Entry::first(new, now));
            return Put::New;
        };
        let (entry, put) = self.rows[&place].put(new, now);
        if put == Put::Moved {
            self.remove(place);
        }
        self.insert(if put == Put::Moved { fresh } else { place }, entry);
        put
    }

    fn replace(&mut self, old: &SubscriptionId, new: &NewEntry) -> Put {
        let (id, user) = (new.subscription.id(), self.user(&new.user));
        let place = self.ids.get(old).copied().filter(|(owner, _)| *owner == user && *old != id);
        let Some(place) = place else { return self.put(new) };
        let taken = self.find(&id);
        match taken {
            Some(other) if other == place => return self.put(new),
            Some(other) if other.0 == user => {
                self.remove(place);
                return self.put(new);
            }
            Some(other) => self.remove(other),
            None if self.ids.get(&id) == Some(&place) => return Put::Same,
            None => {}
        }
        let entry = self.rows[&place].replace(new, SystemClock::new().now());
        self.insert(place, entry);
        if taken.is_some() { Put::Moved } else { Put::Renewed }
    }

    fn apply(&mut self, to: &EntryRef, change: Change) -> bool {
        let Some(place) = self.find(&to.id) else { return false };
        match (self.rows.get_mut(&place), change) {
            (Some(entry), _) if entry.version != to.version => return false,
            (Some(entry), change) if change != Change::Remove => entry.change(change),
            _ => self.remove(place),
        }
        true
    }
}

/// Takes rows up to the limit; where there were more, says after which to go on.
fn page<'a>(rows: impl Iterator<Item = (&'a Place, &'a Entry)>, limit: NonZeroU16) -> Page {
    let rows: Vec<_> = rows.take(limit.get().into()).collect();
    let last = rows.last().filter(|_| rows.len() == usize::from(limit.get()));
    let next = last.map(|(at, _)| Position::encode(TAG, [at.0, at.1]));
    Page { entries: rows.into_iter().map(|(_, entry)| entry.clone()).collect(), next }
}

/// The first place that was not read yet.
fn start(after: Option<&Position>) -> Result<Place, StoreError> {
    let after = after.map(|after| after.decode::<2>(TAG)).transpose()?;
    Ok(after.map_or((0, 0), |[user, number]| (user, number + 1)))
}

impl MapStore {
    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.0.lock().expect("no method panics while it holds the lock")
    }
}

#[async_trait]
impl SubscriptionStore for MapStore {
    async fn put(&self, entries: &[NewEntry]) -> Result<Vec<Put>, StoreError> {
        let mut tables = self.tables();
        Ok(entries.iter().map(|new| tables.put(new)).collect())
    }

    async fn replace(&self, user: &UserId, old: &SubscriptionId, new: &NewEntry) -> Result<Put, StoreError> {
        if new.user != *user {
            return Err(StoreError::new(StoreErrorKind::Invalid));
        }
        Ok(self.tables().replace(old, new))
    }

    async fn apply(&self, changes: &[(EntryRef, Change)]) -> Result<Vec<bool>, StoreError> {
        let (mut tables, mut done) = (self.tables(), vec![false; changes.len()]);
        let mut order: Vec<usize> = (0..changes.len()).collect();
        order.sort_by_key(|i| changes[*i].1);
        for i in order {
            done[i] = tables.apply(&changes[i].0, changes[i].1);
        }
        Ok(done)
    }

    async fn subscriptions(&self, user: &UserId) -> Result<Vec<Entry>, StoreError> {
        let mut tables = self.tables();
        let user = tables.user(user);
        Ok(tables.rows.range((user, 0)..(user + 1, 0)).map(|(_, entry)| entry.clone()).collect())
    }

    async fn join(&self, channel: &ChannelName, users: &[UserId]) -> Result<(), StoreError> {
        let mut tables = self.tables();
        for name in users {
            let (user, now) = (tables.user(name), tables.tick());
            tables.members.entry((channel.clone(), user)).or_insert(now);
        }
        Ok(())
    }

    async fn leave(&self, channel: &ChannelName, users: &[UserId]) -> Result<(), StoreError> {
        let mut tables = self.tables();
        for name in users {
            let user = tables.user(name);
            tables.members.remove(&(channel.clone(), user));
        }
        Ok(())
    }

    async fn channels(&self, user: &UserId) -> Result<Vec<ChannelName>, StoreError> {
        let mut tables = self.tables();
        let user = tables.user(user);
        let members = tables.members.keys().filter(|(_, member)| *member == user);
        Ok(members.map(|(channel, _)| channel.clone()).collect())
    }

    async fn page(
        &self,
        to: &Audience,
        range: &Range,
        after: Option<&Position>,
        limit: NonZeroU16,
    ) -> Result<Page, StoreError> {
        let ([moment], start) = (range.decode(TAG)?, start(after)?);
        let tables = self.tables();
        let users: Vec<u64> = match to {
            Audience::Channel(name) => {
                let members = tables.members.range((name.clone(), start.0)..);
                let members = members.take_while(|((channel, _), _)| channel == name);
                members.filter(|(_, joined)| **joined <= moment).map(|((_, user), _)| *user).collect()
            }
            Audience::User(name) => tables.users.get(name).copied().into_iter().collect(),
            _ => return Err(StoreError::new(StoreErrorKind::Invalid)),
        };
        let rows = users.into_iter().flat_map(|user| tables.rows.range((user, 0)..=(user, moment)));
        Ok(page(rows.filter(|(place, _)| **place >= start), limit))
    }

    async fn split(&self, _: &Audience, _: NonZeroU16) -> Result<Vec<Range>, StoreError> {
        Ok(vec![Range::encode(TAG, [self.tables().clock])])
    }

    async fn needing_renewal(&self, after: Option<&Position>, limit: NonZeroU16) -> Result<Page, StoreError> {
        let (tables, start) = (self.tables(), start(after)?);
        Ok(page(tables.rows.range(start..).filter(|(_, entry)| entry.needs_renewal), limit))
    }

    async fn unseen(
        &self,
        for_at_least: Duration,
        after: Option<&Position>,
        limit: NonZeroU16,
    ) -> Result<UnseenPage, StoreError> {
        let (tables, start, now) = (self.tables(), start(after)?, SystemClock::new().now());
        let old = |entry: &Entry| now.duration_since(entry.seen).unwrap_or_default() >= for_at_least;
        Ok(UnseenPage::at(now, page(tables.rows.range(start..).filter(|(_, entry)| old(entry)), limit)))
    }

    async fn remove_channel(&self, channel: &ChannelName) -> Result<(), StoreError> {
        self.tables().members.retain(|(name, _), _| name != channel);
        Ok(())
    }
}

const SUBSCRIPTION: &str = r#"{"endpoint": "https://push.example.net/p/x", "keys": {
    "p256dh": "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",
    "auth": "BTBZMqHH6r4Tts7J_aSIgg"}}"#;

#[allow(dead_code, reason = "the tests take the store, not the program")]
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let store = MapStore::default();
    let (alice, news) = (UserId::new("alice")?, ChannelName::new("news")?);
    let new = NewEntry::new(alice.clone(), Subscription::from_json(SUBSCRIPTION)?);
    println!("put: {:?}", store.put(&[new]).await?);
    store.join(&news, &[alice]).await?;

    let to = Audience::Channel(news);
    println!("{:?}", store.count(&to).await?);
    for range in store.split(&to, NonZeroU16::MIN).await? {
        println!("{:#?}", store.page(&to, &range, None, NonZeroU16::MAX).await?);
    }
    Ok(())
}
