//! What a broadcast's checkpoints add up to, as journals keep it.

use std::collections::BTreeMap;

use super::{Checkpoint, SettledRetry};
use crate::report::busiest;
use crate::{BroadcastState, Counts, OriginLabel, OutcomeKind, Report};

/// Other origins than vendors' that are counted apart; those that come later go into the rest.
/// Endpoints come from strangers: what is kept of them is bounded.
const MAX_ORIGINS: usize = 256;

/// Sums of a range, or of a broadcast's retries.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(in crate::store) struct Tallies {
    pub(in crate::store) read: u64,
    pub(in crate::store) attempts: u64,
    pub(in crate::store) repeats: u64,
    pub(in crate::store) pruned: u64,
    pub(in crate::store) withheld: u64,
    pub(in crate::store) takeovers: u64,
    pub(in crate::store) origins: BTreeMap<OriginLabel, Counts>,
}

impl Tallies {
    /// Adds what a checkpoint says of entries of its range; those that its changes remove are the
    /// journal's to add. Its retries are added one by one
    /// ([`settled`](Self::settled)), because they count only where they were known.
    pub(in crate::store) fn add(&mut self, checkpoint: &Checkpoint) {
        self.read += checkpoint.read;
        self.attempts += checkpoint.attempts;
        self.repeats += checkpoint.repeats;
        self.pruned += checkpoint.pruned;
        self.withheld += checkpoint.withheld;
        for origin in &checkpoint.counts {
            self.counts_of(&origin.origin).merge(&origin.counts);
        }
    }

    /// Adds the outcome of a retry that was known.
    pub(in crate::store) fn settled(&mut self, retry: &SettledRetry) {
        self.count(&retry.origin, retry.outcome, 1);
    }

    /// Adds `n` outcomes of one kind.
    pub(in crate::store) fn count(&mut self, origin: &OriginLabel, outcome: OutcomeKind, n: u64) {
        self.counts_of(origin).add(outcome, n);
    }

    /// All outcomes.
    pub(in crate::store) fn counts(&self) -> Counts {
        let mut all = Counts::default();
        self.origins.values().for_each(|counts| all.merge(counts));
        all
    }

    /// The report of a broadcast whose sums these are. Its failures and how long it took are the
    /// journal's to add.
    pub(in crate::store) fn report(&self, state: BroadcastState) -> Report {
        let counts = self.counts();
        Report {
            state,
            read: self.read,
            pending: self.read.saturating_sub(counts.total()),
            counts,
            attempts: self.attempts,
            repeats: self.repeats,
            takeovers: self.takeovers,
            pruned: self.pruned,
            withheld: self.withheld,
            origins: busiest(self.origins.clone()),
            ..Report::default()
        }
    }

    pub(in crate::store) fn counts_of(&mut self, label: &OriginLabel) -> &mut Counts {
        let known = matches!(label, OriginLabel::Vendor(_))
            || self.origins.len() < MAX_ORIGINS
            || self.origins.contains_key(label);
        self.origins.entry(if known { label.clone() } else { OriginLabel::Rest }).or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Endpoint, Vendor};

    fn other(n: usize) -> OriginLabel {
        OriginLabel::Origin(format!("https://p{n}.example.net:8443/").parse::<Endpoint>().unwrap().origin())
    }

    #[test]
    fn what_has_no_outcome_is_pending() {
        let mut tallies = Tallies { read: 9, attempts: 8, takeovers: 1, ..Tallies::default() };
        tallies.count(&OriginLabel::Vendor(Vendor::Wns), OutcomeKind::Accepted, 3);
        tallies.count(&other(1), OutcomeKind::GaveUp, 2);
        tallies.count(&OriginLabel::Rest, OutcomeKind::Gone, 1);
        let report = tallies.report(BroadcastState::Running);
        assert_eq!((report.read, report.pending, report.counts.total()), (9, 3, 6));
    }

    #[test]
    fn strangers_origins_are_bounded() {
        let mut tallies = Tallies::default();
        for n in 0..2 * MAX_ORIGINS {
            tallies.count(&other(n), OutcomeKind::Accepted, 1);
        }
        tallies.count(&OriginLabel::Vendor(Vendor::Fcm), OutcomeKind::Accepted, 1);
        assert!(tallies.origins.len() <= MAX_ORIGINS + 2);
        assert_eq!(tallies.counts().total(), 2 * MAX_ORIGINS as u64 + 1);
    }
}
