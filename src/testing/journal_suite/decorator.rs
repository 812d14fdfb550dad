//! Journals that wrap another one.

use std::num::NonZeroU16;
use std::time::Duration;

use async_trait::async_trait;

use super::kit;
use crate::store::journal::{
    Begun, Checkpoint, Control, FailureId, FailurePage, Journal, JournalError, Lease, LeaseToken,
    NewBroadcast, State, Summary, Totals, WorkerId,
};
use crate::store::{
    Audience, Change, Count, Entry, EntryRef, NewEntry, Page, Position, Put, Range, StoreError,
    SubscriptionStore, UnseenPage,
};
use crate::testing::store_suite;
use crate::{BroadcastId, ChannelName, Report, SubscriptionId, UserId};

/// A journal that keeps nothing and knows which of its methods were called, also those of a store.
#[derive(Clone, Debug, Default)]
pub struct Probe {
    store: store_suite::Probe,
}

impl Probe {
    /// The methods that were called, in order.
    #[must_use]
    pub fn calls(&self) -> Vec<&'static str> {
        self.store.calls()
    }
}

/// For a decorator or a pointer that passes everything on: it passes on every method once, those
/// of a store too.
pub async fn a_decorator_forwards_every_method<J: Journal>(decorate: impl Fn(Probe) -> J + Send + Sync) {
    let probe = Probe::default();
    let journal = decorate(probe.clone());
    let (id, token, limit) = (kit::id("b"), LeaseToken::encode([0; 8], [7]), NonZeroU16::MIN);
    let (worker, term) = (kit::worker(1), Duration::ZERO);
    let expect = "a probe does not fail";
    journal.begin(&kit::broadcast("b"), &[]).await.expect(expect);
    journal.lease(&worker, term, limit).await.expect(expect);
    journal.checkpoint(&token, Checkpoint::default()).await.expect(expect);
    journal.release(&token).await.expect(expect);
    journal.abort(&id).await.expect(expect);
    journal.summary(&id).await.expect(expect);
    journal.report(&id).await.expect(expect);
    journal.failures(&id, None, limit).await.expect(expect);
    journal.totals(&store_suite::kit::channel("news")).await.expect(expect);
    journal.recent(None, limit).await.expect(expect);
    journal.control(&id, Control::default()).await.expect(expect);
    journal.unfinished(None, limit).await.expect(expect);
    journal.purge(term).await.expect(expect);
    journal.wait(term).await;
    let all = [
        "begin",
        "lease",
        "checkpoint",
        "release",
        "abort",
        "summary",
        "report",
        "failures",
        "totals",
        "recent",
        "control",
        "unfinished",
        "purge",
        "wait",
    ];
    assert_eq!(probe.calls(), all, "every method is passed on, once");
    store_suite::a_decorator_forwards_every_method(|store| decorate(Probe { store })).await;
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Journal for Probe {
    async fn begin(&self, _: &NewBroadcast, _: &[Range]) -> Result<Begun, JournalError> {
        self.store.called("begin");
        Ok(Begun::Known)
    }

    async fn lease(&self, _: &WorkerId, _: Duration, _: NonZeroU16) -> Result<Option<Lease>, JournalError> {
        self.store.called("lease");
        Ok(None)
    }

    async fn checkpoint(&self, _: &LeaseToken, _: Checkpoint) -> Result<State, JournalError> {
        self.store.called("checkpoint");
        Ok(State::Finished)
    }

    async fn release(&self, _: &LeaseToken) -> Result<(), JournalError> {
        self.store.called("release");
        Ok(())
    }

    async fn abort(&self, _: &BroadcastId) -> Result<Report, JournalError> {
        self.store.called("abort");
        Ok(Report::default())
    }

    async fn summary(&self, _: &BroadcastId) -> Result<Option<Summary>, JournalError> {
        self.store.called("summary");
        Ok(None)
    }

    async fn report(&self, _: &BroadcastId) -> Result<Option<Report>, JournalError> {
        self.store.called("report");
        Ok(None)
    }

    async fn failures(
        &self,
        _: &BroadcastId,
        _: Option<FailureId>,
        _: NonZeroU16,
    ) -> Result<FailurePage, JournalError> {
        self.store.called("failures");
        Ok(FailurePage::default())
    }

    async fn totals(&self, _: &ChannelName) -> Result<Totals, JournalError> {
        self.store.called("totals");
        Ok(Totals::default())
    }

    async fn recent(&self, _: Option<&BroadcastId>, _: NonZeroU16) -> Result<Vec<Summary>, JournalError> {
        self.store.called("recent");
        Ok(Vec::new())
    }

    async fn control(&self, _: &BroadcastId, _: Control) -> Result<(), JournalError> {
        self.store.called("control");
        Ok(())
    }

    async fn unfinished(
        &self,
        _: Option<&BroadcastId>,
        _: NonZeroU16,
    ) -> Result<Vec<BroadcastId>, JournalError> {
        self.store.called("unfinished");
        Ok(Vec::new())
    }

    async fn purge(&self, _: Duration) -> Result<u64, JournalError> {
        self.store.called("purge");
        Ok(0)
    }

    async fn wait(&self, _: Duration) {
        self.store.called("wait");
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl SubscriptionStore for Probe {
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
        self.store.forget(user).await
    }

    async fn check(&self) -> Result<(), StoreError> {
        self.store.check().await
    }

    async fn count(&self, to: &Audience) -> Result<Count, StoreError> {
        self.store.count(to).await
    }
}
