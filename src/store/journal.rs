//! Stores that also remember broadcasts, so that one survives the process that began it.

mod broadcast;
mod checkpoint;
mod error;
mod lease;
#[cfg(any(all(feature = "memory", feature = "channel"), feature = "sqlite", feature = "postgres"))]
pub(in crate::store) mod tallies;

use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

pub use self::broadcast::{Begun, Control, NewBroadcast, State, Summary, Totals};
pub use self::checkpoint::{
    Checkpoint, Deferred, FailedDelivery, FailureId, FailurePage, SettledRetry, Tried,
};
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
/// * A new broadcast begins as its [`control`](NewBroadcast::control) says: no lease sees it running
///   otherwise. Beginning a known one again changes nothing of how that goes on.
///
/// **Leasing**
/// * Work is a range of a broadcast, or a batch of retries of one broadcast that are due. Retries
///   are leased as ranges are: a lease that ends gives them back.
/// * Nobody else gets what is leased until the lease is released or its term has passed *by the
///   storage's clock*. Nodes never compare clocks: what they get are durations.
/// * Each lease has an epoch of its own. A token whose term has passed, also where nobody took the
///   work over yet, or whose lease ended, is refused with [`JournalErrorKind::LeaseLost`], and
///   nothing of what it asked is done. A term of zero has passed at once. A token of another
///   journal is refused with [`JournalErrorKind::Invalid`].
/// * Leasing is fair: the broadcast that was least recently leased comes first; among equals,
///   the one of higher urgency. Paused and aborted broadcasts give no work.
/// * A broadcast whose `send_within` has passed still gives its work, with nothing left: the
///   worker settles retries as expired and ends ranges as timed out.
/// * A limited rate ([`Control::per_minute`]) is divided among the live leases of the broadcast:
///   each lease, and each answer to a checkpoint, says its share, 1 at least.
/// * A lease that is taken after its term had passed, not released, is a *takeover*: the report
///   counts them.
///
/// **Checkpoints**
/// * A [`Checkpoint`] is one transaction: position, counts, changes of entries, deferrals,
///   settled retries, failures and the new term are stored together or not at all. It adds;
///   nothing in it is a total.
/// * It may be sent again when its answer was lost: one whose number is not above the last one
///   that was stored under the lease is answered and does nothing else.
/// * Its changes are applied as by [`apply`](SubscriptionStore::apply); those that removed an
///   entry are counted as pruned.
/// * A retry is due after the time that it was deferred for. One that is deferred again under its
///   id is the same retry, later.
/// * Settling a retry that is unknown does and counts nothing: an answer may come after another
///   worker took the retry and settled it. So does deferring one under the lease of a batch: what
///   is not known any more has its outcome.
/// * A checkpoint that is `done` ends its lease, or, where it still `awaits` answers, only its
///   range: the lease goes on, so that retries can be settled under it. What a batch of retries
///   neither settled nor deferred is due again at once when its lease ends.
/// * A broadcast is finished inside the checkpoint that leaves no open range and no retry; that
///   checkpoint returns [`State::Finished`], and its counts are added to the channel's
///   [`totals`](Self::totals) in the same transaction, once. It has timed out where a range was
///   ended before its end.
///
/// **Counts**
/// * In every report, the counts over all outcomes and `pending` add up to the entries read.
///   After an abort what was deferred stays pending.
/// * Its origins are the vendors, the 16 busiest others and the rest, its failures the first 100.
///
/// **Forgetting**
/// * [`forget`](SubscriptionStore::forget) also removes the user's retries and failures; the
///   retries count as [`Skipped`](crate::OutcomeKind::Skipped), and a broadcast that had nothing
///   else left is finished by it. What a worker has in hand at that moment may still be recorded
///   by its next checkpoint.
///
/// Positions, ranges and the endpoints' origins are octets and words to a journal: it may keep
/// the work of another store (see [`Paired`](super::Paired)).
///
/// Every operation may be repeated without harm.
///
/// `testing::journal_suite` holds one test for each of these.
///
/// # Cancel safety
///
/// Dropping the future of any method leaves it open whether it was done.
#[async_trait]
pub trait Journal: SubscriptionStore {
    /// Stores a broadcast and its ranges, which [`split`](SubscriptionStore::split) made.
    async fn begin(&self, broadcast: &NewBroadcast, ranges: &[Range]) -> Result<Begun, JournalError>;

    /// Leases some work for this long, if there is any now: a range, or at most so many retries.
    async fn lease(
        &self,
        worker: &WorkerId,
        term: Duration,
        retries: NonZeroU16,
    ) -> Result<Option<Lease>, JournalError>;

    /// Stores what was done under a lease and extends it, and says how the broadcast stands. When
    /// it says that the work is done, the lease ends.
    async fn checkpoint(&self, lease: &LeaseToken, checkpoint: Checkpoint) -> Result<State, JournalError>;

    /// Gives work back before its term. A lease that was lost is no error here.
    async fn release(&self, lease: &LeaseToken) -> Result<(), JournalError>;

    /// Ends a broadcast: no more work is given, retries are dropped. A checkpoint under a lease that
    /// was live at that moment does nothing and answers [`State::Aborted`], until its term has
    /// passed: so the worker learns why it has to stop. Aborting one that ended already changes
    /// nothing.
    async fn abort(&self, id: &BroadcastId) -> Result<Report, JournalError>;

    /// To whom a broadcast is, when it began and how it stands; `None` if it is unknown. What
    /// [`recent`](Self::recent) lists of it.
    ///
    /// # Errors
    ///
    /// Where the storage does not answer, or what it holds of the broadcast is damaged.
    ///
    /// # Cancel safety
    ///
    /// It only reads: dropping the future changes nothing.
    async fn summary(&self, id: &BroadcastId) -> Result<Option<Summary>, JournalError>;

    /// How a broadcast stands, as its [`summary`](Self::summary) says; `None` if it is unknown.
    ///
    /// # Errors
    ///
    /// As with the summary.
    ///
    /// # Cancel safety
    ///
    /// As with the summary.
    async fn report(&self, id: &BroadcastId) -> Result<Option<Report>, JournalError> {
        Ok(self.summary(id).await?.map(|summary| summary.report))
    }

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
    /// their next checkpoint. It takes the place of what was said before, also of the rate that the
    /// broadcast was enqueued with: pause with the rate that it is to go on at.
    async fn control(&self, id: &BroadcastId, control: Control) -> Result<(), JournalError>;

    /// The broadcasts that have not ended, by id, after this one.
    async fn unfinished(
        &self,
        after: Option<&BroadcastId>,
        limit: NonZeroU16,
    ) -> Result<Vec<BroadcastId>, JournalError>;

    /// Forgets broadcasts that ended longer ago than this, with their failures: where it is zero,
    /// all that ended. Says how many.
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

            async fn lease(
                &self,
                worker: &WorkerId,
                term: Duration,
                retries: NonZeroU16,
            ) -> Result<Option<Lease>, JournalError> {
                (**self).lease(worker, term, retries).await
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

            async fn summary(&self, id: &BroadcastId) -> Result<Option<Summary>, JournalError> {
                (**self).summary(id).await
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
