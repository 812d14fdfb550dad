//! The store in a broken journal: only what concerns broadcasts can be broken.

use std::num::NonZeroU16;
use std::time::Duration;

use async_trait::async_trait;
use webpush_channels::store::{
    Audience, Change, Count, Entry, EntryRef, NewEntry, Page, Position, Put, Range, StoreError,
    SubscriptionStore, UnseenPage,
};
use webpush_channels::{ChannelName, SubscriptionId, UserId};

use super::{Broken, Defect};

#[async_trait]
impl SubscriptionStore for Broken {
    async fn put(&self, entries: &[NewEntry]) -> Result<Vec<Put>, StoreError> {
        self.inner().put(entries).await
    }

    async fn replace(&self, user: &UserId, old: &SubscriptionId, new: &NewEntry) -> Result<Put, StoreError> {
        self.inner().replace(user, old, new).await
    }

    async fn apply(&self, changes: &[(EntryRef, Change)]) -> Result<Vec<bool>, StoreError> {
        self.inner().apply(changes).await
    }

    async fn subscriptions(&self, user: &UserId) -> Result<Vec<Entry>, StoreError> {
        self.inner().subscriptions(user).await
    }

    async fn join(&self, channel: &ChannelName, users: &[UserId]) -> Result<(), StoreError> {
        self.inner().join(channel, users).await
    }

    async fn leave(&self, channel: &ChannelName, users: &[UserId]) -> Result<(), StoreError> {
        self.inner().leave(channel, users).await
    }

    async fn channels(&self, user: &UserId) -> Result<Vec<ChannelName>, StoreError> {
        self.inner().channels(user).await
    }

    async fn page(
        &self,
        to: &Audience,
        range: &Range,
        after: Option<&Position>,
        limit: NonZeroU16,
    ) -> Result<Page, StoreError> {
        self.inner().page(to, range, after, limit).await
    }

    async fn split(&self, to: &Audience, parts: NonZeroU16) -> Result<Vec<Range>, StoreError> {
        self.inner().split(to, parts).await
    }

    async fn needing_renewal(&self, after: Option<&Position>, limit: NonZeroU16) -> Result<Page, StoreError> {
        self.inner().needing_renewal(after, limit).await
    }

    async fn unseen(
        &self,
        for_at_least: Duration,
        after: Option<&Position>,
        limit: NonZeroU16,
    ) -> Result<UnseenPage, StoreError> {
        self.inner().unseen(for_at_least, after, limit).await
    }

    async fn remove_channel(&self, channel: &ChannelName) -> Result<(), StoreError> {
        self.inner().remove_channel(channel).await
    }

    /// The defect: as a store does that knows of no broadcasts.
    async fn forget(&self, user: &UserId) -> Result<(), StoreError> {
        if !self.has(Defect::WorkIsNotForgotten) {
            return self.inner().forget(user).await;
        }
        for entry in self.inner().subscriptions(user).await? {
            self.inner().apply(&[(entry.reference(), Change::Remove)]).await?;
        }
        Ok(())
    }

    async fn count(&self, to: &Audience) -> Result<Count, StoreError> {
        self.inner().count(to).await
    }
}
