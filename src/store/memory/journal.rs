//! The journal half: broadcasts in this process.
//!
//! They have a lock of their own. Where both are held, it is taken before the one of the
//! subscriptions.

mod broadcast;
mod broadcasts;
mod checkpoint;
mod forget;
mod leases;
mod retries;
mod turns;
mod work;

use std::num::NonZeroU16;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use self::broadcasts::Broadcasts;
use super::{BATCH, MemoryStore};
use crate::store::journal::{
    Begun, Checkpoint, Control, Due, FailureId, FailurePage, Journal, JournalError, Lease, LeaseToken,
    NewBroadcast, State, Summary, Totals, Work, WorkerId,
};
use crate::store::{Change, EntryRef, Range, StoreError};
use crate::{BroadcastId, ChannelName, Report};

/// The broadcasts, and who waits for work.
#[derive(Debug, Default)]
pub(super) struct Book {
    broadcasts: Mutex<Broadcasts>,
    changed: Notify,
}

/// The most reports that are made without letting others in: each copies up to 100 failures.
const SUMMARIES: usize = 16;

impl Book {
    pub(super) fn len(&self) -> usize {
        self.with(|broadcasts, _| broadcasts.len())
    }

    /// Under the lock. Times are read there, so that they follow one another.
    fn with<T>(&self, work: impl FnOnce(&mut Broadcasts, Instant) -> T) -> T {
        // As with the subscriptions: what is there after a panic is the best there is.
        let mut broadcasts = self.broadcasts.lock().unwrap_or_else(PoisonError::into_inner);
        work(&mut broadcasts, Instant::now())
    }

    /// Tells those who wait that there may be work.
    fn tell(&self) {
        self.changed.notify_waiters();
    }
}

/// `delay` after `now`, or as good as never.
fn instant_after(now: Instant, delay: Duration) -> Instant {
    const CENTURY: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
    now + delay.min(CENTURY)
}

impl MemoryStore {
    fn lease_number(&self, lease: &LeaseToken) -> Result<u64, JournalError> {
        let [number] = lease.decode(self.tag).map_err(StoreError::from)?;
        Ok(number)
    }

    /// Applies changes and counts the removals among them.
    fn apply_counting(&self, changes: &[(EntryRef, Change)]) -> u64 {
        let done = changes.iter().zip(self.apply_all(changes));
        done.filter(|((_, change), done)| *done && matches!(change, Change::Remove)).count() as u64
    }

    /// Reads the entries of retries as they are now.
    fn read_entries(&self, due: &mut [Due]) {
        for due in due.chunks_mut(BATCH) {
            let state = self.read();
            for due in due {
                let found = state.find(&due.subscription, self.hashers.id(&due.subscription));
                due.entry = found.map(|at| state.entry(at)).filter(|entry| entry.user == due.user);
            }
        }
    }
}

#[async_trait]
impl Journal for MemoryStore {
    async fn begin(&self, broadcast: &NewBroadcast, ranges: &[Range]) -> Result<Begun, JournalError> {
        let (fingerprint, created) = (broadcast.fingerprint(), self.clock.now());
        let begun = self.journal.with(|all, now| all.begin(broadcast, fingerprint, ranges, created, now))?;
        self.journal.tell();
        Ok(begun)
    }

    async fn lease(
        &self,
        _worker: &WorkerId,
        term: Duration,
        retries: NonZeroU16,
    ) -> Result<Option<Lease>, JournalError> {
        let mut lease = self.journal.with(|all, now| all.lease(self.tag, term, retries, now));
        if let Some(Lease { work: Work::Retries(due), .. }) = &mut lease {
            self.read_entries(due);
        }
        Ok(lease)
    }

    async fn checkpoint(&self, lease: &LeaseToken, checkpoint: Checkpoint) -> Result<State, JournalError> {
        let lease = self.lease_number(lease)?;
        let state = self.journal.with(|all, now| {
            if let Some(answer) = all.admit(lease, &checkpoint, now)? {
                return Ok(answer);
            }
            let pruned = self.apply_counting(&checkpoint.changes);
            all.store(lease, checkpoint, pruned, now)
        })?;
        self.journal.tell();
        Ok(state)
    }

    async fn release(&self, lease: &LeaseToken) -> Result<(), JournalError> {
        let lease = self.lease_number(lease)?;
        self.journal.with(|all, now| all.release(lease, now));
        self.journal.tell();
        Ok(())
    }

    async fn abort(&self, id: &BroadcastId) -> Result<Report, JournalError> {
        let report = self.journal.with(|all, now| all.abort(id, now))?;
        self.journal.tell();
        Ok(report)
    }

    async fn summary(&self, id: &BroadcastId) -> Result<Option<Summary>, JournalError> {
        Ok(self.journal.with(|all, now| all.summary(id, now)))
    }

    async fn failures(
        &self,
        id: &BroadcastId,
        mut after: Option<FailureId>,
        limit: NonZeroU16,
    ) -> Result<FailurePage, JournalError> {
        let (limit, mut failures) = (usize::from(limit.get()), Vec::new());
        loop {
            let wanted = BATCH.min(limit - failures.len());
            let page = self.journal.with(|all, _| all.failures(id, after, wanted))?;
            failures.extend(page.failures);
            if page.next.is_none() || failures.len() == limit {
                return Ok(FailurePage::new(failures, page.next));
            }
            after = page.next;
        }
    }

    async fn totals(&self, channel: &ChannelName) -> Result<Totals, JournalError> {
        Ok(self.journal.with(|all, _| all.totals(channel)))
    }

    async fn recent(
        &self,
        after: Option<&BroadcastId>,
        limit: NonZeroU16,
    ) -> Result<Vec<Summary>, JournalError> {
        let (limit, mut summaries) = (usize::from(limit.get()), Vec::new());
        let mut below = match after {
            Some(id) => self.journal.with(|all, _| all.number(id))?,
            None => u64::MAX,
        };
        while summaries.len() < limit {
            let wanted = SUMMARIES.min(limit - summaries.len());
            let found = self.journal.with(|all, now| all.recent(below, wanted, now));
            let Some((number, _)) = found.last() else { break };
            below = *number;
            summaries.extend(found.into_iter().map(|(_, summary)| summary));
        }
        Ok(summaries)
    }

    async fn control(&self, id: &BroadcastId, control: Control) -> Result<(), JournalError> {
        self.journal.with(|all, now| all.control(id, control, now))?;
        self.journal.tell();
        Ok(())
    }

    async fn unfinished(
        &self,
        after: Option<&BroadcastId>,
        limit: NonZeroU16,
    ) -> Result<Vec<BroadcastId>, JournalError> {
        Ok(self.journal.with(|all, _| all.unfinished(after, limit.get().into())))
    }

    async fn purge(&self, older_than: Duration) -> Result<u64, JournalError> {
        let mut purged = 0;
        loop {
            let gone = self.journal.with(|all, now| all.purge(older_than, BATCH, now)).len();
            purged += gone as u64;
            if gone < BATCH {
                return Ok(purged);
            }
        }
    }

    async fn wait(&self, at_most: Duration) {
        // Listening comes first: what happens after the look at the work is heard.
        let changed = self.journal.changed.notified();
        let until = self.journal.with(|all, now| {
            let latest = instant_after(now, at_most);
            all.next_work(now).map_or(latest, |next| next.min(latest))
        });
        // Either way the caller looks for work.
        let _ = timeout_at(until, changed).await;
    }
}
