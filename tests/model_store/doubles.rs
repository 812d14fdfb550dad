//! Stores with one deliberate defect each, most of which show only when operations meet.

use std::collections::HashMap;
use std::num::NonZeroU16;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use tokio::task::yield_now;
use webpush_channels::store::{
    Audience, Change, Count, Entry, EntryRef, MemoryStore, NewEntry, Page, Position, Put, Range, StoreError,
    SubscriptionStore, UnseenPage,
};
use webpush_channels::{ChannelName, SubscriptionId, UserId};

use super::universe::{CHANNELS, USERS, channel, user};

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Flaw {
    None,
    /// A found key is written with the rest of the entry as it was read.
    LostUpdate,
    /// A removal takes whatever has the id.
    IgnoredVersion,
    /// The version is compared before the removal, and not with it.
    VersionThenRemoval,
    /// The old entry goes, then the new one comes.
    TornReplacement,
    /// An endpoint that moves is nobody's for a moment.
    TornMove,
    /// A user's entries are counted before the put, and not with it.
    CountThenPut,
    /// A user's channels are read, changed and written back.
    ChannelsWrittenBack,
    /// Every second list of a user is an old one.
    StaleLists,
    /// Pages by offset.
    Offsets,
    /// Who comes later is in the range.
    RangeWithoutEnd,
    /// What a replacement removed is still counted.
    DriftingCounts,
}

impl Flaw {
    pub(crate) const ALL: &[Self] = &[
        Self::LostUpdate,
        Self::IgnoredVersion,
        Self::VersionThenRemoval,
        Self::TornReplacement,
        Self::TornMove,
        Self::CountThenPut,
        Self::ChannelsWrittenBack,
        Self::StaleLists,
        Self::Offsets,
        Self::RangeWithoutEnd,
        Self::DriftingCounts,
    ];
}

/// A store in memory, which takes a while for everything.
#[derive(Debug)]
pub(crate) struct Flawed {
    inner: MemoryStore,
    flaw: Flaw,
    /// For [`Flaw::CountThenPut`], where `inner` has no limit.
    limit: usize,
    lists: Mutex<HashMap<UserId, Vec<Entry>>>,
    drift: AtomicU64,
}

const TAG: [u8; 8] = *b"offsets\0";

impl Flawed {
    pub(crate) fn new(inner: MemoryStore, flaw: Flaw, limit: Option<usize>) -> Self {
        let (lists, drift) = Default::default();
        Self { inner, flaw, limit: limit.unwrap_or(usize::MAX), lists, drift }
    }

    fn has(&self, flaw: Flaw) -> bool {
        self.flaw == flaw
    }

    async fn find(&self, id: &SubscriptionId) -> Result<Option<Entry>, StoreError> {
        for number in 0..USERS {
            let mut entries = self.inner.subscriptions(&user(number)).await?.into_iter();
            if let Some(entry) = entries.find(|entry| entry.subscription.id() == *id) {
                return Ok(Some(entry));
            }
        }
        Ok(None)
    }

    async fn remove(&self, entry: &Entry) -> Result<bool, StoreError> {
        Ok(self.inner.apply(&[(entry.reference(), Change::Remove)]).await?[0])
    }

    async fn put_one(&self, new: &NewEntry) -> Result<Put, StoreError> {
        let before = self.find(&new.subscription.id()).await?;
        let moves = before.as_ref().is_some_and(|entry| entry.user != new.user);
        if self.has(Flaw::CountThenPut) && (before.is_none() || moves) {
            let full = self.inner.subscriptions(&new.user).await?.len() >= self.limit;
            yield_now().await;
            if full {
                return Ok(Put::LimitReached);
            }
        }
        if let Some(entry) = before.filter(|_| moves && self.has(Flaw::TornMove)) {
            let mut taken = entry.put(new, entry.seen).0;
            let learned = [taken.payload_limit.take().map(Change::LimitPayload)].into_iter().flatten();
            let learned = learned.chain(taken.needs_renewal.then_some(Change::NeedsRenewal));
            self.remove(&entry).await?;
            yield_now().await;
            self.inner.put(std::slice::from_ref(new)).await?;
            let learned: Vec<_> = learned.map(|change| (taken.reference(), change)).collect();
            self.inner.apply(&learned).await?;
            return Ok(Put::Moved);
        }
        Ok(self.inner.put(std::slice::from_ref(new)).await?[0])
    }

    async fn apply_one(&self, to: EntryRef, change: Change) -> Result<bool, StoreError> {
        let Some(entry) = self.find(&to.id).await? else { return Ok(false) };
        let fits = entry.version == to.version;
        match change {
            Change::UseKey(key) if fits && self.has(Flaw::LostUpdate) => {
                yield_now().await;
                let new = NewEntry::new(entry.user, entry.subscription).with_key(key);
                self.inner.put(&[new]).await?;
                Ok(true)
            }
            Change::Remove if self.has(Flaw::IgnoredVersion) => self.remove(&entry).await,
            Change::Remove if fits && self.has(Flaw::VersionThenRemoval) => {
                yield_now().await;
                match self.find(&to.id).await? {
                    Some(now) => self.remove(&now).await,
                    None => Ok(false),
                }
            }
            _ => Ok(self.inner.apply(&[(to, change)]).await?[0]),
        }
    }

    /// The entries of a range from an offset on.
    async fn offset(
        &self,
        to: &Audience,
        range: &Range,
        after: Option<&Position>,
        limit: NonZeroU16,
    ) -> Result<Page, StoreError> {
        let [offset] = after.map_or(Ok([0]), |after| after.decode(TAG))?;
        let mut entries = self.inner.page(to, range, None, NonZeroU16::MAX).await?.entries;
        let next = offset + u64::from(limit.get());
        let more = entries.len() as u64 > next;
        entries =
            entries.into_iter().skip(usize::try_from(offset).unwrap()).take(limit.get().into()).collect();
        Ok(Page { entries, next: more.then(|| Position::encode(TAG, [next])) })
    }
}

#[async_trait]
impl SubscriptionStore for Flawed {
    async fn put(&self, entries: &[NewEntry]) -> Result<Vec<Put>, StoreError> {
        yield_now().await;
        let mut puts = Vec::new();
        for new in entries {
            puts.push(self.put_one(new).await?);
        }
        yield_now().await;
        Ok(puts)
    }

    async fn replace(&self, owner: &UserId, old: &SubscriptionId, new: &NewEntry) -> Result<Put, StoreError> {
        yield_now().await;
        let own = self.find(old).await?.filter(|entry| entry.user == *owner);
        if let Some(entry) = own.filter(|_| self.has(Flaw::TornReplacement)) {
            self.remove(&entry).await?;
            yield_now().await;
        }
        let put = self.inner.replace(owner, old, new).await?;
        if put == Put::Moved && self.has(Flaw::DriftingCounts) {
            self.drift.fetch_add(1, Ordering::Relaxed);
        }
        yield_now().await;
        Ok(put)
    }

    async fn apply(&self, changes: &[(EntryRef, Change)]) -> Result<Vec<bool>, StoreError> {
        yield_now().await;
        let done = match changes {
            [(to, change)] => vec![self.apply_one(*to, *change).await?],
            changes => self.inner.apply(changes).await?,
        };
        yield_now().await;
        Ok(done)
    }

    async fn subscriptions(&self, owner: &UserId) -> Result<Vec<Entry>, StoreError> {
        yield_now().await;
        let now = self.inner.subscriptions(owner).await?;
        yield_now().await;
        if !self.has(Flaw::StaleLists) {
            return Ok(now);
        }
        let mut lists = self.lists.lock().unwrap();
        Ok(lists.remove(owner).unwrap_or_else(|| {
            lists.insert(owner.clone(), now.clone());
            now
        }))
    }

    async fn join(&self, to: &ChannelName, users: &[UserId]) -> Result<(), StoreError> {
        yield_now().await;
        if !self.has(Flaw::ChannelsWrittenBack) {
            return self.inner.join(to, users).await;
        }
        for who in users {
            let before = self.inner.channels(who).await?;
            yield_now().await;
            for name in (0..CHANNELS).map(channel) {
                let who = std::slice::from_ref(who);
                if name == *to || before.contains(&name) {
                    self.inner.join(&name, who).await?;
                } else {
                    self.inner.leave(&name, who).await?;
                }
            }
        }
        Ok(())
    }

    async fn leave(&self, from: &ChannelName, users: &[UserId]) -> Result<(), StoreError> {
        yield_now().await;
        self.inner.leave(from, users).await
    }

    async fn channels(&self, of: &UserId) -> Result<Vec<ChannelName>, StoreError> {
        self.inner.channels(of).await
    }

    async fn page(
        &self,
        to: &Audience,
        range: &Range,
        after: Option<&Position>,
        limit: NonZeroU16,
    ) -> Result<Page, StoreError> {
        match self.flaw {
            Flaw::Offsets => self.offset(to, range, after, limit).await,
            Flaw::RangeWithoutEnd => {
                let now = self.inner.split(to, NonZeroU16::MIN).await?;
                self.inner.page(to, &now[0], after, limit).await
            }
            _ => self.inner.page(to, range, after, limit).await,
        }
    }

    async fn split(&self, to: &Audience, parts: NonZeroU16) -> Result<Vec<Range>, StoreError> {
        let parts = if self.has(Flaw::RangeWithoutEnd) { NonZeroU16::MIN } else { parts };
        self.inner.split(to, parts).await
    }

    async fn needing_renewal(&self, after: Option<&Position>, limit: NonZeroU16) -> Result<Page, StoreError> {
        self.inner.needing_renewal(after, limit).await
    }

    async fn unseen(
        &self,
        for_at_least: Duration,
        after: Option<&Position>,
        limit: NonZeroU16,
    ) -> Result<UnseenPage, StoreError> {
        self.inner.unseen(for_at_least, after, limit).await
    }

    async fn remove_channel(&self, name: &ChannelName) -> Result<(), StoreError> {
        self.inner.remove_channel(name).await
    }

    async fn forget(&self, who: &UserId) -> Result<(), StoreError> {
        self.inner.forget(who).await
    }

    async fn count(&self, to: &Audience) -> Result<Count, StoreError> {
        let mut count = self.inner.count(to).await?;
        count.subscriptions += self.drift.load(Ordering::Relaxed);
        Ok(count)
    }
}
