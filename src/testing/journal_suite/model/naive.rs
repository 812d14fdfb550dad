//! The contract as a list of broadcasts.

use std::collections::BTreeMap;

use super::super::kit::*;
use crate::store::journal::Totals;
use crate::{BroadcastState, Counts, Failure, OutcomeKind, Report, Urgency, UserId};

pub(super) struct Part {
    pub(super) after: Option<u64>,
    pub(super) done: bool,
    /// The number of the lease.
    pub(super) lease: Option<u64>,
    /// Its last lease was not given back.
    expired: bool,
}

pub(super) struct Retry {
    pub(super) user: UserId,
    pub(super) tried: Tried,
    pub(super) due: bool,
    pub(super) lease: Option<u64>,
}

pub(super) struct Broadcast {
    /// In the order of beginning.
    serial: u64,
    pub(super) variant: u32,
    urgency: Urgency,
    pub(super) paused: bool,
    /// When it was leased last.
    turn: u64,
    pub(super) parts: Vec<Part>,
    pub(super) retries: BTreeMap<RetryId, Retry>,
    timed_out: bool,
    pub(super) report: Report,
    failures: Vec<(UserId, Failure)>,
    /// At most so many; `report` has the fewest.
    most_takeovers: u64,
}

#[derive(Default)]
pub(super) struct Model {
    pub(super) broadcasts: BTreeMap<String, Broadcast>,
    pub(super) totals: Totals,
    serial: u64,
}

impl Broadcast {
    pub(super) fn runs(&self) -> bool {
        self.report.state == BroadcastState::Running
    }

    pub(super) fn free_retries(&self) -> usize {
        self.retries.values().filter(|retry| retry.due && retry.lease.is_none()).count()
    }

    fn has_work(&self) -> bool {
        let free = self.parts.iter().any(|part| !part.done && part.lease.is_none());
        self.runs() && !self.paused && (free || self.free_retries() > 0)
    }

    /// Whether a lease still has anything.
    pub(super) fn holds(&self, lease: u64) -> bool {
        let lease = Some(lease);
        self.parts.iter().any(|part| part.lease == lease)
            || self.retries.values().any(|retry| retry.lease == lease)
    }

    pub(super) fn give_back(&mut self, lease: u64, expired: bool) {
        let lease = Some(lease);
        for part in self.parts.iter_mut().filter(|part| part.lease == lease) {
            (part.lease, part.expired) = (None, expired);
        }
        self.retries.values_mut().filter(|retry| retry.lease == lease).for_each(|retry| retry.lease = None);
        self.most_takeovers += u64::from(expired);
    }

    pub(super) fn take_part(&mut self, part: u64, lease: u64) -> &Part {
        let part = &mut self.parts[usize::try_from(part).expect("small")];
        assert!(!part.done && part.lease.is_none(), "the range is free");
        part.lease = Some(lease);
        self.report.takeovers += u64::from(std::mem::take(&mut part.expired));
        part
    }

    pub(super) fn abort(&mut self) {
        self.report.state = BroadcastState::Aborted;
        self.retries.clear();
    }

    pub(super) fn forget(&mut self, user: &UserId) {
        let before = self.retries.len();
        self.retries.retain(|_, retry| retry.user != *user);
        self.report.counts.add(OutcomeKind::Skipped, (before - self.retries.len()) as u64);
        self.failures.retain(|(owner, _)| owner != user);
    }

    /// Adds a checkpoint, of which so many changes remove an entry.
    pub(super) fn add(&mut self, lease: u64, checkpoint: &Checkpoint, pruned: u64) {
        self.report.read += checkpoint.read;
        self.report.attempts += checkpoint.attempts;
        self.report.pruned += pruned;
        checkpoint.counts.iter().for_each(|origin| self.report.counts.merge(&origin.counts));
        self.failures.extend(checkpoint.failures.iter().map(|f| (f.user.clone(), f.failure.clone())));
        for settled in &checkpoint.settled {
            if self.retries.remove(&settled.retry).is_some() {
                self.report.counts.add(settled.outcome, 1);
                self.failures.extend(settled.failure.iter().map(|f| (f.user.clone(), f.failure.clone())));
            }
        }
        for Deferred { retry, user, tried, after, .. } in &checkpoint.deferred {
            let row = Retry { user: user.clone(), tried: *tried, due: *after == NOW, lease: None };
            self.retries.insert(*retry, row);
        }
        if let Some(part) = self.parts.iter_mut().find(|part| part.lease == Some(lease)) {
            let position = checkpoint.position.as_ref().map(number_of);
            part.after = position.or(part.after);
            part.done = checkpoint.done;
            self.timed_out |= checkpoint.timed_out;
        }
        if checkpoint.done {
            self.give_back(lease, false);
        }
    }

    pub(super) fn failures(&self) -> Vec<Failure> {
        self.failures.iter().map(|(_, failure)| failure.clone()).collect()
    }

    pub(super) fn check(&self, report: &Report) {
        let takeovers = report.takeovers;
        assert!((self.report.takeovers..=self.most_takeovers).contains(&takeovers), "{takeovers} takeovers");
        let failures = self.failures().into_iter().take(100).collect();
        let pending = self.report.read - self.report.counts.total();
        let (origins, elapsed) = (report.origins.clone(), report.elapsed);
        let expected = Report { pending, takeovers, origins, failures, elapsed, ..self.report.clone() };
        assert_eq!(*report, expected);
    }
}

impl Model {
    pub(super) fn begin(&mut self, name: &str, variant: u32, urgency: Urgency, parts: u64) {
        self.serial += 1;
        let part = |_| Part { after: None, done: false, lease: None, expired: false };
        let broadcast = Broadcast {
            serial: self.serial,
            variant,
            urgency,
            paused: false,
            turn: 0,
            parts: (0..parts).map(part).collect(),
            retries: BTreeMap::new(),
            timed_out: false,
            report: Report::default(),
            failures: Vec::new(),
            most_takeovers: 0,
        };
        self.broadcasts.insert(name.to_owned(), broadcast);
        self.end(name);
    }

    /// Ends a broadcast that has nothing left; says whether it did.
    pub(super) fn end(&mut self, name: &str) -> bool {
        let broadcast = self.broadcasts.get_mut(name).expect("it is known");
        let left = broadcast.parts.iter().any(|part| !part.done) || !broadcast.retries.is_empty();
        if left || !broadcast.runs() {
            return false;
        }
        let out = broadcast.timed_out;
        broadcast.report.state = if out { BroadcastState::TimedOut } else { BroadcastState::Finished };
        self.totals.broadcasts += 1;
        self.totals.counts.merge(&broadcast.report.counts);
        self.totals.pruned += broadcast.report.pruned;
        true
    }

    /// The broadcast whose turn it is: there may be several.
    pub(super) fn check_turn(&mut self, given: Option<&str>) {
        let place = |broadcast: &Broadcast| (broadcast.turn, std::cmp::Reverse(broadcast.urgency));
        let first = self.broadcasts.values().filter(|broadcast| broadcast.has_work()).map(place).min();
        let Some(name) = given else {
            return assert!(first.is_none(), "there is work");
        };
        self.serial += 1;
        let broadcast = self.broadcasts.get_mut(name).expect("it is known");
        assert!(broadcast.has_work(), "{name} has work");
        assert_eq!(Some(place(broadcast)), first, "it is the turn of {name}");
        broadcast.turn = self.serial;
    }

    pub(super) fn ended(&self) -> Vec<String> {
        let ended = self.broadcasts.iter().filter(|(_, broadcast)| !broadcast.runs());
        ended.map(|(name, _)| name.clone()).collect()
    }

    /// The latest first.
    pub(super) fn recent(&self) -> Vec<String> {
        let mut all: Vec<_> = self.broadcasts.iter().map(|(name, b)| (b.serial, name.clone())).collect();
        all.sort_unstable_by(|a, b| b.cmp(a));
        all.into_iter().map(|(_, name)| name).collect()
    }
}

/// These counts, of entries read.
pub(super) fn outcomes(accepted: u64, gone: u64) -> Counts {
    counts(&[(OutcomeKind::Accepted, accepted), (OutcomeKind::Gone, gone)])
}
