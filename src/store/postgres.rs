//! A store on a PostgreSQL server, for several nodes.

mod batch;
mod builder;
mod connect;
mod db;
mod error;
mod journal;
mod listen;
mod marks;
mod members;
mod migrate;
mod moving;
mod rows;
mod scan;
mod tls;
mod users;
mod write;

use std::fmt;
use std::num::NonZeroU16;
use std::time::Duration;

use async_trait::async_trait;

pub use self::builder::PostgresStoreBuilder;
use self::db::{Db, query, retrying};
use super::{
    Audience, Change, Count, Entry, EntryRef, NewEntry, Page, Position, Put, Range, StoreError,
    StoreErrorKind, SubscriptionStore, UnseenPage,
};
use crate::{ChannelName, SubscriptionId, UserId};

/// A [`SubscriptionStore`] and [`Journal`](super::journal::Journal) on a PostgreSQL server (13 or
/// later), for any number of nodes.
///
/// Its tables are in the schema `webpush_channels`, so that a database can be shared with an
/// application; they are made, and later changed, when a store connects. Every time is by the
/// server's clock.
///
/// A connection keeps prepared statements and settings (a statement may take 30 s, a lock 10 s), so
/// that a proxy in front of the server must pool by session.
///
/// ```no_run
/// use webpush_channels::store::{PostgresStore, SubscriptionStore};
///
/// # async fn connect() -> Result<(), Box<dyn std::error::Error>> {
/// let store = PostgresStore::connect("postgres://push:secret@db.example/push?sslmode=require").await?;
/// store.check().await?;
/// # Ok(())
/// # }
/// ```
pub struct PostgresStore {
    db: Db,
    /// The most subscriptions of one user.
    limit: i64,
}

impl PostgresStore {
    /// Connects to the database at this URL. See [`PostgresStoreBuilder::url`] and
    /// [`PostgresStoreBuilder::connect`].
    pub async fn connect(url: &str) -> Result<Self, StoreError> {
        Self::builder().url(url).connect().await
    }

    /// For a pool of connections that is there already, or other limits.
    pub const fn builder() -> PostgresStoreBuilder {
        PostgresStoreBuilder::new()
    }
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore").field("limit", &self.limit).finish_non_exhaustive()
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl SubscriptionStore for PostgresStore {
    async fn put(&self, entries: &[NewEntry]) -> Result<Vec<Put>, StoreError> {
        Ok(self.put_all(entries).await?)
    }

    async fn replace(&self, user: &UserId, old: &SubscriptionId, new: &NewEntry) -> Result<Put, StoreError> {
        if new.user != *user {
            return Err(StoreError::new(StoreErrorKind::Invalid)
                .with_source("a subscription can be replaced only by one of the same user"));
        }
        Ok(retrying(|| self.replace_once(user, old, new)).await?)
    }

    async fn apply(&self, changes: &[(EntryRef, Change)]) -> Result<Vec<bool>, StoreError> {
        Ok(self.apply_all(changes).await?)
    }

    async fn subscriptions(&self, user: &UserId) -> Result<Vec<Entry>, StoreError> {
        Ok(self.entries_of(user).await?)
    }

    async fn join(&self, channel: &ChannelName, users: &[UserId]) -> Result<(), StoreError> {
        Ok(self.join_all(channel, users).await?)
    }

    async fn leave(&self, channel: &ChannelName, users: &[UserId]) -> Result<(), StoreError> {
        Ok(self.leave_all(channel, users).await?)
    }

    async fn channels(&self, user: &UserId) -> Result<Vec<ChannelName>, StoreError> {
        Ok(self.channels_of(user).await?)
    }

    async fn page(
        &self,
        to: &Audience,
        range: &Range,
        after: Option<&Position>,
        limit: NonZeroU16,
    ) -> Result<Page, StoreError> {
        Ok(self.page_of(to, range, after, limit).await?)
    }

    async fn split(&self, to: &Audience, parts: NonZeroU16) -> Result<Vec<Range>, StoreError> {
        Ok(self.split_audience(to, parts).await?)
    }

    async fn needing_renewal(&self, after: Option<&Position>, limit: NonZeroU16) -> Result<Page, StoreError> {
        Ok(self.renewals(after, limit).await?)
    }

    async fn unseen(
        &self,
        for_at_least: Duration,
        after: Option<&Position>,
        limit: NonZeroU16,
    ) -> Result<UnseenPage, StoreError> {
        Ok(self.unseen_for(for_at_least, after, limit).await?)
    }

    async fn remove_channel(&self, channel: &ChannelName) -> Result<(), StoreError> {
        Ok(self.remove_members(channel).await?)
    }

    async fn forget(&self, user: &UserId) -> Result<(), StoreError> {
        Ok(retrying(|| self.forget_once(user)).await?)
    }

    async fn check(&self) -> Result<(), StoreError> {
        query(&self.db.client().await?, "SELECT FROM webpush_channels.meta", &[]).await?;
        Ok(())
    }

    async fn count(&self, to: &Audience) -> Result<Count, StoreError> {
        Ok(self.count_audience(to).await?)
    }
}
