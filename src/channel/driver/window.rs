//! How many entries are in hand, and which of them wait for what.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use tokio::time::Instant;

use super::super::Limits;
use super::job::Job;
use crate::sender::origin::SILENCE;

/// Smaller pages cost more than they give. Whoever has a small window must not wait until all of it is free.
const MIN_PAGE: usize = 512;

/// Counts entries: those in the window bound how far reading is ahead, the deferred ones have a
/// bound of their own. When that is reached they stay in the window, and reading waits.
#[derive(Debug)]
pub(super) struct Window {
    size: usize,
    inside: usize,
    deferred_limit: usize,
    deferred: usize,
    overdue_limit: usize,
    overdue: usize,
    flights: u64,
    due: BinaryHeap<Reverse<(Instant, usize)>>,
    /// Requests in flight, oldest first; those that landed are passed over.
    started: VecDeque<(Instant, usize, u64)>,
}

impl Window {
    pub(super) fn new(limits: &Limits, deferred_limit: usize) -> Self {
        Self {
            size: limits.window.max(1),
            inside: 0,
            deferred_limit,
            deferred: 0,
            overdue_limit: limits.in_flight,
            overdue: 0,
            flights: 0,
            due: BinaryHeap::new(),
            started: VecDeque::new(),
        }
    }

    pub(super) const fn size(&self) -> usize {
        self.size
    }

    pub(super) const fn room(&self) -> usize {
        self.size.saturating_sub(self.inside)
    }

    pub(super) const fn deferred(&self) -> usize {
        self.deferred
    }

    pub(super) const fn enter(&mut self) {
        self.inside += 1;
    }

    pub(super) fn leave(&mut self, job: &Job) {
        if job.deferred {
            self.deferred -= 1;
        } else {
            self.inside -= 1;
        }
        if job.overdue {
            self.overdue -= 1;
        }
    }

    /// Counts a job outside the window, where there is room. Returns whether there was.
    pub(super) const fn defer(&mut self, job: &mut Job) -> bool {
        if job.deferred {
            return true;
        }
        if self.is_crowded() {
            return false;
        }
        job.deferred = true;
        self.deferred += 1;
        self.inside -= 1;
        true
    }

    /// How many places are missing for a page that is worth reading.
    pub(super) fn missing(&self) -> usize {
        MIN_PAGE.min(self.size.div_ceil(8)).saturating_sub(self.room())
    }

    /// Whether nothing more can wait outside the window.
    pub(super) const fn is_crowded(&self) -> bool {
        self.deferred >= self.deferred_limit
    }

    /// A job waits for its next try.
    pub(super) fn wait_until(&mut self, key: usize, due: Instant) {
        self.due.push(Reverse((due, key)));
    }

    /// No job waits for its next try any more.
    pub(super) fn forget_due(&mut self) {
        self.due.clear();
    }

    /// Those that wait for their next try.
    pub(super) fn due(&self) -> Vec<usize> {
        self.due.iter().map(|Reverse((_, key))| *key).collect()
    }

    /// Keeps those that wait for their next try for which this holds.
    pub(super) fn retain_due(&mut self, mut keep: impl FnMut(usize) -> bool) {
        self.due.retain(|Reverse((_, key))| keep(*key));
    }

    /// Whether every job is deferred, or none is there.
    pub(super) const fn is_empty(&self) -> bool {
        self.inside == 0
    }

    /// A job whose next try is due.
    pub(super) fn pop_due(&mut self, now: Instant) -> Option<usize> {
        let Reverse((due, _)) = self.due.peek()?;
        if *due > now {
            return None;
        }
        self.due.pop().map(|Reverse((_, key))| key)
    }

    /// A request starts.
    pub(super) fn started(&mut self, key: usize, job: &mut Job, now: Instant) {
        self.flights += 1;
        job.flight = Some(self.flights);
        self.started.push_back((now, key, self.flights));
    }

    /// A request ended.
    pub(super) const fn landed(&mut self, job: &mut Job) {
        job.flight = None;
        if job.overdue {
            job.overdue = false;
            self.overdue -= 1;
        }
    }

    /// A request that started two seconds ago. It may have landed.
    pub(super) fn pop_slow(&mut self, now: Instant) -> Option<(usize, u64)> {
        let (started, _, _) = self.started.front()?;
        if *started + SILENCE > now {
            return None;
        }
        self.started.pop_front().map(|(_, key, flight)| (key, flight))
    }

    /// A request is unanswered for two seconds: its entry is deferred, and it gives its place in
    /// the hub back, so that a dead origin does not hold what the others need.
    pub(super) fn overdue(&mut self, job: &mut Job) {
        let deferred = self.defer(job);
        if deferred
            && !job.overdue
            && self.overdue < self.overdue_limit
            && let Some(slot) = job.slot.upgrade()
        {
            slot.give_back();
            job.overdue = true;
            self.overdue += 1;
        }
    }

    /// When the time brings something.
    pub(super) fn wake(&self) -> Option<Instant> {
        let due = self.due.peek().map(|Reverse((due, _))| *due);
        let slow = self.started.front().map(|(started, _, _)| *started + SILENCE);
        due.into_iter().chain(slow).min()
    }
}
