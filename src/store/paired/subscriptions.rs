//! The half that is the store's.

use std::num::NonZeroU16;
use std::time::Duration;

use async_trait::async_trait;

use super::Paired;
use crate::store::journal::Journal;
use crate::store::{
    Audience, Change, Count, Entry, EntryRef, NewEntry, Page, Position, Put, Range, StoreError,
    SubscriptionStore, UnseenPage,
};
use crate::{ChannelName, SubscriptionId, UserId};

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: SubscriptionStore, J: Journal> SubscriptionStore for Paired<S, J> {
    async fn put(&self, entries: &[NewEntry]) -> Result<Vec<Put>, StoreError> {
        self.store.put(entries).await
    }

    async fn replace(&self, user: &UserId, old: &SubscriptionId, new: &NewEntry) -> Result<Put, StoreError> {
        self.store.replace(user, old, new).await
    }

    async fn apply(&self, changes: &[(EntryRef, Change)]) -> Result<Vec<bool>, StoreError> {
        self.store.apply(changes).await
    }

    async fn subscriptions(&self, user: &UserId) -> Result<Vec<Entry>, StoreError> {
        self.store.subscriptions(user).await
    }

    async fn join(&self, channel: &ChannelName, users: &[UserId]) -> Result<(), StoreError> {
        self.store.join(channel, users).await
    }

    async fn leave(&self, channel: &ChannelName, users: &[UserId]) -> Result<(), StoreError> {
        self.store.leave(channel, users).await
    }

    async fn channels(&self, user: &UserId) -> Result<Vec<ChannelName>, StoreError> {
        self.store.channels(user).await
    }

    async fn page(
        &self,
        to: &Audience,
        range: &Range,
        after: Option<&Position>,
        limit: NonZeroU16,
    ) -> Result<Page, StoreError> {
        self.store.page(to, range, after, limit).await
    }

    async fn split(&self, to: &Audience, parts: NonZeroU16) -> Result<Vec<Range>, StoreError> {
        self.store.split(to, parts).await
    }

    async fn needing_renewal(&self, after: Option<&Position>, limit: NonZeroU16) -> Result<Page, StoreError> {
        self.store.needing_renewal(after, limit).await
    }

    async fn unseen(
        &self,
        for_at_least: Duration,
        after: Option<&Position>,
        limit: NonZeroU16,
    ) -> Result<UnseenPage, StoreError> {
        self.store.unseen(for_at_least, after, limit).await
    }

    async fn remove_channel(&self, channel: &ChannelName) -> Result<(), StoreError> {
        self.store.remove_channel(channel).await
    }

    async fn forget(&self, user: &UserId) -> Result<(), StoreError> {
        self.store.forget(user).await?;
        self.journal.forget(user).await
    }

    async fn check(&self) -> Result<(), StoreError> {
        self.store.check().await?;
        self.journal.check().await
    }

    async fn count(&self, to: &Audience) -> Result<Count, StoreError> {
        self.store.count(to).await
    }
}
