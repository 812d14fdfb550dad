//! One entry, as it lies in memory.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::super::{Coding, Entry, NewEntry, Version};
use crate::{KeyId, Subscription, UserId};

/// 56 octets: ten million of them are thinkable.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) subscription: Arc<Subscription>,
    /// The order of insertion, never used twice.
    pub(super) number: u64,
    pub(super) version: Version,
    /// Number of the VAPID key in [`Keys`].
    pub(super) key: u32,
    /// Place of the owner.
    pub(super) user: u32,
    /// The place of the owner's next entry, by number.
    pub(super) next: u32,
    /// Seconds since 1970, enough until 2106.
    pub(super) created: u32,
    pub(super) seen: u32,
    limit: u16,
    /// Has a limit, needs renewal: apart they would cost eight octets.
    flags: u8,
    pub(super) coding: Coding,
}

const HAS_LIMIT: u8 = 1;
const NEEDS_RENEWAL: u8 = 2;

impl Row {
    pub(super) fn new(new: &NewEntry, version: Version, key: u32, number: u64, user: u32, now: u32) -> Self {
        Self {
            subscription: Arc::clone(&new.subscription),
            number,
            version,
            key,
            user,
            next: super::slab::NONE,
            created: now,
            seen: now,
            limit: 0,
            flags: 0,
            coding: new.coding,
        }
    }

    pub(super) fn limit(&self) -> Option<u16> {
        self.has(HAS_LIMIT).then_some(self.limit)
    }

    pub(super) fn set_limit(&mut self, limit: Option<u16>) {
        self.set(HAS_LIMIT, limit.is_some());
        self.limit = limit.unwrap_or_default();
    }

    pub(super) const fn needs_renewal(&self) -> bool {
        self.has(NEEDS_RENEWAL)
    }

    pub(super) const fn set_needs_renewal(&mut self, needed: bool) {
        self.set(NEEDS_RENEWAL, needed);
    }

    const fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    const fn set(&mut self, flag: u8, on: bool) {
        self.flags = if on { self.flags | flag } else { self.flags & !flag };
    }

    pub(super) fn entry(&self, user: &UserId, keys: &Keys) -> Entry {
        let at = |seconds: u32| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds.into());
        let mut entry =
            Entry::new(user.clone(), Arc::clone(&self.subscription), self.version, at(self.created));
        entry.key = keys.id(self.key);
        entry.coding = self.coding;
        entry.payload_limit = self.limit();
        entry.needs_renewal = self.needs_renewal();
        entry.seen = at(self.seen);
        entry
    }
}

/// VAPID keys by number: there are few, and each is 16 octets. Number 0 is none.
#[derive(Debug, Default)]
pub(super) struct Keys {
    ids: Vec<KeyId>,
    numbers: HashMap<KeyId, u32>,
}

impl Keys {
    pub(super) fn number(&mut self, id: Option<KeyId>) -> u32 {
        let Some(id) = id else { return 0 };
        let Self { ids, numbers } = self;
        *numbers.entry(id).or_insert_with(|| {
            ids.push(id);
            u32::try_from(ids.len()).expect("memory ends before the numbers do")
        })
    }

    pub(super) fn id(&self, number: u32) -> Option<KeyId> {
        let index = (number as usize).checked_sub(1)?;
        Some(self.ids[index])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_stays_small() {
        assert_eq!(size_of::<Row>(), 56);
        assert_eq!(size_of::<Option<Row>>(), 56);
    }

    #[test]
    fn keys_come_back_by_number() {
        let mut keys = Keys::default();
        let (a, b) = (KeyId::from_bytes([1; 16]), KeyId::from_bytes([2; 16]));
        assert_eq!([keys.number(None), keys.number(Some(a)), keys.number(Some(b))], [0, 1, 2]);
        assert_eq!((keys.number(Some(a)), keys.id(2), keys.id(0)), (1, Some(b), None));
    }
}
