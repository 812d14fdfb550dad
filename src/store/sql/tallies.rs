//! Sums as JSON in one column, so that a checkpoint costs one row.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::store::journal::tallies::Tallies;
use crate::{Counts, Endpoint, OriginLabel, OutcomeKind, Vendor};

impl Tallies {
    /// Adds all of another.
    pub(in crate::store) fn merge(&mut self, other: &Self) {
        self.read += other.read;
        self.attempts += other.attempts;
        self.repeats += other.repeats;
        self.pruned += other.pruned;
        self.withheld += other.withheld;
        self.takeovers += other.takeovers;
        for (label, counts) in &other.origins {
            self.counts_of(label).merge(counts);
        }
    }

    /// The column.
    pub(in crate::store) fn to_json(&self) -> String {
        let origins: Map<String, Value> =
            self.origins.iter().map(|(label, counts)| (label.to_string(), counts_to_json(counts))).collect();
        json!({
            "read": self.read, "attempts": self.attempts, "repeats": self.repeats, "pruned": self.pruned,
            "withheld": self.withheld, "takeovers": self.takeovers, "origins": origins,
        })
        .to_string()
    }

    /// Reads the column. `None` where it was damaged.
    pub(in crate::store) fn from_json(text: &str) -> Option<Self> {
        let value: Value = serde_json::from_str(text).ok()?;
        let number = |name: &str| value.get(name).map_or(Some(0), number);
        let mut tallies = Self {
            read: number("read")?,
            attempts: number("attempts")?,
            repeats: number("repeats")?,
            pruned: number("pruned")?,
            withheld: number("withheld")?,
            takeovers: number("takeovers")?,
            origins: BTreeMap::new(),
        };
        for (label, counts) in value.get("origins")?.as_object()? {
            tallies.origins.insert(label_from_text(label)?, counts_from_json(counts)?);
        }
        Some(tallies)
    }
}

/// No broadcast counts further: a larger number is damage, and sums of such could overflow.
const MAX_COUNT: u64 = 1 << 48;

fn number(value: &Value) -> Option<u64> {
    value.as_u64().filter(|n| *n <= MAX_COUNT)
}

/// A column of counts.
pub(in crate::store) fn counts_to_json(counts: &Counts) -> Value {
    counts.iter().map(|(kind, n)| (kind.as_str().to_owned(), Value::from(n))).collect::<Map<_, _>>().into()
}

/// Reads a column of counts. A kind that a later version added counts as unexpected.
pub(in crate::store) fn counts_from_json(value: &Value) -> Option<Counts> {
    let mut counts = Counts::default();
    for (word, n) in value.as_object()? {
        counts.add(outcome_from_text(word).unwrap_or(OutcomeKind::Unexpected), number(n)?);
    }
    Some(counts)
}

/// The label that is written as this text.
pub(in crate::store) fn label_from_text(text: &str) -> Option<OriginLabel> {
    let vendors = [Vendor::Apple, Vendor::Fcm, Vendor::Mozilla, Vendor::Wns];
    if let Some(vendor) = vendors.into_iter().find(|vendor| vendor.as_str() == text) {
        return Some(OriginLabel::Vendor(vendor));
    }
    if text == OriginLabel::Rest.to_string() {
        return Some(OriginLabel::Rest);
    }
    let endpoint: Endpoint = format!("{text}/").parse().ok()?;
    Some(OriginLabel::Origin(endpoint.origin()))
}

/// The kind of outcome that is written as this word.
pub(in crate::store) fn outcome_from_text(word: &str) -> Option<OutcomeKind> {
    OutcomeKind::ALL.iter().copied().find(|kind| kind.as_str() == word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let mut tallies = Tallies { read: 9, attempts: 8, takeovers: 1, ..Tallies::default() };
        tallies.count(&OriginLabel::Vendor(Vendor::Wns), OutcomeKind::Accepted, 3);
        let other = label_from_text("https://push.example.net:8443").unwrap();
        tallies.count(&other, OutcomeKind::GaveUp, 2);
        tallies.count(&OriginLabel::Rest, OutcomeKind::Gone, 1);
        assert_eq!(Tallies::from_json(&tallies.to_json()), Some(tallies.clone()));
        let mut twice = tallies.clone();
        twice.merge(&tallies);
        assert_eq!((twice.read, twice.counts().total(), twice.takeovers), (18, 12, 2));
        for damaged in [
            "",
            "{}",
            "[1]",
            r#"{"read": -1, "origins": {}}"#,
            r#"{"read": 18446744073709551615, "origins": {}}"#,
            r#"{"origins": {"x": {}}}"#,
        ] {
            assert_eq!(Tallies::from_json(damaged), None, "{damaged}");
        }
    }

    #[test]
    fn an_outcome_of_a_later_version_is_unexpected() {
        let counts = counts_from_json(&json!({"teleported": 2, "gone": 1})).unwrap();
        assert_eq!((counts[OutcomeKind::Unexpected], counts[OutcomeKind::Gone]), (2, 1));
    }
}
