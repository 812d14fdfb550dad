//! Finds numbers by a key that is kept elsewhere.

use std::hash::{BuildHasher, Hash, RandomState};

use hashbrown::HashTable;

/// Growing one table moves all that is in it while everybody waits: many small ones. A power of
/// two.
const SHARDS: usize = 64;

/// A hash index of numbers. The keys are not copied into it: the caller compares.
///
/// Endpoints are chosen by strangers, so that the hash is keyed at random. Its 32 bits are kept
/// beside each number: growing does not touch the keys.
#[derive(Debug)]
pub(super) struct Index {
    shards: Vec<HashTable<(u32, Mark)>>,
    hasher: RandomState,
}

/// The hash of a key.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Mark(u32);

impl Default for Index {
    fn default() -> Self {
        Self { shards: (0..SHARDS).map(|_| HashTable::new()).collect(), hasher: RandomState::new() }
    }
}

impl Index {
    /// For computing marks outside of the lock.
    pub(super) fn hasher(&self) -> RandomState {
        self.hasher.clone()
    }

    pub(super) fn find(&self, mark: Mark, mut is: impl FnMut(u32) -> bool) -> Option<u32> {
        let found = self.shards[mark.shard()].find(mark.hash(), |(number, m)| *m == mark && is(*number));
        found.map(|(number, _)| *number)
    }

    pub(super) fn insert(&mut self, mark: Mark, number: u32) {
        self.shards[mark.shard()].insert_unique(mark.hash(), (number, mark), |(_, mark)| mark.hash());
    }

    pub(super) fn remove(&mut self, mark: Mark, number: u32) {
        let shard = &mut self.shards[mark.shard()];
        if let Ok(entry) = shard.find_entry(mark.hash(), |(n, _)| *n == number) {
            entry.remove();
        }
        if shard.len() < shard.capacity() / 8 {
            shard.shrink_to(shard.len() * 2, |(_, mark)| mark.hash());
        }
    }
}

impl Mark {
    pub(super) fn of(hasher: &RandomState, key: impl Hash) -> Self {
        let hash = hasher.hash_one(key).to_be_bytes();
        Self(u32::from_be_bytes([hash[0], hash[1], hash[2], hash[3]]))
    }

    /// From the upper bits: the table begins its search by the lower ones.
    const fn shard(self) -> usize {
        (self.0 >> (u32::BITS - SHARDS.ilog2())) as usize
    }

    /// The table also takes the highest bits of 64.
    fn hash(self) -> u64 {
        u64::from(self.0).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found_and_memory_comes_back() {
        let mut index = Index::default();
        let hasher = index.hasher();
        let capacity = |index: &Index| index.shards.iter().map(HashTable::capacity).sum::<usize>();
        for number in 0..10_000 {
            index.insert(Mark::of(&hasher, number), number);
        }
        let full = capacity(&index);
        for number in 0..10_000 {
            assert_eq!(index.find(Mark::of(&hasher, number), |n| n == number), Some(number));
            index.remove(Mark::of(&hasher, number), number);
            assert_eq!(index.find(Mark::of(&hasher, number), |n| n == number), None);
        }
        assert!(capacity(&index) * 10 < full);
    }
}
