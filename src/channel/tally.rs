//! Counts while a broadcast runs, in bounded memory.

use std::collections::HashMap;

use tokio::time::Instant;

use super::{Delivery, Progress};
use crate::report::{MAX_FAILURES, busiest};
use crate::{BroadcastState, Counts, Failure, Origin, OriginLabel, OutcomeKind, Report, Vendor};

/// Other origins than vendors' that are counted apart while the broadcast runs; those that come
/// later go into the rest.
const MAX_ORIGINS: usize = 1024;

#[derive(Debug)]
pub(super) struct Tally {
    started: Instant,
    report: Report,
    origins: ByOrigin,
    progress: Option<Progress>,
}

impl Tally {
    pub(super) fn new(progress: Option<Progress>) -> Self {
        Self { started: Instant::now(), report: Report::default(), origins: ByOrigin::default(), progress }
    }

    pub(super) const fn started(&self) -> Instant {
        self.started
    }

    pub(super) fn read(&mut self, entries: usize) {
        let entries = entries as u64;
        self.report.read += entries;
        self.report.pending += entries;
        if let Some(progress) = &self.progress {
            progress.add_read(entries);
        }
    }

    pub(super) fn attempt(&mut self, repeat: bool) {
        self.report.attempts += 1;
        self.report.repeats += u64::from(repeat);
        if let Some(progress) = &self.progress {
            progress.add_attempt();
        }
    }

    pub(super) fn settled(&mut self, delivery: &Delivery, origin: &Origin) {
        let kind = delivery.outcome.kind();
        self.report.pending -= 1;
        self.report.counts.add(kind, 1);
        let label = self.origins.add(delivery.entry.subscription.endpoint().vendor(), origin, kind);
        if !delivery.outcome.is_accepted() && self.report.failures.len() < MAX_FAILURES {
            let detail = delivery.detail.as_ref().map(ToString::to_string);
            let id = delivery.entry.subscription.id();
            self.report.failures.push(Failure::new(id, label, kind, detail, delivery.attempts));
        }
        if let Some(progress) = &self.progress {
            progress.add_done(delivery.outcome.is_accepted());
        }
    }

    pub(super) fn pruned(&mut self, entries: u64) {
        self.report.pruned += entries;
    }

    pub(super) fn withheld(&mut self, entries: u64) {
        self.report.withheld += entries;
    }

    /// The counts of each origin so far.
    pub(super) const fn origins(&self) -> &ByOrigin {
        &self.origins
    }

    pub(super) fn report(&self, state: BroadcastState) -> Report {
        let mut report = self.report.clone();
        report.state = state;
        report.elapsed = self.started.elapsed();
        report.origins = busiest(self.origins.0.clone());
        report
    }
}

/// Counts by origin, bounded in number.
#[derive(Debug, Default)]
pub(super) struct ByOrigin(HashMap<OriginLabel, Counts>);

impl ByOrigin {
    /// Counts one more; returns under which label.
    pub(super) fn add(&mut self, vendor: Vendor, origin: &Origin, kind: OutcomeKind) -> OriginLabel {
        let mut label = OriginLabel::of(vendor, origin);
        let known = matches!(label, OriginLabel::Vendor(_))
            || self.0.len() < MAX_ORIGINS
            || self.0.contains_key(&label);
        if !known {
            label = OriginLabel::Rest;
        }
        self.0.entry(label.clone()).or_default().add(kind, 1);
        label
    }

    /// The counts of one origin so far: its vendor's, its own, or the rest's.
    pub(super) fn of(&self, vendor: Vendor, origin: &Origin) -> Counts {
        let own = self.0.get(&OriginLabel::of(vendor, origin));
        own.or_else(|| self.0.get(&OriginLabel::Rest)).cloned().unwrap_or_default()
    }
}
