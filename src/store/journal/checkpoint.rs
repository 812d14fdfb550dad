//! What was done under a lease.

use std::time::Duration;

use super::RetryId;
use crate::store::{Change, EntryRef, Position};
use crate::{Failure, OriginReport, UserId};

/// What was done since the last checkpoint: stored as a whole or not at all.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Checkpoint {
    /// Up to where every entry is settled or deferred. `None` where that did not advance, and for
    /// a batch of retries.
    pub position: Option<Position>,
    /// Whether the range was read to its end.
    pub done: bool,
    /// How many entries more that position covers.
    pub read: u64,
    /// How many requests were made.
    pub attempts: u64,
    /// How many removals a hook withheld.
    pub withheld: u64,
    /// The new outcomes, by origin.
    pub counts: Vec<OriginReport>,
    /// What the outcomes do to entries.
    pub changes: Vec<(EntryRef, Change)>,
    /// What is to be tried again.
    pub deferred: Vec<Deferred>,
    /// Which retries have their outcome.
    pub settled: Vec<RetryId>,
    /// What was not accepted.
    pub failures: Vec<Failure>,
    /// The new term of the lease, from now.
    pub extend: Duration,
}

impl Checkpoint {
    /// A checkpoint that does nothing but renew the lease.
    #[must_use]
    pub fn new(extend: Duration) -> Self {
        Self { extend, ..Self::default() }
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
    /// How many attempts there were.
    pub attempt: u8,
    /// When it is due, from now.
    pub after: Duration,
    /// What is left of the message's lifetime.
    pub ttl_left: Duration,
}

impl Deferred {
    /// A deferred attempt of its parts.
    #[must_use]
    pub const fn new(
        retry: RetryId,
        user: UserId,
        entry: EntryRef,
        attempt: u8,
        after: Duration,
        ttl_left: Duration,
    ) -> Self {
        Self { retry, user, entry, attempt, after, ttl_left }
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
