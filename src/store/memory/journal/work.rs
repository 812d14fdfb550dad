//! Handing work out and taking it back.

use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::broadcast::{Broadcast, Running};
use super::broadcasts::Broadcasts;
use super::instant_after;
use super::leases::{Held, Lease as Row, Leases};
use crate::store::journal::{Control, Lease, LeaseToken, State, Work};

impl Broadcasts {
    /// Leases the work whose turn it is. The entries of retries are still to be read.
    pub(super) fn lease(
        &mut self,
        tag: [u8; 8],
        term: Duration,
        retries: NonZeroU16,
        now: Instant,
    ) -> Option<Lease> {
        self.reap(now);
        while let Some(number) = self.turns.overdue(now) {
            self.update(number, now);
        }
        let broadcast = self.turns.first()?;
        let lease = self.leases.number();
        let row = self.rows.get_mut(&broadcast).expect("a broadcast with work is there");
        let age = now - row.begun;
        let running = row.running_mut().expect("a broadcast with work runs");
        let (work, held) = running.take_work(lease, retries, now);
        running.leased = self.turns.give();
        running.leases.insert(lease);
        self.turns.update(broadcast, running, now);
        self.leases.insert(lease, Row { broadcast, held, until: instant_after(now, term), checkpoint: 0 });
        Some(Lease::new(
            LeaseToken::encode(tag, [lease]),
            Arc::clone(&running.new),
            age,
            running.new.send_within.saturating_sub(age),
            share(running, &self.leases, now),
            work,
        ))
    }

    /// Gives back what leases have whose term has passed.
    fn reap(&mut self, now: Instant) {
        while let Some(lease) = self.leases.expired(now) {
            let number = self.give_back(lease, now);
            // An ended one has no work that could be taken over.
            if let Some(row) = number.and_then(|number| self.rows.get_mut(&number))
                && row.running().is_some()
            {
                row.tallies.takeovers += 1;
            }
        }
    }

    /// Ends a lease. What it still has is free again; returns the broadcast.
    pub(super) fn give_back(&mut self, lease: u64, now: Instant) -> Option<u64> {
        let Row { broadcast, held, .. } = self.leases.remove(lease)?;
        if let Some(running) = self.rows.get_mut(&broadcast).and_then(Broadcast::running_mut) {
            running.leases.remove(&lease);
            match held {
                Held::Range(index) if running.ranges[index].done => {}
                Held::Range(index) => drop(running.free.insert(index)),
                Held::Retries(batch) => running.retries.give_back(lease, &batch),
            }
            self.turns.update(broadcast, running, now);
        }
        Some(broadcast)
    }

    /// How a running broadcast goes on for one of its leases.
    pub(super) fn state(&self, number: u64, now: Instant) -> State {
        let running = self.rows.get(&number).and_then(Broadcast::running);
        running.map_or(State::Aborted, |running| State::Running(share(running, &self.leases, now)))
    }

    /// Gives work back before its term.
    pub(super) fn release(&mut self, lease: u64, now: Instant) {
        // Where its term has passed, giving it back is counted as a takeover.
        if self.leases.is_live(lease, now) {
            self.give_back(lease, now);
        }
    }

    /// When there may be work, if nothing else happens.
    pub(super) fn next_work(&self, now: Instant) -> Option<Instant> {
        let times = [self.turns.next(now), self.leases.next_expiry()];
        times.into_iter().flatten().min()
    }
}

impl Running {
    fn take_work(&mut self, lease: u64, retries: NonZeroU16, now: Instant) -> (Work, Held) {
        let due = self.retries.take(lease, retries.get().into(), now);
        if due.is_empty() {
            let index = self.free.pop_first().expect("a broadcast with work has a range or a due retry");
            let row = &self.ranges[index];
            return (Work::Range { range: row.range, after: row.after }, Held::Range(index));
        }
        let held = Held::Retries(due.iter().map(|due| due.retry).collect());
        (Work::Retries(due), held)
    }
}

fn share(running: &Running, leases: &Leases, now: Instant) -> Control {
    running.control.shared_by(running.leases.iter().filter(|lease| leases.is_live(**lease, now)).count())
}
