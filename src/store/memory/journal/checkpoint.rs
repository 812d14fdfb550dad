//! Storing what was done under a lease.

use tokio::time::Instant;

use super::broadcast::Broadcast;
use super::broadcasts::Broadcasts;
use super::instant_after;
use super::leases::Held;
use crate::store::journal::{Checkpoint, JournalError, State};

impl Broadcasts {
    /// Whether a checkpoint may be stored under a lease; if not, how it is answered.
    pub(super) fn admit(
        &mut self,
        lease: u64,
        checkpoint: &Checkpoint,
        now: Instant,
    ) -> Result<Option<State>, JournalError> {
        let row = self.leases.live(lease, now)?;
        let (number, repeated) = (row.broadcast, checkpoint.number <= row.checkpoint);
        let state = self.state(number, now);
        if repeated && matches!(state, State::Running(_)) {
            self.leases.renew(lease, instant_after(now, checkpoint.extend));
            return Ok(Some(state));
        }
        Ok(Some(state).filter(|state| !matches!(state, State::Running(_))))
    }

    /// Stores a checkpoint that was admitted; `pruned` of its changes removed an entry.
    pub(super) fn store(
        &mut self,
        lease: u64,
        checkpoint: Checkpoint,
        pruned: u64,
        now: Instant,
    ) -> Result<State, JournalError> {
        let row = self.leases.live(lease, now)?;
        row.checkpoint = checkpoint.number;
        let number = row.broadcast;
        let (ends, until) = (checkpoint.ends_lease(), instant_after(now, checkpoint.extend));
        let range = if let Held::Range(index) = row.held { Some(index) } else { None };
        if let Some(index) = range {
            self.advance(number, index, &checkpoint);
        }
        let Some(broadcast) = self.rows.get_mut(&number) else { return Ok(State::Aborted) };
        broadcast.add(lease, range.is_none(), checkpoint, pruned, now);
        if ends {
            self.give_back(lease, now);
        } else {
            self.leases.renew(lease, until);
            self.update(number, now);
        }
        Ok(self.finish_if_through(number, now).unwrap_or_else(|| self.state(number, now)))
    }

    fn advance(&mut self, number: u64, index: usize, checkpoint: &Checkpoint) {
        let Some(running) = self.rows.get_mut(&number).and_then(Broadcast::running_mut) else { return };
        let range = &mut running.ranges[index];
        range.after = checkpoint.position.or(range.after);
        if checkpoint.done && !range.done {
            range.done = true;
            running.open -= 1;
            running.timed_out |= checkpoint.timed_out;
        }
    }
}

impl Broadcast {
    fn add(&mut self, lease: u64, is_batch: bool, mut checkpoint: Checkpoint, pruned: u64, now: Instant) {
        self.tallies.add(&checkpoint);
        self.tallies.pruned += pruned;
        self.add_failures(std::mem::take(&mut checkpoint.failures));
        let mut settled = Vec::new();
        if let Some(running) = self.running_mut() {
            // First: an answer may come before its deferral was stored.
            for deferred in checkpoint.deferred {
                running.retries.defer(lease, is_batch, deferred, now);
            }
            settled = checkpoint.settled;
            settled.retain(|settled| running.retries.settle(&settled.retry));
        }
        for settled in settled {
            self.tallies.settled(&settled);
            self.add_failures(settled.failure);
        }
    }
}
