//! What became of a whole broadcast.

#[cfg(feature = "channel")]
use std::cmp::Reverse;
use std::fmt;
use std::ops::Index;
use std::time::Duration;

use serde::{Serialize, Serializer};

use crate::{Origin, OutcomeKind, SubscriptionId, Vendor};

/// How many deliveries ended in each [`OutcomeKind`].
///
/// ```
/// use webpush_channels::{Counts, OutcomeKind};
///
/// let mut counts = Counts::default();
/// counts.add(OutcomeKind::Accepted, 2);
/// counts.add(OutcomeKind::Gone, 1);
/// assert_eq!(counts[OutcomeKind::Accepted], 2);
/// assert_eq!(counts.total(), 3);
/// assert_eq!(counts.to_string(), "accepted 2, gone 1");
/// ```
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Counts([u64; OutcomeKind::ALL.len()]);

impl Counts {
    /// Adds `n` deliveries of this kind.
    pub fn add(&mut self, kind: OutcomeKind, n: u64) {
        self.0[kind as usize] += n;
    }

    /// Adds all of another count.
    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.0.iter_mut().zip(other.0) {
            *mine += theirs;
        }
    }

    /// All deliveries.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Each kind that occurred, with its count.
    pub fn iter(&self) -> impl Iterator<Item = (OutcomeKind, u64)> + '_ {
        OutcomeKind::ALL.iter().map(|kind| (*kind, self[*kind])).filter(|(_, n)| *n > 0)
    }
}

impl Index<OutcomeKind> for Counts {
    type Output = u64;

    fn index(&self, kind: OutcomeKind) -> &u64 {
        &self.0[kind as usize]
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (kind, n)) in self.iter().enumerate() {
            write!(f, "{}{kind} {n}", if i == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

impl Serialize for Counts {
    /// A map from the kind's word to its count, zeros left out.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter().map(|(kind, n)| (kind.as_str(), n)))
    }
}

/// Whose counts they are. Bounded in number: origins come from endpoints that strangers chose.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum OriginLabel {
    /// One of the browser vendors' push services, all its hosts together.
    Vendor(Vendor),
    /// One of the 16 busiest others.
    Origin(Origin),
    /// All the rest.
    Rest,
}

#[cfg(feature = "channel")]
impl OriginLabel {
    /// Whose counts those of an endpoint are, before the rest is cut off.
    pub(crate) fn of(vendor: Vendor, origin: &Origin) -> Self {
        match vendor {
            Vendor::Other => Self::Origin(origin.clone()),
            vendor => Self::Vendor(vendor),
        }
    }
}

impl fmt::Display for OriginLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Vendor(vendor) => vendor.fmt(f),
            Self::Origin(origin) => origin.fmt(f),
            Self::Rest => f.write_str("other"),
        }
    }
}

impl Serialize for OriginLabel {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// One origin's part of a [`Report`].
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct OriginReport {
    /// Whose.
    pub origin: OriginLabel,
    /// Its deliveries by outcome.
    pub counts: Counts,
}

impl OriginReport {
    /// One origin's counts.
    #[must_use]
    pub const fn new(origin: OriginLabel, counts: Counts) -> Self {
        Self { origin, counts }
    }
}

/// Of the origins that are no vendors', the ones that a report names.
#[cfg(feature = "channel")]
const NAMED: usize = 16;

/// The parts of a report: vendors, the busiest others, and the rest in one.
#[cfg(feature = "channel")]
pub(crate) fn busiest(counts: impl IntoIterator<Item = (OriginLabel, Counts)>) -> Vec<OriginReport> {
    let mut rest = Counts::default();
    let (mut vendors, mut others) = (Vec::new(), Vec::new());
    for (label, counts) in counts {
        match label {
            OriginLabel::Vendor(_) => vendors.push(OriginReport::new(label, counts)),
            OriginLabel::Origin(_) => others.push(OriginReport::new(label, counts)),
            OriginLabel::Rest => rest.merge(&counts),
        }
    }
    others.sort_by_key(|other| (Reverse(other.counts.total()), other.origin.clone()));
    for other in others.drain(NAMED.min(others.len())..) {
        rest.merge(&other.counts);
    }
    vendors.sort_by(|a, b| a.origin.cmp(&b.origin));
    vendors.append(&mut others);
    if rest.total() > 0 {
        vendors.push(OriginReport::new(OriginLabel::Rest, rest));
    }
    vendors
}

/// One delivery that was not accepted, as a sample.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Failure {
    /// Which subscription.
    pub subscription: SubscriptionId,
    /// Whose push service.
    pub origin: OriginLabel,
    /// How it ended.
    #[serde(serialize_with = "as_word")]
    pub outcome: OutcomeKind,
    /// The last thing that the push service said, as one line, and what to do about it.
    pub detail: Option<String>,
    /// How many requests were made.
    pub attempts: u8,
}

impl Failure {
    /// A sample.
    #[must_use]
    pub const fn new(
        subscription: SubscriptionId,
        origin: OriginLabel,
        outcome: OutcomeKind,
        detail: Option<String>,
        attempts: u8,
    ) -> Self {
        Self { subscription, origin, outcome, detail, attempts }
    }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn as_word<S: Serializer>(kind: &OutcomeKind, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(kind.as_str())
}

/// The most failures of a report.
#[cfg(feature = "channel")]
pub(crate) const MAX_FAILURES: usize = 100;

/// How a broadcast stands.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum BroadcastState {
    /// It has not ended.
    #[default]
    Running,
    /// Every entry of the audience was read and has its outcome.
    Finished,
    /// Its time (`send_within`) was used up before every entry was read.
    TimedOut,
    /// It was aborted.
    Aborted,
    /// A store failed, and the broadcast with it.
    Failed,
}

/// What became of a whole broadcast.
///
/// The counts over all outcomes and `pending` add up to `read`.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// How it ended, or that it has not.
    pub state: BroadcastState,
    /// How many entries were read from the store.
    pub read: u64,
    /// How many of them have no outcome yet. Zero once it finished.
    pub pending: u64,
    /// The deliveries by outcome.
    pub counts: Counts,
    /// How many requests were made, repeats included.
    pub attempts: u64,
    /// How many of these followed a request that may have arrived: the most messages that the
    /// same broadcast may have brought somebody twice for that reason.
    pub repeats: u64,
    /// How often a worker took work over from one that had vanished. Each time, what that one had
    /// in hand may be sent twice.
    pub takeovers: u64,
    /// How many subscriptions were removed from the store.
    pub pruned: u64,
    /// How many removals a `channel::RemovalHook` withheld.
    pub withheld: u64,
    /// The same deliveries by origin: vendors, the 16 busiest others, and the rest.
    pub origins: Vec<OriginReport>,
    /// A sample of what was not accepted, at most 100.
    pub failures: Vec<Failure>,
    /// From the start to the end, or to now.
    #[serde(serialize_with = "as_seconds", rename = "seconds")]
    pub elapsed: Duration,
}

fn as_seconds<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(duration.as_secs_f64())
}

impl fmt::Display for Report {
    /// A few lines for a terminal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:?} after {:.3} s: {} read, {} pending",
            self.state,
            self.elapsed.as_secs_f64(),
            self.read,
            self.pending
        )?;
        writeln!(f, "  {}", self.counts)?;
        writeln!(f, "  {} requests, {} pruned", self.attempts, self.pruned)?;
        for origin in &self.origins {
            writeln!(f, "  {}: {}", origin.origin, origin.counts)?;
        }
        for failure in self.failures.iter().take(5) {
            writeln!(
                f,
                "  {} {}: {}",
                failure.outcome,
                failure.subscription,
                failure.detail.as_deref().unwrap_or("-")
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_written_as_flat_json() {
        let mut report = Report { read: 3, elapsed: Duration::from_millis(1500), ..Report::default() };
        report.counts.add(OutcomeKind::Gone, 3);
        report.origins.push(OriginReport::new(OriginLabel::Vendor(Vendor::Fcm), report.counts.clone()));
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["counts"], serde_json::json!({"gone": 3}));
        assert_eq!(json["origins"][0]["origin"], "fcm");
        assert_eq!(json["seconds"], 1.5);
        assert!(report.to_string().contains("gone 3"));
    }

    #[test]
    fn counts_add_up() {
        let mut a = Counts::default();
        for kind in OutcomeKind::ALL {
            a.add(*kind, 1);
        }
        let mut b = a.clone();
        b.merge(&a);
        assert_eq!(b.total(), 2 * OutcomeKind::ALL.len() as u64);
        assert!(b.iter().all(|(_, n)| n == 2));
    }
}
