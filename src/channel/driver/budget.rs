//! Retries wait where their origin's budget is used up.

use std::time::Duration;

use tokio::time::Instant;

use super::Driver;
use super::book::Book;
use super::job::{Fare, Job};

/// The last moment of a lifetime is this long before its end.
const LAST: Duration = Duration::from_secs(1);

impl<B: Book> Driver<B> {
    /// Whether a request for an entry may be made: a retry has to be paid for, once, when it is its turn. Paid for
    /// any earlier, those that a pause keeps would have what others need, and come all at once after it.
    pub(super) fn pays(&mut self, key: usize, now: Instant) -> bool {
        let job = &mut self.jobs[key];
        if job.fare == Fare::Paid || !job.trial.is_retry() {
            return true;
        }
        let paid = self.queues.origin(job.queue).pay(now);
        job.fare = if paid { Fare::Paid } else { Fare::Waits };
        paid
    }

    /// An entry is in hand no more. Where there was no answer to what it was to be sent, others may have the retry
    /// that was paid for, and make the probe that it may have been.
    pub(super) fn pay_back(&self, job: &Job, now: Instant) {
        let paid = job.fare == Fare::Paid;
        if !paid && job.vapid.is_none() {
            return;
        }
        let origin = self.queues.origin(job.queue);
        if let Some(vapid) = &job.vapid {
            origin.unproven(vapid.key_id(), || job.entry.subscription.id());
        }
        if let Some(budget) = origin.budget().filter(|_| paid) {
            budget.give_back(now);
        }
    }

    /// A retry that is not paid for moves; it uses up no try.
    pub(super) fn wait_for_budget(&mut self, key: usize, now: Instant) {
        let job = &mut self.jobs[key];
        let origin = self.queues.origin(job.queue);
        let Some(budget) = origin.budget() else { return };
        let due = budget.book(self.rng.f64(), now);
        // Better at the last moment than not at all.
        let end = job.trial.ends(self.message.ttl(), now).unwrap_or(self.deadline).min(self.deadline);
        let last = end.checked_sub(LAST).filter(|last| *last > now);
        self.retry(key, due.min(last.unwrap_or(due)), now);
    }
}
