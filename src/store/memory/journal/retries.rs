//! The deferred attempts of one broadcast.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound::{Excluded, Unbounded};
use std::time::Duration;

use tokio::time::Instant;

use super::instant_after;
use crate::store::journal::{Deferred, Due, RetryId, Tried};
use crate::{OriginLabel, SubscriptionId, UserId};

#[derive(Debug, Default)]
pub(super) struct Retries {
    rows: BTreeMap<RetryId, Retry>,
    /// Those that are not leased, by when they are due.
    free: BTreeSet<(Instant, RetryId)>,
}

#[derive(Debug)]
struct Retry {
    user: UserId,
    subscription: SubscriptionId,
    origin: OriginLabel,
    tried: Tried,
    due: Instant,
    deferred: Instant,
    /// When it was deferred.
    ttl_left: Duration,
    /// Who has it.
    lease: Option<u64>,
}

impl Retries {
    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// When the next one that nobody has is due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.free.first().map(|(due, _)| *due)
    }

    /// Keeps an attempt for later. One that another lease has stays with it. Of a batch only what
    /// is known is put off: the rest was settled by a late answer, or forgotten.
    pub(super) fn defer(&mut self, lease: u64, is_batch: bool, deferred: Deferred, now: Instant) {
        if is_batch && !self.rows.contains_key(&deferred.retry) {
            return;
        }
        let Deferred { retry, user, entry, origin, tried, after, ttl_left } = deferred;
        let (due, subscription) = (instant_after(now, after), entry.id);
        let mut row = Retry { user, subscription, origin, tried, due, deferred: now, ttl_left, lease: None };
        if let Some(known) = self.remove(&retry) {
            row.lease = known.lease.filter(|holder| *holder != lease);
        }
        if row.lease.is_none() {
            self.free.insert((due, retry));
        }
        self.rows.insert(retry, row);
    }

    /// Removes one that has its outcome; says whether it was known.
    pub(super) fn settle(&mut self, retry: &RetryId) -> bool {
        self.remove(retry).is_some()
    }

    fn remove(&mut self, retry: &RetryId) -> Option<Retry> {
        let row = self.rows.remove(retry)?;
        self.free.remove(&(row.due, *retry));
        Some(row)
    }

    /// Leases those that are due, the longest due first. Their entries are still to be read.
    pub(super) fn take(&mut self, lease: u64, limit: usize, now: Instant) -> Vec<Due> {
        let mut taken = Vec::new();
        while taken.len() < limit
            && let Some((due, retry)) = self.free.first().copied().filter(|(due, _)| *due <= now)
        {
            self.free.remove(&(due, retry));
            let row = self.rows.get_mut(&retry).expect("what is free is there");
            row.lease = Some(lease);
            taken.push(row.to_due(retry, now));
        }
        taken
    }

    /// Frees what a lease still has of the batch that it took.
    pub(super) fn give_back(&mut self, lease: u64, batch: &[RetryId]) {
        for retry in batch {
            let Some(row) = self.rows.get_mut(retry).filter(|row| row.lease == Some(lease)) else { continue };
            row.lease = None;
            self.free.insert((row.due, *retry));
        }
    }

    /// Removes the user's among the next `limit` after a retry. Returns whose push services they
    /// were for, and where to go on.
    pub(super) fn forget(
        &mut self,
        user: &UserId,
        after: Option<RetryId>,
        limit: usize,
    ) -> (Vec<OriginLabel>, Option<RetryId>) {
        let start = after.map_or(Unbounded, Excluded);
        let looked_at = self.rows.range((start, Unbounded)).take(limit);
        let (mut next, mut of_user) = (None, Vec::new());
        for (retry, row) in looked_at {
            next = Some(*retry);
            if row.user == *user {
                of_user.push(*retry);
            }
        }
        let removed = of_user.iter().filter_map(|retry| self.remove(retry));
        (removed.map(|row| row.origin).collect(), next)
    }
}

impl Retry {
    fn to_due(&self, retry: RetryId, now: Instant) -> Due {
        // The lifetime runs from the first attempt (H-6).
        let gone = if self.tried.attempts == 0 { Duration::ZERO } else { now - self.deferred };
        let ttl_left = self.ttl_left.saturating_sub(gone);
        let origin = self.origin.clone();
        Due::new(retry, self.user.clone(), self.subscription, origin, None, self.tried, ttl_left)
    }
}
