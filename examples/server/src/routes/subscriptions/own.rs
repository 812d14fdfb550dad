//! The caller's subscriptions in the store.

use std::time::Duration;

use webpush_channels::channel::SubscribeError;
use webpush_channels::store::{Change, Put};
use webpush_channels::{Subscription, SubscriptionId, UserId};

use super::body::forbidden_endpoint;
use super::record::{Record, Stamp};
use crate::error::ApiError;
use crate::state::App;

/// All of one user, as they were at one moment.
#[derive(Debug)]
pub(crate) struct Own(Vec<Record>);

impl Own {
    pub(crate) async fn read(app: &App, user: &UserId) -> Result<Self, ApiError> {
        let mut records: Vec<_> = app.channels.subscriptions(user).await?.iter().map(Record::of).collect();
        records.sort_by_key(|record| record.reference().id);
        Ok(Self(records))
    }

    /// One of them. What is no id is the id of nothing.
    pub(crate) fn get(&self, id: &str) -> Option<&Record> {
        let id: SubscriptionId = id.parse().ok()?;
        let at = self.0.binary_search_by_key(&id, |record| record.reference().id).ok()?;
        self.0.get(at)
    }

    /// One of them, or 404: another user's is no different from none.
    pub(crate) fn existing(&self, id: &str) -> Result<&Record, ApiError> {
        self.get(id).ok_or_else(|| ApiError::unknown_record("subscription", id))
    }

    /// The state of all.
    pub(crate) fn stamp(&self) -> Stamp {
        Stamp::of_list(&self.0)
    }

    pub(crate) fn into_records(self) -> Vec<Record> {
        self.0
    }
}

/// Stores a subscription in the place of `old`, if it was there, and returns it as it is stored.
pub(crate) async fn put(
    app: &App,
    user: &UserId,
    old: Option<&Record>,
    subscription: Subscription,
) -> Result<Record, ApiError> {
    let new = put_once(app, user, subscription.clone()).await?;
    if old.is_none_or(|old| old.stamp() != new.stamp() || old.has_content_of(&new)) {
        return Ok(new);
    }
    // By chance (1 in 500, within one second) two states look like one, and whoever has the old one would take it for
    // the new one. In the next second they do not.
    tokio::time::sleep(SECOND).await;
    put_once(app, user, subscription).await
}

const SECOND: Duration = Duration::from_secs(1);

async fn put_once(app: &App, user: &UserId, subscription: Subscription) -> Result<Record, ApiError> {
    let id = subscription.id();
    let put = app.channels.subscribe(user, subscription, None).await.map_err(refused)?;
    stored(app, user, &id, put).await
}

/// Why nothing was stored.
pub(crate) fn refused(error: SubscribeError) -> ApiError {
    match error {
        SubscribeError::Policy(error) => forbidden_endpoint("data.", error),
        SubscribeError::Store(error) => error.into(),
        // Another kind of refusal is ours until it is known here.
        _ => ApiError::internal(),
    }
}

/// What a put has stored.
pub(crate) async fn stored(
    app: &App,
    user: &UserId,
    id: &SubscriptionId,
    put: Put,
) -> Result<Record, ApiError> {
    app.metrics.put(put);
    if put == Put::LimitReached {
        return Err(ApiError::too_many_subscriptions());
    }
    // It can be gone already: another user of the same browser has it now.
    Own::read(app, user).await?.existing(&id.to_string()).cloned()
}

/// Removes records that are still as they were read, and says for each whether it was.
pub(crate) async fn remove(app: &App, records: &[Record]) -> Result<Vec<bool>, ApiError> {
    let changes: Vec<_> = records.iter().map(|record| (record.reference(), Change::Remove)).collect();
    let removed = app.journal.apply(&changes).await?;
    app.metrics.removed(removed.iter().filter(|removed| **removed).count());
    Ok(removed)
}
