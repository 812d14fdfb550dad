//! Forgetting a user.

use tokio::time::Instant;

use super::Book;
use super::broadcast::Broadcast;
use super::broadcasts::Broadcasts;
use crate::store::journal::RetryId;
use crate::store::memory::BATCH;
use crate::{OutcomeKind, UserId};

impl Book {
    /// Removes a user's retries and failures. Between two steps the lock is free; what is stored
    /// meanwhile was in hand.
    pub(in crate::store::memory) fn forget(&self, user: &UserId) {
        let mut number = 0;
        while let Some(next) = self.with(|broadcasts, _| broadcasts.number_after(number)) {
            number = next;
            let mut retry = None;
            while let Some(last) = self.with(|all, now| all.forget_retries(number, user, retry, now)) {
                retry = Some(last);
            }
            let mut failure = None;
            while let Some(last) = self.with(|all, _| all.forget_failures(number, user, failure)) {
                failure = Some(last);
            }
        }
        self.tell();
    }
}

impl Broadcasts {
    fn number_after(&self, number: u64) -> Option<u64> {
        self.rows.range(number + 1..).next().map(|(number, _)| *number)
    }

    /// Removes the user's among some retries; returns the last that was looked at.
    fn forget_retries(
        &mut self,
        number: u64,
        user: &UserId,
        after: Option<RetryId>,
        now: Instant,
    ) -> Option<RetryId> {
        let broadcast = self.rows.get_mut(&number)?;
        let (origins, last) = broadcast.running_mut()?.retries.forget(user, after, BATCH);
        for origin in &origins {
            broadcast.tallies.count(origin, OutcomeKind::Skipped, 1);
        }
        if !origins.is_empty() {
            self.update(number, now);
            self.finish_if_through(number, now);
        }
        last
    }

    fn forget_failures(&mut self, number: u64, user: &UserId, after: Option<u64>) -> Option<u64> {
        self.rows.get_mut(&number).and_then(|row: &mut Broadcast| row.forget_failures(user, after, BATCH))
    }
}
