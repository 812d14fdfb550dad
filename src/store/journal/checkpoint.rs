//! What was done under a lease.

use std::time::Duration;

use super::RetryId;
use crate::store::{Change, EntryRef, Position};
use crate::{Failure, OriginLabel, OriginReport, OutcomeKind, UserId};

/// What was done since the last checkpoint: stored as a whole or not at all.
///
/// What belongs to an entry of a range (its outcome, change, failure, attempts) stands in the
/// checkpoint whose position covers it, so that nothing is counted again by whoever reads the
/// entry again. What belongs to a retry stands in its [`SettledRetry`].
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Checkpoint {
    /// Counts the checkpoints of one lease, from 1. One that was sent again because its answer
    /// was lost has the number that it had.
    pub number: u64,
    /// Up to where every entry is settled or deferred. `None` where that did not advance, and for
    /// a batch of retries.
    pub position: Option<Position>,
    /// Whether the range was read to its end, or every retry of the batch is settled or deferred:
    /// the lease ends, unless answers are awaited.
    pub done: bool,
    /// Whether the lease goes on although its range is done, because answers to what was deferred
    /// may still come. It ends with a checkpoint that is done and awaits none.
    pub awaits: bool,
    /// Whether the range ends here because the time of the broadcast was used up.
    pub timed_out: bool,
    /// How many entries more that position covers.
    pub read: u64,
    /// How many requests were made.
    pub attempts: u64,
    /// How many of these requests followed one that may have arrived.
    pub repeats: u64,
    /// How many removals a hook withheld.
    pub withheld: u64,
    /// The new outcomes of entries of the range, by origin.
    pub counts: Vec<OriginReport>,
    /// What the outcomes do to entries.
    pub changes: Vec<(EntryRef, Change)>,
    /// How many entries were removed already, where another store than this journal keeps them
    /// ([`Paired`](crate::store::Paired)); they are counted with those that `changes` remove.
    pub pruned: u64,
    /// What is to be tried again, later.
    pub deferred: Vec<Deferred>,
    /// Which retries have their outcome.
    pub settled: Vec<SettledRetry>,
    /// What was not accepted, of the entries of the range.
    pub failures: Vec<FailedDelivery>,
    /// The new term of the lease, from now.
    pub extend: Duration,
}

impl Checkpoint {
    /// Whether the lease ends with it.
    #[must_use]
    pub const fn ends_lease(&self) -> bool {
        self.done && !self.awaits
    }

    /// A checkpoint that does nothing but renew the lease.
    #[must_use]
    pub fn new(number: u64, extend: Duration) -> Self {
        Self { number, extend, ..Self::default() }
    }
}

/// An attempt to be made later.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Deferred {
    /// Its id, chosen by the worker.
    pub retry: RetryId,
    /// Whose subscription it is.
    pub user: UserId,
    /// Which, in the state that was tried.
    pub entry: EntryRef,
    /// Whose push service.
    pub origin: OriginLabel,
    /// What was tried so far.
    pub tried: Tried,
    /// When it is due, from now.
    pub after: Duration,
    /// What is left of the message's lifetime now. It runs from the first attempt (H-6): before
    /// that it does not shrink.
    pub ttl_left: Duration,
}

impl Deferred {
    /// A deferred attempt of its parts.
    #[must_use]
    #[allow(clippy::too_many_arguments, reason = "a row's parts")]
    pub const fn new(
        retry: RetryId,
        user: UserId,
        entry: EntryRef,
        origin: OriginLabel,
        tried: Tried,
        after: Duration,
        ttl_left: Duration,
    ) -> Self {
        Self { retry, user, entry, origin, tried, after, ttl_left }
    }
}

/// What was tried of a deferred attempt.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub struct Tried {
    /// How many requests were made.
    pub attempts: u8,
    /// How many tries are used up: requests that failed, and pauses that were sat through.
    pub failures: u8,
    /// Whether the last request may have arrived.
    pub unconfirmed: bool,
}

impl Tried {
    /// So many requests and used-up tries; the last request may have arrived or not.
    #[must_use]
    pub const fn new(attempts: u8, failures: u8, unconfirmed: bool) -> Self {
        Self { attempts, failures, unconfirmed }
    }
}

/// The outcome of a retry. It counts only if the journal still knows the retry: another worker
/// may have settled it meanwhile.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SettledRetry {
    /// Which.
    pub retry: RetryId,
    /// Whose push service.
    pub origin: OriginLabel,
    /// How it ended.
    pub outcome: OutcomeKind,
    /// The failure to be listed, where it was not accepted.
    pub failure: Option<FailedDelivery>,
}

impl SettledRetry {
    /// A settled retry of its parts.
    #[must_use]
    pub const fn new(
        retry: RetryId,
        origin: OriginLabel,
        outcome: OutcomeKind,
        failure: Option<FailedDelivery>,
    ) -> Self {
        Self { retry, origin, outcome, failure }
    }
}

/// A failure, and whose subscription it was, so that it can be forgotten with the user.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct FailedDelivery {
    /// Whose subscription.
    pub user: UserId,
    /// What failed.
    pub failure: Failure,
}

impl FailedDelivery {
    /// A failure of one of this user's subscriptions.
    #[must_use]
    pub const fn new(user: UserId, failure: Failure) -> Self {
        Self { user, failure }
    }
}

/// Where a failure stands in its broadcast.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct FailureId(u64);

impl FailureId {
    /// The number, as a journal keeps it.
    #[must_use]
    pub const fn as_u64(self) -> u64 {
        self.0
    }

    /// The id that a journal kept.
    #[must_use]
    pub const fn from_u64(number: u64) -> Self {
        Self(number)
    }
}

/// Some failures of a broadcast.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct FailurePage {
    /// The failures, at most as many as were asked for.
    pub failures: Vec<Failure>,
    /// Where to go on; `None` ends.
    pub next: Option<FailureId>,
}

impl FailurePage {
    /// A page of its parts.
    #[must_use]
    pub const fn new(failures: Vec<Failure>, next: Option<FailureId>) -> Self {
        Self { failures, next }
    }
}
