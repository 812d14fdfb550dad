//! Changes, in parts that a store makes at one moment each.

use super::{Change, EntryRef};

/// When a change takes effect among those of its entry.
const fn turn(change: &Change) -> u8 {
    match change {
        Change::LimitPayload(_) | Change::NeedsRenewal => 0,
        Change::Remove => 1,
        Change::UseKey(_) => 2,
    }
}

/// The places of changes, in the order in which they are to be made: entry by entry.
pub(super) fn in_order(changes: &[(EntryRef, Change)]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..changes.len()).collect();
    order.sort_by_key(|place| (changes[*place].0.id, turn(&changes[*place].1)));
    order
}

/// The same in parts of about `size`. All changes of one entry are in one part: nothing may come
/// between them.
pub(super) fn parts(changes: &[(EntryRef, Change)], size: usize) -> Vec<Vec<usize>> {
    let id = |place: &usize| changes[*place].0.id;
    let mut parts: Vec<Vec<usize>> = Vec::with_capacity(changes.len().div_ceil(size));
    for of_entry in in_order(changes).chunk_by(|one, other| id(one) == id(other)) {
        match parts.last_mut().filter(|part| part.len() + of_entry.len() <= size) {
            Some(part) => part.extend(of_entry),
            None => parts.push(of_entry.to_vec()),
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Version;
    use crate::{KeyId, SubscriptionId};

    #[test]
    fn what_belongs_to_one_entry_stays_together_in_its_order() {
        let key = Change::UseKey(KeyId::from_bytes([1; 16]));
        let of = |id: u8, change| {
            let id = SubscriptionId::from_bytes([id; 32]);
            (EntryRef { id, version: Version::from_bytes([0; 16]) }, change)
        };
        let changes = [
            of(2, key),
            of(1, Change::Remove),
            of(2, Change::LimitPayload(7)),
            of(2, Change::LimitPayload(3)),
            of(3, key),
            of(1, Change::NeedsRenewal),
        ];
        assert_eq!(parts(&changes, 4), [vec![5, 1], vec![2, 3, 0, 4]]);
        assert_eq!(parts(&changes, 2), [vec![5, 1], vec![2, 3, 0], vec![4]]);
        assert_eq!(parts(&changes, 100).len(), 1);
        assert!(parts(&[], 2).is_empty());
    }
}
