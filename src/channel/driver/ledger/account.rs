//! What adds up until a checkpoint takes it.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use tokio::time::Instant;

use super::super::super::RemovalHook;
use super::super::super::tally::ByOrigin;
use super::super::removals::Pending;
use crate::store::journal::{Checkpoint, Deferred, FailedDelivery, RetryId, SettledRetry, Tried};
use crate::store::{Change, Entry, EntryRef};
use crate::{Counts, Origin, OriginLabel, OriginReport, UserId};

/// An entry to be tried later. Its times become durations when the checkpoint is made.
#[derive(Debug)]
pub(in crate::channel::driver) struct Row {
    user: UserId,
    entry: EntryRef,
    origin: OriginLabel,
    tried: Tried,
    due: Instant,
    /// When its lifetime ends; none where that did not begin.
    ends: Option<Instant>,
    /// The length of body that a refusal left: whoever tries it next has to know.
    limit: Option<u16>,
}

impl Row {
    pub(in crate::channel::driver) fn new(
        entry: &Entry,
        tried: Tried,
        due: Instant,
        ends: Option<Instant>,
    ) -> Self {
        let endpoint = entry.subscription.endpoint();
        Self {
            user: entry.user.clone(),
            entry: entry.reference(),
            origin: OriginLabel::of(endpoint.vendor(), &endpoint.origin()),
            tried,
            due,
            ends,
            limit: None,
        }
    }

    /// The same after a body was too large.
    pub(in crate::channel::driver) const fn with_limit(mut self, limit: Option<u16>) -> Self {
        self.limit = limit;
        self
    }

    fn deferred(self, retry: RetryId, ttl: Duration, now: Instant) -> Deferred {
        let Self { user, entry, origin, tried, due, ends, limit: _ } = self;
        let ttl_left = ends.map_or(ttl, |ends| ends.saturating_duration_since(now));
        let after = due.saturating_duration_since(now);
        Deferred::new(retry, user, entry, origin, tried, after, ttl_left)
    }
}

/// What was done to some entries.
#[derive(Debug, Default)]
pub(super) struct Account {
    pub(super) attempts: u64,
    pub(super) repeats: u64,
    pub(super) counts: HashMap<OriginLabel, Counts>,
    changes: Vec<(EntryRef, Change)>,
    removals: Pending,
    pub(super) deferred: BTreeMap<RetryId, Row>,
    pub(super) settled: Vec<SettledRetry>,
    pub(super) failures: Vec<FailedDelivery>,
}

impl Account {
    pub(super) fn is_empty(&self) -> bool {
        self.attempts == 0
            && self.changes.is_empty()
            && self.removals.is_empty()
            && self.deferred.is_empty()
            && self.settled.is_empty()
    }

    pub(super) fn change(&mut self, entry: &Entry, origin: &Origin, changes: [Option<Change>; 2]) {
        for change in changes.into_iter().flatten() {
            if change == Change::Remove {
                let vendor = entry.subscription.endpoint().vendor();
                self.removals.push(origin, vendor, entry.reference());
            } else {
                self.changes.push((entry.reference(), change));
            }
        }
    }

    pub(super) fn merge(&mut self, mut other: Self) {
        self.attempts += other.attempts;
        self.repeats += other.repeats;
        for (label, counts) in other.counts {
            self.counts.entry(label).or_default().merge(&counts);
        }
        self.changes.append(&mut other.changes);
        self.removals.merge(other.removals);
        self.deferred.append(&mut other.deferred);
        self.settled.append(&mut other.settled);
        self.failures.append(&mut other.failures);
    }

    /// Moves all of it into a checkpoint. Removals pass the hook first.
    pub(super) fn write(
        self,
        checkpoint: &mut Checkpoint,
        ttl: Duration,
        hook: Option<&dyn RemovalHook>,
        counts: &ByOrigin,
        now: Instant,
    ) {
        let (removals, withheld) = self.removals.review(hook, counts);
        checkpoint.attempts = self.attempts;
        checkpoint.repeats = self.repeats;
        checkpoint.withheld = withheld;
        checkpoint.counts =
            self.counts.into_iter().map(|(label, counts)| OriginReport::new(label, counts)).collect();
        checkpoint.changes = self.changes;
        checkpoint.changes.extend(removals.into_iter().map(|entry| (entry, Change::Remove)));
        let limits = self.deferred.values().filter_map(|row| Some((row.entry, row.limit?)));
        checkpoint.changes.extend(limits.map(|(entry, limit)| (entry, Change::LimitPayload(limit))));
        let deferred = self.deferred.into_iter();
        checkpoint.deferred = deferred.map(|(retry, row)| row.deferred(retry, ttl, now)).collect();
        checkpoint.settled = self.settled;
        checkpoint.failures = self.failures;
    }
}
