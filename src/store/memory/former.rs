//! The ids that entries had before they were replaced.

use std::collections::HashMap;

use crate::SubscriptionId;

/// The most former ids of one entry: a client that replaces without end must not grow memory.
const MAX_PER_ROW: usize = 8;

/// Former ids, both ways. Few entries have one.
#[derive(Debug, Default)]
pub(super) struct Former {
    rows: HashMap<SubscriptionId, u32>,
    ids: HashMap<u32, Vec<SubscriptionId>>,
}

impl Former {
    pub(super) fn find(&self, id: &SubscriptionId) -> Option<u32> {
        self.rows.get(id).copied()
    }

    pub(super) fn add(&mut self, id: SubscriptionId, row: u32) {
        self.forget(&id);
        let ids = self.ids.entry(row).or_default();
        if ids.len() == MAX_PER_ROW {
            self.rows.remove(&ids.remove(0));
        }
        ids.push(id);
        self.rows.insert(id, row);
    }

    /// The id is now that of an entry.
    pub(super) fn forget(&mut self, id: &SubscriptionId) {
        let Some(row) = self.rows.remove(id) else { return };
        if let Some(ids) = self.ids.get_mut(&row) {
            ids.retain(|other| other != id);
            if ids.is_empty() {
                self.ids.remove(&row);
            }
        }
    }

    /// The entry is gone.
    pub(super) fn remove(&mut self, row: u32) {
        for id in self.ids.remove(&row).unwrap_or_default() {
            self.rows.remove(&id);
        }
    }
}
