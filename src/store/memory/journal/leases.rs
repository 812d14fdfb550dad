//! Who has which work, and until when.

use std::collections::{BTreeSet, HashMap};

use tokio::time::Instant;

use crate::store::journal::{JournalError, JournalErrorKind, RetryId};

#[derive(Debug, Default)]
pub(super) struct Leases {
    rows: HashMap<u64, Lease>,
    until: BTreeSet<(Instant, u64)>,
    /// How many were given: the epoch of the last.
    given: u64,
}

#[derive(Debug)]
pub(super) struct Lease {
    /// The number of the broadcast.
    pub(super) broadcast: u64,
    pub(super) held: Held,
    pub(super) until: Instant,
    /// The number of the last checkpoint.
    pub(super) checkpoint: u64,
}

/// What is leased.
#[derive(Debug)]
pub(super) enum Held {
    /// A range by its index.
    Range(usize),
    /// The retries that were taken. Some may have been settled or deferred since.
    Retries(Vec<RetryId>),
}

impl Leases {
    /// A number that no lease had.
    pub(super) fn number(&mut self) -> u64 {
        self.given += 1;
        self.given
    }

    pub(super) fn insert(&mut self, number: u64, lease: Lease) {
        self.until.insert((lease.until, number));
        self.rows.insert(number, lease);
    }

    pub(super) fn remove(&mut self, number: u64) -> Option<Lease> {
        let lease = self.rows.remove(&number)?;
        self.until.remove(&(lease.until, number));
        Some(lease)
    }

    /// A lease whose term has not passed.
    pub(super) fn live(&mut self, number: u64, now: Instant) -> Result<&mut Lease, JournalError> {
        let live = self.rows.get_mut(&number).filter(|lease| lease.until > now);
        live.ok_or(JournalError::new(JournalErrorKind::LeaseLost))
    }

    pub(super) fn is_live(&self, number: u64, now: Instant) -> bool {
        self.rows.get(&number).is_some_and(|lease| lease.until > now)
    }

    pub(super) fn renew(&mut self, number: u64, until: Instant) {
        let Some(lease) = self.rows.get_mut(&number) else { return };
        self.until.remove(&(lease.until, number));
        lease.until = until;
        self.until.insert((until, number));
    }

    /// One whose term has passed.
    pub(super) fn expired(&self, now: Instant) -> Option<u64> {
        self.until.first().filter(|(until, _)| *until <= now).map(|(_, number)| *number)
    }

    /// When the next term passes.
    pub(super) fn next_expiry(&self) -> Option<Instant> {
        self.until.first().map(|(until, _)| *until)
    }
}
