//! The contract, operation by operation.

use std::num::NonZeroU16;
use std::time::Duration;

use async_trait::async_trait;

use super::SqliteStore;
use super::error::{Fault, SqliteFileError};
use super::scan::{self, Bounds};
use super::task::Durability::{Durable, Relaxed};
use super::write::{self, Incoming};
use super::{journal, members, open};
use crate::store::{
    Audience, Change, Count, Entry, EntryRef, NewEntry, Page, Position, Put, Range, StoreError,
    StoreErrorKind, SubscriptionStore, UnseenPage, parts, unseen,
};
use crate::{ChannelName, SubscriptionId, UserId};

/// The most items that are worked on without letting others in.
const BATCH: usize = 1000;
/// The same for the members of a channel that is removed.
const MEMBERS: u32 = 1000;

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl SubscriptionStore for SqliteStore {
    async fn put(&self, entries: &[NewEntry]) -> Result<Vec<Put>, StoreError> {
        let (now, limit) = (self.db.now(), self.limit);
        let mut puts = Vec::with_capacity(entries.len());
        for entries in entries.chunks(BATCH) {
            let entries: Vec<_> = entries.iter().map(|new| Incoming::new(new, now)).collect();
            let put = self.db.write(Durable, move |c| {
                entries.iter().map(|new| write::put(c, new, limit)).collect::<Result<Vec<_>, _>>()
            });
            puts.extend(put.await?);
        }
        Ok(puts)
    }

    async fn replace(&self, user: &UserId, old: &SubscriptionId, new: &NewEntry) -> Result<Put, StoreError> {
        if new.user != *user {
            return Err(StoreError::new(StoreErrorKind::Invalid)
                .with_source("a subscription can be replaced only by one of the same user"));
        }
        let (user, old, limit) = (user.clone(), *old, self.limit);
        let new = Incoming::new(new, self.db.now());
        Ok(self.db.write(Durable, move |c| write::replace(c, &user, &old, &new, limit)).await?)
    }

    async fn apply(&self, changes: &[(EntryRef, Change)]) -> Result<Vec<bool>, StoreError> {
        let mut done = vec![false; changes.len()];
        for part in parts::parts(changes, BATCH) {
            let changes: Vec<_> = part.iter().map(|at| changes[*at]).collect();
            let applied = self.db.write(Durable, move |c| write::apply(c, &changes)).await?;
            for (at, applied) in part.iter().zip(applied) {
                done[*at] = applied;
            }
        }
        Ok(done)
    }

    async fn subscriptions(&self, user: &UserId) -> Result<Vec<Entry>, StoreError> {
        let user = user.clone();
        Ok(self.db.read(move |c| scan::subscriptions(c, &user)).await?)
    }

    async fn join(&self, channel: &ChannelName, users: &[UserId]) -> Result<(), StoreError> {
        for users in users.chunks(BATCH) {
            let (channel, users) = (channel.clone(), users.to_vec());
            self.db.write(Durable, move |c| members::join(c, &channel, &users)).await?;
        }
        Ok(())
    }

    async fn leave(&self, channel: &ChannelName, users: &[UserId]) -> Result<(), StoreError> {
        for users in users.chunks(BATCH) {
            let (channel, users) = (channel.clone(), users.to_vec());
            self.db.write(Durable, move |c| members::leave(c, &channel, &users)).await?;
        }
        Ok(())
    }

    async fn channels(&self, user: &UserId) -> Result<Vec<ChannelName>, StoreError> {
        let user = user.clone();
        Ok(self.db.read(move |c| members::channels(c, &user)).await?)
    }

    async fn page(
        &self,
        to: &Audience,
        range: &Range,
        after: Option<&Position>,
        limit: NonZeroU16,
    ) -> Result<Page, StoreError> {
        let tag = self.db.tag();
        let (bounds, after) = (Bounds::read(range, tag)?, scan::read_position(after, tag)?);
        let to = to.clone();
        Ok(self.db.read(move |c| scan::page(c, &to, bounds, after, limit)).await?.page(tag))
    }

    async fn split(&self, to: &Audience, parts: NonZeroU16) -> Result<Vec<Range>, StoreError> {
        let (to, tag) = (to.clone(), self.db.tag());
        Ok(self.db.read(move |c| scan::split(c, &to, parts, tag)).await?)
    }

    async fn needing_renewal(&self, after: Option<&Position>, limit: NonZeroU16) -> Result<Page, StoreError> {
        let tag = self.db.tag();
        let after = scan::read_position(after, tag)?;
        Ok(self.db.read(move |c| scan::needing_renewal(c, after, limit)).await?.page(tag))
    }

    async fn unseen(
        &self,
        for_at_least: Duration,
        after: Option<&Position>,
        limit: NonZeroU16,
    ) -> Result<UnseenPage, StoreError> {
        let (tag, now) = (self.db.tag(), self.db.now());
        let after = scan::read_position(after, tag)?;
        let Some(seen_by) = unseen::seen_by(now, for_at_least) else { return Ok(UnseenPage::default()) };
        let step = self.db.read(move |c| scan::unseen(c, seen_by, after, limit)).await?;
        Ok(UnseenPage::at(now, step.page(tag)))
    }

    async fn remove_channel(&self, channel: &ChannelName) -> Result<(), StoreError> {
        let channel = channel.clone();
        self.db.write(Durable, move |c| members::hide(c, &channel)).await?;
        // Nobody sees it any more; what a crash leaves is taken apart with the next one.
        while self.db.write(Relaxed, |c| members::take_apart(c, MEMBERS)).await? {}
        Ok(())
    }

    async fn forget(&self, user: &UserId) -> Result<(), StoreError> {
        let (now, user) = (self.db.now_millis(), user.clone());
        let forget = move |c: &_| {
            journal::forget_user(c, now, &user)?;
            members::forget(c, &user)
        };
        self.db.write(Durable, forget).await?;
        // A broadcast may have ended with it.
        journal::wake(&self.db);
        Ok(())
    }

    async fn check(&self) -> Result<(), StoreError> {
        let tag = self.db.tag();
        self.db
            .read(move |c| match open::tag(c)? {
                Some(found) if found == tag => Ok(()),
                _ => Err(Fault::from(SqliteFileError::Incomplete).into()),
            })
            .await?;
        // An empty transaction: somebody may hold the lock.
        Ok(self.db.write(Relaxed, |_| Ok(())).await?)
    }

    async fn count(&self, to: &Audience) -> Result<Count, StoreError> {
        let to = to.clone();
        Ok(self.db.read(move |c| members::count(c, &to)).await?)
    }
}
