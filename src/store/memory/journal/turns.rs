//! Whose turn it is.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use tokio::time::Instant;

use super::broadcast::Running;
use crate::Urgency;

/// When a broadcast is leased: the least recently leased first, among equals the one of higher
/// urgency, then the older one.
pub(super) type Turn = (u64, Reverse<Urgency>, u64);

/// Where a broadcast is in [`Turns`].
#[derive(Debug)]
pub(super) enum Place {
    /// It has work.
    Ready(Turn),
    /// It will have a retry.
    Later(Instant),
    /// It is paused, or others have all its work.
    Nowhere,
}

/// The running broadcasts that have work, or will have, so that choosing one does not depend on
/// how many there are.
#[derive(Debug, Default)]
pub(super) struct Turns {
    ready: BTreeSet<Turn>,
    later: BTreeSet<(Instant, u64)>,
    /// How many leases were given.
    given: u64,
}

impl Turns {
    /// Puts a running broadcast in its place.
    pub(super) fn update(&mut self, number: u64, running: &mut Running, now: Instant) {
        self.remove(number, running);
        let due = running.retries.next_due();
        if running.control.paused {
            return;
        }
        if !running.free.is_empty() || due.is_some_and(|due| due <= now) {
            let turn = (running.leased, Reverse(running.new.message.urgency()), number);
            self.ready.insert(turn);
            running.place = Place::Ready(turn);
        } else if let Some(due) = due {
            self.later.insert((due, number));
            running.place = Place::Later(due);
        }
    }

    /// Takes a broadcast out.
    pub(super) fn remove(&mut self, number: u64, running: &mut Running) {
        match std::mem::replace(&mut running.place, Place::Nowhere) {
            Place::Ready(turn) => drop(self.ready.remove(&turn)),
            Place::Later(due) => drop(self.later.remove(&(due, number))),
            Place::Nowhere => {}
        }
    }

    /// A broadcast that is not ready yet, although a retry of it is due: to be updated.
    pub(super) fn overdue(&self, now: Instant) -> Option<u64> {
        self.later.first().filter(|(due, _)| *due <= now).map(|(_, number)| *number)
    }

    /// The broadcast whose turn it is.
    pub(super) fn first(&self) -> Option<u64> {
        self.ready.first().map(|(_, _, number)| *number)
    }

    /// When there is work, if nothing else happens.
    pub(super) fn next(&self, now: Instant) -> Option<Instant> {
        if self.ready.is_empty() { self.later.first().map(|(due, _)| *due) } else { Some(now) }
    }

    /// Counts a lease.
    pub(super) fn give(&mut self) -> u64 {
        self.given += 1;
        self.given
    }
}
