//! What is kept of one broadcast.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound::{self, Excluded, Unbounded};
use std::sync::Arc;
use std::time::SystemTime;

use tokio::time::Instant;

use super::retries::Retries;
use super::turns::Place;
use crate::report::MAX_FAILURES;
use crate::store::journal::tallies::Tallies;
use crate::store::journal::{Control, FailedDelivery, FailureId, FailurePage, NewBroadcast, Summary};
use crate::store::{Audience, Position, Range};
use crate::{BroadcastId, BroadcastState, Report, UserId};

#[derive(Debug)]
pub(super) struct Broadcast {
    pub(super) id: BroadcastId,
    pub(super) audience: Audience,
    pub(super) fingerprint: [u8; 32],
    pub(super) created: SystemTime,
    pub(super) begun: Instant,
    pub(super) tallies: Tallies,
    failures: BTreeMap<u64, FailedDelivery>,
    /// The number of the next failure.
    next_failure: u64,
    pub(super) stand: Stand,
}

/// How it stands. What only a running one needs goes with its end.
#[derive(Debug)]
pub(super) enum Stand {
    Running(Box<Running>),
    Ended { at: Instant, state: BroadcastState },
}

#[derive(Debug)]
pub(super) struct Running {
    pub(super) new: Arc<NewBroadcast>,
    pub(super) control: Control,
    pub(super) ranges: Vec<RangeRow>,
    /// The open ranges that nobody has, and how many are open in all.
    pub(super) free: BTreeSet<usize>,
    pub(super) open: usize,
    pub(super) timed_out: bool,
    pub(super) retries: Retries,
    pub(super) leases: BTreeSet<u64>,
    /// The turn in which it was last leased, zero before that.
    pub(super) leased: u64,
    pub(super) place: Place,
}

#[derive(Debug)]
pub(super) struct RangeRow {
    pub(super) range: Range,
    pub(super) after: Option<Position>,
    pub(super) done: bool,
}

impl Broadcast {
    pub(super) fn new(
        new: &NewBroadcast,
        fingerprint: [u8; 32],
        ranges: &[Range],
        created: SystemTime,
        now: Instant,
    ) -> Self {
        let running = Running {
            new: Arc::new(new.clone()),
            control: new.control,
            ranges: ranges.iter().map(|range| RangeRow { range: *range, after: None, done: false }).collect(),
            free: (0..ranges.len()).collect(),
            open: ranges.len(),
            timed_out: false,
            retries: Retries::default(),
            leases: BTreeSet::new(),
            leased: 0,
            place: Place::Nowhere,
        };
        Self {
            id: new.id.clone(),
            audience: new.audience.clone(),
            fingerprint,
            created,
            begun: now,
            tallies: Tallies::default(),
            failures: BTreeMap::new(),
            next_failure: 1,
            stand: Stand::Running(Box::new(running)),
        }
    }

    pub(super) fn running(&self) -> Option<&Running> {
        match &self.stand {
            Stand::Running(running) => Some(running),
            Stand::Ended { .. } => None,
        }
    }

    pub(super) fn running_mut(&mut self) -> Option<&mut Running> {
        match &mut self.stand {
            Stand::Running(running) => Some(running),
            Stand::Ended { .. } => None,
        }
    }

    /// When and how it ended.
    pub(super) fn ended(&self) -> Option<(Instant, BroadcastState)> {
        match self.stand {
            Stand::Running(_) => None,
            Stand::Ended { at, state } => Some((at, state)),
        }
    }

    pub(super) fn report(&self, now: Instant) -> Report {
        let (until, state) = self.ended().unwrap_or((now, BroadcastState::Running));
        Report {
            failures: self
                .failures
                .values()
                .take(MAX_FAILURES)
                .map(|failed| failed.failure.clone())
                .collect(),
            elapsed: until - self.begun,
            ..self.tallies.report(state)
        }
    }

    pub(super) fn summary(&self, now: Instant) -> Summary {
        let (id, audience) = (self.id.clone(), self.audience.clone());
        Summary::new(id, audience, self.created, now - self.begun, self.report(now))
    }

    pub(super) fn add_failures(&mut self, failures: impl IntoIterator<Item = FailedDelivery>) {
        for failure in failures {
            self.failures.insert(self.next_failure, failure);
            self.next_failure += 1;
        }
    }

    pub(super) fn failures(&self, after: Option<FailureId>, limit: usize) -> FailurePage {
        let mut rest = self.failures.range(above(after.map(FailureId::as_u64)));
        let (mut failures, mut last) = (Vec::new(), None);
        for (number, failed) in rest.by_ref().take(limit) {
            failures.push(failed.failure.clone());
            last = Some(FailureId::from_u64(*number));
        }
        FailurePage::new(failures, last.filter(|_| rest.next().is_some()))
    }

    /// Removes the user's among the next `limit` failures after one, and says where to go on.
    pub(super) fn forget_failures(&mut self, user: &UserId, after: Option<u64>, limit: usize) -> Option<u64> {
        let (mut next, mut of_user) = (None, Vec::new());
        for (number, failed) in self.failures.range(above(after)).take(limit) {
            next = Some(*number);
            if failed.user == *user {
                of_user.push(*number);
            }
        }
        for number in of_user {
            self.failures.remove(&number);
        }
        next
    }
}

fn above(number: Option<u64>) -> (Bound<u64>, Bound<u64>) {
    (number.map_or(Unbounded, Excluded), Unbounded)
}

impl Running {
    pub(super) fn is_through(&self) -> bool {
        self.open == 0 && self.retries.is_empty()
    }
}
