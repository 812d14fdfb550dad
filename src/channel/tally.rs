//! Counts while a broadcast runs, in bounded memory.

use std::collections::HashMap;

use tokio::time::Instant;

use super::{Delivery, Progress};
use crate::report::{MAX_FAILURES, busiest};
use crate::store::Entry;
use crate::{BroadcastState, Counts, Failure, Origin, OriginLabel, Report, Vendor};

/// Other origins than vendors' that are counted apart while the broadcast runs; those that come
/// later go into the rest.
const MAX_ORIGINS: usize = 1024;

#[derive(Debug)]
pub(super) struct Tally {
    started: Instant,
    report: Report,
    origins: HashMap<OriginLabel, Counts>,
    progress: Option<Progress>,
}

impl Tally {
    pub(super) fn new(progress: Option<Progress>) -> Self {
        Self { started: Instant::now(), report: Report::default(), origins: HashMap::new(), progress }
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

    pub(super) fn attempt(&mut self) {
        self.report.attempts += 1;
        if let Some(progress) = &self.progress {
            progress.add_attempt();
        }
    }

    pub(super) fn settled(&mut self, delivery: &Delivery, origin: &Origin) {
        let kind = delivery.outcome.kind();
        self.report.pending -= 1;
        self.report.counts.add(kind, 1);
        let label = self.label(&delivery.entry, origin);
        if !delivery.outcome.is_accepted() && self.report.failures.len() < MAX_FAILURES {
            let detail = delivery.detail.as_ref().map(ToString::to_string);
            let id = delivery.entry.subscription.id();
            self.report.failures.push(Failure::new(id, label.clone(), kind, detail, delivery.attempts));
        }
        self.origins.entry(label).or_default().add(kind, 1);
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

    /// The counts of one origin so far: its vendor's, its own, or the rest's.
    pub(super) fn counts_of(&self, vendor: Vendor, origin: &Origin) -> Counts {
        let counts = self
            .origins
            .get(&OriginLabel::of(vendor, origin))
            .or_else(|| self.origins.get(&OriginLabel::Rest));
        counts.cloned().unwrap_or_default()
    }

    pub(super) fn report(&self, state: BroadcastState) -> Report {
        let mut report = self.report.clone();
        report.state = state;
        report.elapsed = self.started.elapsed();
        report.origins = busiest(self.origins.iter().map(|(label, counts)| (label.clone(), counts.clone())));
        report
    }

    fn label(&self, entry: &Entry, origin: &Origin) -> OriginLabel {
        let label = OriginLabel::of(entry.subscription.endpoint().vendor(), origin);
        let known = matches!(label, OriginLabel::Vendor(_))
            || self.origins.len() < MAX_ORIGINS
            || self.origins.contains_key(&label);
        if known { label } else { OriginLabel::Rest }
    }
}
