//! A store and journal whose next calls can be made to fail.

use std::num::NonZeroU16;
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use webpush_channels::store::journal::{
    Begun, Checkpoint, Control, FailureId, FailurePage, Journal, JournalError, JournalErrorKind, Lease,
    LeaseToken, NewBroadcast, State, Summary, Totals, WorkerId,
};
use webpush_channels::store::{
    Audience, Change, Entry, EntryRef, MemoryStore, NewEntry, Page, Position, Put, Range, StoreError,
    StoreErrorKind, SubscriptionStore,
};
use webpush_channels::{BroadcastId, ChannelName, Report, SubscriptionId, UserId};

/// What goes wrong.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Fault {
    /// The store's method of this name fails.
    Store(&'static str, StoreErrorKind),
    /// A checkpoint of this number is not stored.
    NotStored(u64, JournalErrorKind),
    /// A checkpoint of this number is stored, and its answer lost.
    AnswerLost(u64),
}

#[derive(Debug, Default)]
pub(crate) struct Failing {
    pub(crate) inner: MemoryStore,
    fault: Mutex<Option<Fault>>,
    calls: Mutex<Vec<&'static str>>,
}

impl Failing {
    /// Lets one of the next calls fail, once.
    pub(crate) fn fail(&self, fault: Fault) {
        *self.fault.lock().unwrap() = Some(fault);
    }

    /// How often a store's method was called.
    pub(crate) fn calls(&self, method: &str) -> usize {
        self.calls.lock().unwrap().iter().filter(|call| **call == method).count()
    }

    fn take(&self, matching: impl Fn(Fault) -> bool) -> Option<Fault> {
        self.fault.lock().unwrap().take_if(|fault| matching(*fault))
    }

    fn enter(&self, method: &'static str) -> Result<(), StoreError> {
        self.calls.lock().unwrap().push(method);
        match self.take(|fault| matches!(fault, Fault::Store(failing, _) if failing == method)) {
            Some(Fault::Store(_, kind)) => Err(StoreError::new(kind)),
            _ => Ok(()),
        }
    }
}

#[async_trait]
impl SubscriptionStore for Failing {
    async fn put(&self, entries: &[NewEntry]) -> Result<Vec<Put>, StoreError> {
        self.inner.put(entries).await
    }

    async fn replace(&self, user: &UserId, old: &SubscriptionId, new: &NewEntry) -> Result<Put, StoreError> {
        self.inner.replace(user, old, new).await
    }

    async fn apply(&self, changes: &[(EntryRef, Change)]) -> Result<Vec<bool>, StoreError> {
        self.enter("apply")?;
        self.inner.apply(changes).await
    }

    async fn subscriptions(&self, user: &UserId) -> Result<Vec<Entry>, StoreError> {
        self.enter("subscriptions")?;
        self.inner.subscriptions(user).await
    }

    async fn join(&self, channel: &ChannelName, users: &[UserId]) -> Result<(), StoreError> {
        self.inner.join(channel, users).await
    }

    async fn leave(&self, channel: &ChannelName, users: &[UserId]) -> Result<(), StoreError> {
        self.inner.leave(channel, users).await
    }

    async fn channels(&self, user: &UserId) -> Result<Vec<ChannelName>, StoreError> {
        self.inner.channels(user).await
    }

    async fn page(
        &self,
        to: &Audience,
        range: &Range,
        after: Option<&Position>,
        limit: NonZeroU16,
    ) -> Result<Page, StoreError> {
        self.inner.page(to, range, after, limit).await
    }

    async fn split(&self, to: &Audience, parts: NonZeroU16) -> Result<Vec<Range>, StoreError> {
        self.inner.split(to, parts).await
    }

    async fn needing_renewal(&self, after: Option<&Position>, limit: NonZeroU16) -> Result<Page, StoreError> {
        self.inner.needing_renewal(after, limit).await
    }

    async fn remove_channel(&self, channel: &ChannelName) -> Result<(), StoreError> {
        self.inner.remove_channel(channel).await
    }

    async fn forget(&self, user: &UserId) -> Result<(), StoreError> {
        self.enter("forget")?;
        self.inner.forget(user).await
    }

    async fn check(&self) -> Result<(), StoreError> {
        self.enter("check")?;
        self.inner.check().await
    }
}

#[async_trait]
impl Journal for Failing {
    async fn begin(&self, broadcast: &NewBroadcast, ranges: &[Range]) -> Result<Begun, JournalError> {
        self.inner.begin(broadcast, ranges).await
    }

    async fn lease(
        &self,
        worker: &WorkerId,
        term: Duration,
        retries: NonZeroU16,
    ) -> Result<Option<Lease>, JournalError> {
        self.inner.lease(worker, term, retries).await
    }

    async fn checkpoint(&self, lease: &LeaseToken, checkpoint: Checkpoint) -> Result<State, JournalError> {
        let number = checkpoint.number;
        if let Some(Fault::NotStored(_, kind)) =
            self.take(|fault| matches!(fault, Fault::NotStored(of, _) if of == number))
        {
            return Err(JournalError::new(kind));
        }
        let state = self.inner.checkpoint(lease, checkpoint).await?;
        match self.take(|fault| fault == Fault::AnswerLost(number)) {
            Some(_) => Err(JournalError::new(JournalErrorKind::Unavailable)),
            None => Ok(state),
        }
    }

    async fn release(&self, lease: &LeaseToken) -> Result<(), JournalError> {
        self.inner.release(lease).await
    }

    async fn abort(&self, id: &BroadcastId) -> Result<Report, JournalError> {
        self.inner.abort(id).await
    }

    async fn summary(&self, id: &BroadcastId) -> Result<Option<Summary>, JournalError> {
        self.inner.summary(id).await
    }

    async fn failures(
        &self,
        id: &BroadcastId,
        after: Option<FailureId>,
        limit: NonZeroU16,
    ) -> Result<FailurePage, JournalError> {
        self.inner.failures(id, after, limit).await
    }

    async fn totals(&self, channel: &ChannelName) -> Result<Totals, JournalError> {
        self.inner.totals(channel).await
    }

    async fn recent(
        &self,
        after: Option<&BroadcastId>,
        limit: NonZeroU16,
    ) -> Result<Vec<Summary>, JournalError> {
        self.inner.recent(after, limit).await
    }

    async fn control(&self, id: &BroadcastId, control: Control) -> Result<(), JournalError> {
        self.inner.control(id, control).await
    }

    async fn unfinished(
        &self,
        after: Option<&BroadcastId>,
        limit: NonZeroU16,
    ) -> Result<Vec<BroadcastId>, JournalError> {
        self.inner.unfinished(after, limit).await
    }

    async fn purge(&self, older_than: Duration) -> Result<u64, JournalError> {
        self.inner.purge(older_than).await
    }

    async fn wait(&self, at_most: Duration) {
        self.inner.wait(at_most).await;
    }
}
