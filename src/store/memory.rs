//! A store in this process.

mod channels;
mod former;
mod index;
#[cfg(feature = "channel")]
mod journal;
mod row;
mod scan;
mod slab;
mod state;
mod write;

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::num::{NonZeroU16, NonZeroU32};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use async_trait::async_trait;

use self::scan::Bounds;
use self::state::{Hashers, Prepared, State};
use super::{
    Audience, Change, Count, Entry, EntryRef, NewEntry, Page, Position, Put, Range, StoreError,
    StoreErrorKind, SubscriptionStore, UnseenPage, parts, unseen,
};
use crate::clock::{self, Clock, SystemClock};
use crate::{ChannelName, SubscriptionId, UserId};

/// A [`SubscriptionStore`] in this process, gone with it. With the feature `channel` also a
/// [`Journal`](crate::store::journal::Journal): broadcasts go on when a worker is lost, not when
/// the process is.
///
/// For tests, and for applications that keep their subscriptions elsewhere and load them at
/// start. Beside the subscription itself (330 octets with a usual endpoint) an entry costs 75, a
/// user about 80, a membership 46: ten million entries of five million members take 5 GB. No
/// operation holds the lock for more than about a thousand entries at a time, or across an await.
///
/// Of a broadcast it keeps, beside the message while it runs, its deferred attempts and its
/// failures, about 300 octets each. The failures stay after its end: call
/// [`purge`](crate::store::journal::Journal::purge) now and then.
///
/// ```
/// use webpush_channels::store::{Audience, Count, MemoryStore, NewEntry, Put, SubscriptionStore};
/// use webpush_channels::{ChannelName, Subscription, UserId};
/// # let subscription = Subscription::from_json(r#"{"endpoint": "https://push.example.net/p/x", "keys": {
/// #     "p256dh": "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",
/// #     "auth": "BTBZMqHH6r4Tts7J_aSIgg"}}"#)?;
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let store = MemoryStore::new();
/// let (news, alice) = (ChannelName::new("news")?, UserId::new("alice")?);
/// assert_eq!(store.put(&[NewEntry::new(alice.clone(), subscription)]).await?, [Put::New]);
/// store.join(&news, &[alice]).await?;
///
/// let count = store.count(&Audience::Channel(news)).await?;
/// assert_eq!(count, Count { members: 1, subscriptions: 1 });
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct MemoryStore {
    state: RwLock<State>,
    hashers: Hashers,
    clock: Arc<dyn Clock>,
    limit: u32,
    tag: [u8; 8],
    #[cfg(feature = "channel")]
    journal: journal::Book,
}

/// The most subscriptions of one user: each browser profile makes one, dead ones stay until the
/// next broadcast, and every one above that only lets an account multiply our requests (S-10).
const DEFAULT_LIMIT: NonZeroU32 = NonZeroU32::new(64).expect("not zero");
/// The most items that are worked on without letting others in.
const BATCH: usize = 256;

impl MemoryStore {
    /// An empty store that keeps at most 64 subscriptions of each user.
    #[must_use]
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// For another limit or another clock.
    #[must_use]
    pub fn builder() -> MemoryStoreBuilder {
        MemoryStoreBuilder { limit: DEFAULT_LIMIT, clock: Arc::new(SystemClock) }
    }

    // Nothing inside can panic half-way, short of a defect; what is there is then still the best
    // there is.
    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hashes before the lock is taken.
    fn prepare<'a>(&self, new: &'a NewEntry) -> Prepared<'a> {
        let id = new.subscription.id();
        Prepared {
            new,
            id,
            mark: self.hashers.id(&id),
            user: self.hashers.user(&new.user),
            version: new.version(),
            now: u32::try_from(clock::unix_seconds(self.clock.now())).unwrap_or(u32::MAX),
        }
    }

    /// Applies changes in the order of [`Change`].
    fn apply_all(&self, changes: &[(EntryRef, Change)]) -> Vec<bool> {
        let mut done = vec![false; changes.len()];
        for part in parts::parts(changes, BATCH) {
            let mut state = self.write();
            for place in part {
                let (entry, change) = &changes[place];
                done[place] = state.apply(entry, *change, &self.hashers);
            }
        }
        done
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut f = f.debug_struct("MemoryStore");
        {
            let state = self.read();
            f.field("subscriptions", &state.rows.len())
                .field("users", &state.users.len())
                .field("channels", &state.channels.len());
        }
        #[cfg(feature = "channel")]
        f.field("broadcasts", &self.journal.len());
        f.finish_non_exhaustive()
    }
}

/// Builds a [`MemoryStore`].
#[derive(Clone, Debug)]
pub struct MemoryStoreBuilder {
    limit: NonZeroU32,
    clock: Arc<dyn Clock>,
}

impl MemoryStoreBuilder {
    /// Keeps at most this many subscriptions of each user; 64 by default.
    #[must_use]
    pub const fn max_subscriptions_per_user(mut self, limit: NonZeroU32) -> Self {
        self.limit = limit;
        self
    }

    /// Takes `created` and `seen` from this clock instead of the system's.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// An empty store.
    #[must_use]
    pub fn build(self) -> MemoryStore {
        let state = State::default();
        // Positions of another instance, or of this program's last run, must not fit.
        let mut tag = RandomState::new().hash_one("memory store").to_be_bytes();
        tag[..3].copy_from_slice(b"mem");
        MemoryStore {
            hashers: state.hashers(),
            state: RwLock::new(state),
            clock: self.clock,
            limit: self.limit.get(),
            tag,
            #[cfg(feature = "channel")]
            journal: journal::Book::default(),
        }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl SubscriptionStore for MemoryStore {
    async fn put(&self, entries: &[NewEntry]) -> Result<Vec<Put>, StoreError> {
        let mut puts = Vec::with_capacity(entries.len());
        for entries in entries.chunks(BATCH) {
            let entries: Vec<_> = entries.iter().map(|new| self.prepare(new)).collect();
            let mut state = self.write();
            puts.extend(entries.iter().map(|new| state.put(new, self.limit, &self.hashers)));
        }
        Ok(puts)
    }

    async fn replace(&self, user: &UserId, old: &SubscriptionId, new: &NewEntry) -> Result<Put, StoreError> {
        if new.user != *user {
            return Err(StoreError::new(StoreErrorKind::Invalid)
                .with_source("a subscription can be replaced only by one of the same user"));
        }
        let new = self.prepare(new);
        Ok(self.write().replace(old, &new, self.limit, &self.hashers))
    }

    async fn apply(&self, changes: &[(EntryRef, Change)]) -> Result<Vec<bool>, StoreError> {
        Ok(self.apply_all(changes))
    }

    async fn subscriptions(&self, user: &UserId) -> Result<Vec<Entry>, StoreError> {
        let mark = self.hashers.user(user);
        let state = self.read();
        let Some(user) = state.find_user(user, mark) else { return Ok(Vec::new()) };
        Ok(state.places(user).map(|at| state.entry(at)).collect())
    }

    async fn join(&self, channel: &ChannelName, users: &[UserId]) -> Result<(), StoreError> {
        for users in users.chunks(BATCH) {
            let mut state = self.write();
            for name in users {
                let user = state.intern_user(name, self.hashers.user(name));
                let count = state.users.at(user).count;
                state.channels.join(channel, user, count);
            }
        }
        Ok(())
    }

    async fn leave(&self, channel: &ChannelName, users: &[UserId]) -> Result<(), StoreError> {
        for users in users.chunks(BATCH) {
            let mut state = self.write();
            for name in users {
                let Some(user) = state.find_user(name, self.hashers.user(name)) else { continue };
                let count = state.users.at(user).count;
                state.channels.leave(channel, user, count);
                state.release_user(user, &self.hashers);
            }
        }
        Ok(())
    }

    async fn channels(&self, user: &UserId) -> Result<Vec<ChannelName>, StoreError> {
        let mark = self.hashers.user(user);
        let state = self.read();
        Ok(state.find_user(user, mark).map_or(Vec::new(), |user| state.channels.names(user)))
    }

    async fn page(
        &self,
        to: &Audience,
        range: &Range,
        after: Option<&Position>,
        limit: NonZeroU16,
    ) -> Result<Page, StoreError> {
        let bounds = Bounds::read(range, self.tag)?;
        let after = scan::read_position(after, self.tag)?;
        Ok(scan::page(limit, after, self.tag, |after, limit| {
            self.read().step(to, bounds, after, limit, &self.hashers)
        }))
    }

    async fn split(&self, to: &Audience, parts: NonZeroU16) -> Result<Vec<Range>, StoreError> {
        Ok(self.read().split(to, parts, self.tag))
    }

    async fn needing_renewal(&self, after: Option<&Position>, limit: NonZeroU16) -> Result<Page, StoreError> {
        let after = scan::read_position(after, self.tag)?;
        Ok(scan::page(limit, after, self.tag, |after, limit| self.read().renewal_step(after, limit)))
    }

    async fn unseen(
        &self,
        for_at_least: Duration,
        after: Option<&Position>,
        limit: NonZeroU16,
    ) -> Result<UnseenPage, StoreError> {
        let after = scan::read_position(after, self.tag)?;
        let now = self.clock.now();
        let Some(seen_by) = unseen::seen_by(now, for_at_least) else { return Ok(UnseenPage::default()) };
        let step = |after, limit| self.read().unseen_step(seen_by, after, limit);
        Ok(UnseenPage::at(now, scan::page(limit, after, self.tag, step)))
    }

    async fn remove_channel(&self, channel: &ChannelName) -> Result<(), StoreError> {
        let Some(hidden) = self.write().channels.hide(channel) else { return Ok(()) };
        loop {
            let mut state = self.write();
            let users = state.channels.take_apart(hidden, BATCH);
            for user in &users {
                state.release_user(*user, &self.hashers);
            }
            if users.is_empty() {
                return Ok(());
            }
        }
    }

    async fn forget(&self, user: &UserId) -> Result<(), StoreError> {
        self.write().forget(user, &self.hashers);
        #[cfg(feature = "channel")]
        self.journal.forget(user);
        Ok(())
    }

    async fn check(&self) -> Result<(), StoreError> {
        Ok(())
    }

    async fn count(&self, to: &Audience) -> Result<Count, StoreError> {
        Ok(self.read().count(to, &self.hashers))
    }
}
