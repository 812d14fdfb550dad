//! Stores that also remember broadcasts, so that one survives the process that began it.

mod broadcast;
mod checkpoint;
mod error;
mod lease;

use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

pub use self::broadcast::{Begun, Control, NewBroadcast, State, Summary, Totals};
pub use self::checkpoint::{Checkpoint, Deferred, FailureId, FailurePage};
pub use self::error::{JournalError, JournalErrorKind};
pub use self::lease::{Due, Lease, LeaseToken, RetryId, Work, WorkerId};
use super::{Range, SubscriptionStore};
use crate::{BroadcastId, ChannelName, Report};

/// A [`SubscriptionStore`] that remembers broadcasts and hands their work out.
///
/// # Contract
///
/// Between the application, which begins broadcasts, any number of workers on any number of
/// nodes, and one storage that holds the subscriptions too, because only that can commit a
/// position, removals, retries and counts in one transaction:
///
/// **Beginning**
/// * [`begin`](Self::begin) is atomic and idempotent. When it has returned, the broadcast
///   survives a crash of everything. The same id with the same
///   [`fingerprint`](NewBroadcast::fingerprint) is the broadcast that is there already, with the
///   ranges that it has; with another one it is an error of kind [`JournalErrorKind::Conflict`].
///   That is remembered until [`purge`](Self::purge). A broadcast without ranges is finished.
///
/// **Leasing**
/// * Work is a range of a broadcast, or a batch of retries of one broadcast that are due. Retries
///   are leased as ranges are: a lease that ends gives them back.
/// * Nobody else gets what is leased until the lease is released or its term has passed *by the
///   storage's clock*. Nodes never compare clocks: what they get are durations.
/// * Each lease has an epoch of its own. A token whose lease was lost, or handed out again, is
///   refused with [`JournalErrorKind::LeaseLost`], and nothing of what it asked is done.
/// * Leasing is fair: the broadcast that was least recently leased comes first; among equals,
///   the one of higher urgency. Paused and aborted broadcasts give no work.
/// * A broadcast whose `send_within` has passed still gives its work, with nothing left: the
///   worker settles it as expired.
///
/// **Checkpoints**
/// * A [`Checkpoint`] is one transaction: position, counts, changes of entries, deferrals,
///   settled retries, failures and the new term are stored together or not at all. It adds;
///   nothing in it is a total.
/// * Its changes are applied as by [`apply`](SubscriptionStore::apply).
/// * A retry is due after the time that it was deferred for. One that is deferred again under its
///   id is the same retry, later. Settling one that is unknown does nothing: an answer may come
///   after another worker took the retry.
/// * A broadcast is finished inside the checkpoint that leaves no open range and no retry; that
///   checkpoint returns [`State::Finished`], and its counts are added to the channel's
///   [`totals`](Self::totals) in the same transaction, once.
///
/// **Counts**
/// * In every report, the counts over all outcomes and `pending` add up to the entries read.
///
/// **Forgetting**
/// * [`forget`](SubscriptionStore::forget) also removes the user's retries and failures; the
///   retries count as [`Skipped`](crate::OutcomeKind::Skipped).
///
/// Every operation may be repeated without harm; a repeated checkpoint of a lost answer is the
/// exception that the fence is for: the worker drops its lease instead, and whoever takes the
/// range repeats at most a window.
///
/// # Cancel safety
///
/// Dropping the future of any method leaves it open whether it was done.
#[async_trait]
pub trait Journal: SubscriptionStore {
    /// Stores a broadcast and its ranges, which [`split`](SubscriptionStore::split) made.
    async fn begin(&self, broadcast: &NewBroadcast, ranges: &[Range]) -> Result<Begun, JournalError>;

    /// Leases some work for this long, if there is any now.
    async fn lease(&self, worker: &WorkerId, term: Duration) -> Result<Option<Lease>, JournalError>;

    /// Stores what was done under a lease and extends it, and says how the broadcast stands. When
    /// the range is done, or every retry of the batch is settled or deferred, the lease ends.
    async fn checkpoint(&self, lease: &LeaseToken, checkpoint: Checkpoint) -> Result<State, JournalError>;

    /// Gives work back before its term. A lease that was lost is no error here.
    async fn release(&self, lease: &LeaseToken) -> Result<(), JournalError>;

    /// Ends a broadcast: no more work is given, leases on it are lost, retries are dropped.
    /// Aborting one that ended already changes nothing.
    async fn abort(&self, id: &BroadcastId) -> Result<Report, JournalError>;

    /// How a broadcast stands; `None` if it is unknown.
    async fn report(&self, id: &BroadcastId) -> Result<Option<Report>, JournalError>;

    /// The failures of a broadcast, oldest first.
    async fn failures(
        &self,
        id: &BroadcastId,
        after: Option<FailureId>,
        limit: NonZeroU16,
    ) -> Result<FailurePage, JournalError>;

    /// What all finished broadcasts to a channel add up to. Survives [`purge`](Self::purge).
    async fn totals(&self, channel: &ChannelName) -> Result<Totals, JournalError>;

    /// Broadcasts, the latest first, after one of them or from the latest.
    async fn recent(
        &self,
        after: Option<&BroadcastId>,
        limit: NonZeroU16,
    ) -> Result<Vec<Summary>, JournalError>;

    /// Pauses a broadcast, lets it go on, or limits its rate. Workers see it in the answer to
    /// their next checkpoint.
    async fn control(&self, id: &BroadcastId, control: Control) -> Result<(), JournalError>;

    /// The broadcasts that have not ended, by id, after this one.
    async fn unfinished(
        &self,
        after: Option<&BroadcastId>,
        limit: NonZeroU16,
    ) -> Result<Vec<BroadcastId>, JournalError>;

    /// Forgets broadcasts that ended longer ago than this, with their failures. Says how many.
    async fn purge(&self, older_than: Duration) -> Result<u64, JournalError>;

    /// Waits until there may be work, and not longer than this. Only a hint: there may be none,
    /// and another worker may be faster.
    async fn wait(&self, at_most: Duration);
}

macro_rules! forward {
    ($pointer:ident) => {
        #[async_trait]
        #[deny(clippy::missing_trait_methods)]
        impl<T: Journal + ?Sized> Journal for $pointer<T> {
            async fn begin(&self, broadcast: &NewBroadcast, ranges: &[Range]) -> Result<Begun, JournalError> {
                (**self).begin(broadcast, ranges).await
            }

            async fn lease(&self, worker: &WorkerId, term: Duration) -> Result<Option<Lease>, JournalError> {
                (**self).lease(worker, term).await
            }

            async fn checkpoint(
                &self,
                lease: &LeaseToken,
                checkpoint: Checkpoint,
            ) -> Result<State, JournalError> {
                (**self).checkpoint(lease, checkpoint).await
            }

            async fn release(&self, lease: &LeaseToken) -> Result<(), JournalError> {
                (**self).release(lease).await
            }

            async fn abort(&self, id: &BroadcastId) -> Result<Report, JournalError> {
                (**self).abort(id).await
            }

            async fn report(&self, id: &BroadcastId) -> Result<Option<Report>, JournalError> {
                (**self).report(id).await
            }

            async fn failures(
                &self,
                id: &BroadcastId,
                after: Option<FailureId>,
                limit: NonZeroU16,
            ) -> Result<FailurePage, JournalError> {
                (**self).failures(id, after, limit).await
            }

            async fn totals(&self, channel: &ChannelName) -> Result<Totals, JournalError> {
                (**self).totals(channel).await
            }

            async fn recent(
                &self,
                after: Option<&BroadcastId>,
                limit: NonZeroU16,
            ) -> Result<Vec<Summary>, JournalError> {
                (**self).recent(after, limit).await
            }

            async fn control(&self, id: &BroadcastId, control: Control) -> Result<(), JournalError> {
                (**self).control(id, control).await
            }

            async fn unfinished(
                &self,
                after: Option<&BroadcastId>,
                limit: NonZeroU16,
            ) -> Result<Vec<BroadcastId>, JournalError> {
                (**self).unfinished(after, limit).await
            }

            async fn purge(&self, older_than: Duration) -> Result<u64, JournalError> {
                (**self).purge(older_than).await
            }

            async fn wait(&self, at_most: Duration) {
                (**self).wait(at_most).await;
            }
        }
    };
}
forward!(Arc);
forward!(Box);

#[cfg(test)]
mod tests {
    use super::*;

    static_assertions::assert_obj_safe!(Journal);
    static_assertions::assert_impl_all!(Arc<dyn Journal>: Journal);
    static_assertions::assert_impl_all!(Box<dyn Journal>: Journal);
}
