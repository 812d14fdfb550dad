//! All broadcasts: everything behind the journal's lock.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound::{Excluded, Unbounded};
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::broadcast::{Broadcast, Stand};
use super::leases::Leases;
use super::turns::Turns;
use crate::store::journal::{
    Begun, Control, FailureId, FailurePage, JournalError, JournalErrorKind, NewBroadcast, State, Summary,
    Totals,
};
use crate::store::{Audience, Range};
use crate::{BroadcastId, BroadcastState, ChannelName, Report};

#[derive(Debug, Default)]
pub(super) struct Broadcasts {
    /// By number, in the order of their beginning.
    pub(super) rows: BTreeMap<u64, Broadcast>,
    numbers: BTreeMap<BroadcastId, u64>,
    unfinished: BTreeSet<BroadcastId>,
    ended: BTreeSet<(Instant, u64)>,
    pub(super) turns: Turns,
    pub(super) leases: Leases,
    totals: HashMap<ChannelName, Totals>,
    /// How many have begun.
    begun: u64,
}

impl Broadcasts {
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn begin(
        &mut self,
        new: &NewBroadcast,
        fingerprint: [u8; 32],
        ranges: &[Range],
        created: SystemTime,
        now: Instant,
    ) -> Result<Begun, JournalError> {
        if let Some(number) = self.numbers.get(&new.id) {
            return if self.rows[number].fingerprint == fingerprint {
                Ok(Begun::Known)
            } else {
                Err(JournalError::new(JournalErrorKind::Conflict))
            };
        }
        self.begun += 1;
        let number = self.begun;
        self.numbers.insert(new.id.clone(), number);
        self.unfinished.insert(new.id.clone());
        self.rows.insert(number, Broadcast::new(new, fingerprint, ranges, created, now));
        self.update(number, now);
        self.finish_if_through(number, now);
        Ok(Begun::Created)
    }

    pub(super) fn number(&self, id: &BroadcastId) -> Result<u64, JournalError> {
        self.numbers.get(id).copied().ok_or(JournalError::new(JournalErrorKind::Unknown))
    }

    pub(super) fn summary(&self, id: &BroadcastId, now: Instant) -> Option<Summary> {
        self.numbers.get(id).map(|number| self.rows[number].summary(now))
    }

    pub(super) fn failures(
        &self,
        id: &BroadcastId,
        after: Option<FailureId>,
        limit: usize,
    ) -> Result<FailurePage, JournalError> {
        Ok(self.rows[&self.number(id)?].failures(after, limit))
    }

    pub(super) fn totals(&self, channel: &ChannelName) -> Totals {
        self.totals.get(channel).cloned().unwrap_or_default()
    }

    /// Those below a number, with their numbers, the latest first.
    pub(super) fn recent(&self, below: u64, limit: usize, now: Instant) -> Vec<(u64, Summary)> {
        let latest = self.rows.range(..below).rev().take(limit);
        latest.map(|(number, row)| (*number, row.summary(now))).collect()
    }

    pub(super) fn unfinished(&self, after: Option<&BroadcastId>, limit: usize) -> Vec<BroadcastId> {
        let start = after.map_or(Unbounded, Excluded);
        self.unfinished.range::<BroadcastId, _>((start, Unbounded)).take(limit).cloned().collect()
    }

    pub(super) fn control(
        &mut self,
        id: &BroadcastId,
        control: Control,
        now: Instant,
    ) -> Result<(), JournalError> {
        let number = self.number(id)?;
        if let Some(running) = self.rows.get_mut(&number).and_then(Broadcast::running_mut) {
            running.control = control;
            self.turns.update(number, running, now);
        }
        Ok(())
    }

    pub(super) fn abort(&mut self, id: &BroadcastId, now: Instant) -> Result<Report, JournalError> {
        let number = self.number(id)?;
        self.end(number, BroadcastState::Aborted, now);
        Ok(self.rows[&number].report(now))
    }

    /// Forgets up to `limit` that ended that long ago. Returns them: to drop them takes its time.
    pub(super) fn purge(&mut self, older_than: Duration, limit: usize, now: Instant) -> Vec<Broadcast> {
        let mut gone = Vec::new();
        while gone.len() < limit
            && let Some((at, number)) = self.ended.first().copied()
            && now - at >= older_than
        {
            self.ended.remove(&(at, number));
            let broadcast = self.rows.remove(&number).expect("what ended is there until it is purged");
            self.numbers.remove(&broadcast.id);
            gone.push(broadcast);
        }
        gone
    }

    /// Puts a broadcast in its place among those that have work.
    pub(super) fn update(&mut self, number: u64, now: Instant) {
        if let Some(running) = self.rows.get_mut(&number).and_then(Broadcast::running_mut) {
            self.turns.update(number, running, now);
        }
    }

    /// Finishes a broadcast that has neither an open range nor a retry.
    pub(super) fn finish_if_through(&mut self, number: u64, now: Instant) -> Option<State> {
        let running = self.rows.get(&number).and_then(Broadcast::running)?;
        if !running.is_through() {
            return None;
        }
        let state = if running.timed_out { BroadcastState::TimedOut } else { BroadcastState::Finished };
        // Its leases are over; those of an aborted one stay, so that their workers learn of it.
        for lease in running.leases.clone() {
            self.leases.remove(lease);
        }
        self.end(number, state, now);
        let broadcast = &self.rows[&number];
        if let Audience::Channel(channel) = &broadcast.audience {
            let totals = self.totals.entry(channel.clone()).or_default();
            totals.broadcasts += 1;
            totals.counts.merge(&broadcast.tallies.counts());
            totals.pruned += broadcast.tallies.pruned;
        }
        Some(State::Finished)
    }

    fn end(&mut self, number: u64, state: BroadcastState, now: Instant) {
        let Some(broadcast) = self.rows.get_mut(&number) else { return };
        let Some(running) = broadcast.running_mut() else { return };
        self.turns.remove(number, running);
        broadcast.stand = Stand::Ended { at: now, state };
        self.unfinished.remove(&broadcast.id);
        self.ended.insert((now, number));
    }
}
