//! Removals pass the hook before they reach a store.

use std::collections::HashMap;

use super::super::tally::ByOrigin;
use super::super::{RemovalHook, Removals, Review};
use crate::store::EntryRef;
use crate::{Origin, Vendor};

/// What is to be removed, by whose answers.
#[derive(Debug, Default)]
pub(super) struct Pending(HashMap<Origin, (Vendor, Vec<EntryRef>)>);

impl Pending {
    pub(super) fn push(&mut self, origin: &Origin, vendor: Vendor, entry: EntryRef) {
        self.0.entry(origin.clone()).or_insert_with(|| (vendor, Vec::new())).1.push(entry);
    }

    pub(super) fn merge(&mut self, other: Self) {
        for (origin, (vendor, mut entries)) in other.0 {
            self.0.entry(origin).or_insert_with(|| (vendor, Vec::new())).1.append(&mut entries);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Asks the hook. Returns what may be removed, and how many are withheld.
    pub(super) fn review(self, hook: Option<&dyn RemovalHook>, counts: &ByOrigin) -> (Vec<EntryRef>, u64) {
        let (mut granted, mut withheld) = (Vec::new(), 0);
        for (origin, (vendor, mut entries)) in self.0 {
            let counts = counts.of(vendor, &origin);
            let removals = Removals { origin: &origin, counts: &counts, entries: &entries };
            match hook.map_or(Review::Apply, |hook| hook.review(&removals)) {
                Review::Apply => granted.append(&mut entries),
                Review::Withhold => {
                    tracing::warn!(%origin, removals = entries.len(), "removals are withheld");
                    withheld += entries.len() as u64;
                }
            }
        }
        (granted, withheld)
    }
}
