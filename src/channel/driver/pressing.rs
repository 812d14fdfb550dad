//! Direct mode, where nothing more can wait outside the window: those that cannot be sent must not keep all
//! others waiting for as long as their push services are broken.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use super::Driver;
use super::book::Book;
use super::job::Fare;
use super::queues::Crowd;

/// How often whoever holds the others up uses up a try. Six, of the default policy, are used up in half
/// a minute, which is what tries and the longest pauses between them take.
const EVERY: Duration = Duration::from_secs(5);

/// When it was looked last whether somebody holds the others up.
#[derive(Debug, Default)]
pub(super) struct Pressing(Option<Instant>);

impl Pressing {
    /// Whether to look now; `held_up`: reading waits.
    pub(super) fn is_due(&mut self, held_up: bool, now: Instant) -> bool {
        match self.0 {
            Some(last) if now < last + EVERY => false,
            last => {
                self.0 = held_up.then_some(now);
                held_up && last.is_some()
            }
        }
    }

    pub(super) fn wake(&self) -> Option<Instant> {
        self.0.map(|last| last + EVERY)
    }
}

impl<B: Book> Driver<B> {
    /// Makes room in the window for others: what waits is deferred, and uses up a try where no more can be.
    pub(super) fn press(&mut self, now: Instant) {
        let accompanied = self.queues.with_company();
        for queue in &accompanied {
            self.queues.defer(*queue, now, &mut self.jobs, &mut self.window);
        }
        for key in self.window.due() {
            let job = &mut self.jobs[key];
            if accompanied.contains(&job.queue) {
                self.window.defer(job);
            }
        }
        let missing = self.window.missing();
        if missing == 0 || !self.window.is_crowded() {
            return;
        }
        let crowd = self.queues.crowd(now);
        // It may be full of those that are being sent.
        if self.held_by(&crowd) >= missing {
            self.use_up(&crowd, now);
        }
    }

    /// How many places of the window those have who would use up a try.
    fn held_by(&self, crowd: &Crowd) -> usize {
        let broken = crowd.broken().flat_map(|queue| self.queues.keys(queue));
        let due = self.window.due().into_iter().filter(|key| self.waits(*key, crowd));
        broken.chain(due).filter(|key| !self.jobs[*key].deferred).count()
    }

    /// Whether an entry waits for its origin's budget, and others wait behind it.
    fn waits(&self, key: usize, crowd: &Crowd) -> bool {
        let job = &self.jobs[key];
        job.fare == Fare::Waits && crowd.contains(job.queue)
    }

    /// Each entry that waits for a broken origin, or for its budget of retries, uses up a try. Where retries
    /// succeed again, they ask for theirs.
    fn use_up(&mut self, crowd: &Crowd, now: Instant) {
        for queue in crowd.broken() {
            if !self.queues.sat_through(queue, EVERY, now) {
                self.sit_through(queue, now);
            }
        }
        let waiting: Vec<_> = self.window.due().into_iter().filter(|key| self.waits(*key, crowd)).collect();
        let mut moved = BTreeMap::new();
        for key in waiting {
            let origin = self.queues.origin(self.jobs[key].queue);
            if origin.budget().is_some_and(|budget| budget.helped(EVERY, now)) {
                moved.insert(key, None);
            } else if let Some(settled) = self.jobs[key].trial.sat_through(self.hub.sender.core()) {
                moved.insert(key, Some(settled));
            }
        }
        self.window.retain_due(|key| !moved.contains_key(&key));
        for (key, settled) in moved {
            match settled {
                Some(settled) => self.settle(key, settled, now),
                None => drop(self.ready(key, now)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn every_five_seconds_while_others_wait() {
        let (mut pressing, start) = (Pressing::default(), Instant::now());
        let mut at = |seconds, held_up| pressing.is_due(held_up, start + Duration::from_secs(seconds));
        assert!(!at(0, false) && !at(1, true) && !at(5, true));
        assert!(at(6, true) && !at(7, true), "what was read in between does not begin it anew");
        assert!(!at(8, false) && at(11, true));
        assert!(!at(16, false) && !at(17, true), "for a while they did not wait");
        assert!(at(22, true));
    }
}
