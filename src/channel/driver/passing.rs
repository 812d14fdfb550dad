//! What the time brings: tries that are due, answers that stay away, pauses, the end.

use std::time::Duration;

use tokio::time::Instant;

use super::Driver;
use super::book::Book;
use super::job::Fare;
use super::ledger::Row;
use super::queues::{Resumed, Stall};
use crate::sender::later;

/// An entry of a slow origin is tried again after this and something more, at random: not all at
/// once.
const SLOW: Duration = Duration::from_secs(3);
const SPREAD: Duration = Duration::from_secs(7);
/// One of a silent origin waits once or twice as long again as the silence has lasted, and not
/// longer than twice this.
const MAX_SILENCE: Duration = Duration::from_secs(30);
/// Entries of a paused origin come back within this after its pause.
const AFTER_PAUSE: Duration = Duration::from_secs(1);
/// When an answer cannot come any more: the timeout of a request, and a margin. Until then nobody
/// else tries the entry.
pub(super) const UNANSWERED: Duration = Duration::from_secs(35);

impl<B: Book> Driver<B> {
    pub(super) fn tick(&mut self, now: Instant) {
        if self.timed_out {
            return;
        }
        if now >= self.deadline {
            return self.time_out(now);
        }
        self.queues.refill(now);
        while let Some(key) = self.window.pop_due(now) {
            self.ready(key, now);
        }
        while let Some((key, flight)) = self.window.pop_slow(now) {
            let Some(job) = self.jobs.get(key).filter(|job| job.flight == Some(flight)) else { continue };
            let queue = job.queue;
            self.overdue(key, now);
            self.relieve(queue, now);
        }
        while let Some((queue, resumed)) = self.queues.pop_resumed(now) {
            match resumed {
                Resumed::Paused { broken: true } => self.sit_through(queue, now),
                Resumed::Paused { broken: false } => {}
                Resumed::Early => self.relieve(queue, now),
            }
        }
        self.relieve_holds(now);
        let parked = self.queues.look_again(now);
        // Another lease may hold all that a silent origin takes.
        if self.book.ledger().is_some() {
            for queue in parked {
                self.relieve(queue, now);
            }
        }
    }

    /// A request is unanswered for two seconds: its entry leaves the window while it goes on.
    fn overdue(&mut self, key: usize, now: Instant) {
        let job = &mut self.jobs[key];
        if self.book.ledger().is_some() && !job.deferred {
            self.write_down_in_flight(key, 1, now + UNANSWERED, now);
            self.jobs[key].slip.handed_on = Some(now + UNANSWERED);
        }
        self.window.overdue(&mut self.jobs[key]);
    }

    /// Writes down an entry whose request may have arrived or not, and how many tries it uses up
    /// when no answer comes. The next request repeats it.
    fn write_down_in_flight(&mut self, key: usize, failures: u8, due: Instant, now: Instant) {
        let job = &mut self.jobs[key];
        if !job.begun {
            let repeat = job.trial.begin(job.sent().unwrap_or(now));
            self.book.attempt(job.slip, repeat);
            job.begun = true;
        }
        let mut tried = job.trial.tried();
        tried.unconfirmed = true;
        tried.failures = tried.failures.saturating_add(failures);
        let ends = job.trial.ends(self.message.ttl(), now);
        let row = Row::new(&job.entry, tried, due, ends).with_limit(job.trial.limit);
        if let Some(ledger) = self.book.ledger() {
            ledger.defer(&mut job.slip, row, now);
        }
    }

    /// Takes the entries of a queue that stalls out of the window.
    fn relieve(&mut self, queue: usize, now: Instant) {
        if self.book.ledger().is_none() {
            return self.queues.defer(queue, now, &mut self.jobs, &mut self.window);
        }
        // Relieved of its last entry, it is gone.
        if !self.queues.exists(queue) {
            return;
        }
        let Some(stall) = self.queues.stall(queue, now) else { return };
        let lines = match stall {
            Stall::Rate => self.queues.drain_late(queue),
            _ => self.queues.drain(queue),
        };
        for key in lines.keys() {
            self.put_off(key, stall, now);
        }
    }

    /// Writes an entry down that has to wait, in the ledger.
    pub(super) fn put_off(&mut self, key: usize, stall: Stall, now: Instant) {
        let paused_until = if let Stall::Paused(pause) = stall { pause.until } else { now };
        let trial = &mut self.jobs[key].trial;
        if paused_until >= self.deadline || trial.ttl_left(self.message.ttl(), now).is_none() {
            let settled = trial.expire();
            return self.settle(key, settled, now);
        }
        let due = match stall {
            Stall::Paused(pause) => {
                // Whoever sits the pause of a broken origin through has used up a try.
                if pause.broken
                    && let Some(settled) = self.jobs[key].trial.sat_through(self.hub.sender.core())
                {
                    return self.settle(key, settled, now);
                }
                later(pause.until, AFTER_PAUSE.mul_f64(self.rng.f64()))
            }
            Stall::Silent(silence) => {
                later(now, silence.clamp(SLOW, MAX_SILENCE).mul_f64(1.0 + self.rng.f64()))
            }
            Stall::Rate => self.booked(key, now),
            Stall::Slow => later(now, SLOW + SPREAD.mul_f64(self.rng.f64())),
        };
        self.set_aside(key, due, now);
    }

    /// When its origin's rate has a place for an entry, before the end of the broadcast: then it has
    /// its outcome, at the latest.
    fn booked(&self, key: usize, now: Instant) -> Instant {
        let origin = self.queues.origin(self.jobs[key].queue);
        let booked =
            origin.meter().zip(self.content.broadcast.as_ref()).map(|(meter, id)| meter.book(id, now));
        booked.unwrap_or_else(|| later(now, SLOW)).min(self.deadline)
    }

    /// Writes an entry down to be tried later, perhaps by another worker: it leaves memory.
    pub(super) fn set_aside(&mut self, key: usize, due: Instant, now: Instant) {
        let mut job = self.jobs.remove(key);
        self.window.leave(&job);
        self.pay_back(&job, now);
        self.queues.leave(job.queue);
        let ends = job.trial.ends(self.message.ttl(), now);
        let row = Row::new(&job.entry, job.trial.tried(), due, ends).with_limit(job.trial.limit);
        if let Some(ledger) = self.book.ledger() {
            ledger.defer(&mut job.slip, row, now);
        }
    }

    /// A broken origin's pause ended, or goes on while others wait: each of its entries has used up a try.
    pub(super) fn sit_through(&mut self, queue: usize, now: Instant) {
        self.queues.sit_through(queue, now);
        let mut lines = self.queues.drain(queue);
        lines.retain(|key| match self.jobs[key].trial.sat_through(self.hub.sender.core()) {
            Some(settled) => {
                self.settle(key, settled, now);
                false
            }
            None => true,
        });
        self.queues.restore(queue, lines);
    }

    /// Starts nothing any more, and writes down what is not on its way.
    pub(super) fn withdraw(&mut self, now: Instant) {
        self.halted = true;
        self.queues.clear();
        self.holds.clear();
        self.window.forget_due();
        let idle = self.jobs.iter().filter(|(_, job)| job.flight.is_none()).map(|(key, _)| key);
        for key in idle.collect::<Vec<_>>() {
            self.set_aside(key, now, now);
        }
    }

    /// Drops the requests in flight, and writes down what has no answer yet.
    pub(super) fn abandon(&mut self, now: Instant) {
        self.withdraw(now);
        self.flights.abort_all();
        for key in self.keys() {
            let job = &self.jobs[key];
            if job.deferred {
                self.drop_job(key);
            } else if job.begun || job.sent().is_some() {
                self.write_down_in_flight(key, 0, now, now);
                self.drop_job(key);
            } else {
                self.set_aside(key, now, now);
            }
        }
    }

    /// The deadline: what is in flight may have arrived, the rest was not sent.
    fn time_out(&mut self, now: Instant) {
        self.timed_out = true;
        self.flights.abort_all();
        for key in self.keys() {
            let job = &mut self.jobs[key];
            let started = job.sent();
            if let Some(started) = started
                && !job.begun
            {
                let repeat = job.trial.begin(started);
                self.book.attempt(job.slip, repeat);
            }
            let sent = started.is_some() || job.begun;
            job.trial.unconfirmed |= sent;
            if sent {
                job.fare = Fare::Open;
            }
            let settled = job.trial.expire();
            self.settle(key, settled, now);
        }
        self.queues = super::Queues::default();
        self.holds.clear();
    }

    fn keys(&self) -> Vec<usize> {
        self.jobs.iter().map(|(key, _)| key).collect()
    }

    fn drop_job(&mut self, key: usize) {
        let job = self.jobs.remove(key);
        self.window.leave(&job);
        self.queues.leave(job.queue);
    }
}
