//! The keyring, which may be changed while broadcasts run.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};

use crate::engine::vapid::Keyring;

/// The keyring in force.
#[derive(Debug)]
pub(crate) struct Keyrings {
    current: RwLock<Keyring>,
    swaps: AtomicU64,
}

/// The keyring that was in force when it was last looked at, so that a push costs no lock.
#[derive(Debug)]
pub(crate) struct Snapshot {
    keyring: Keyring,
    swaps: u64,
}

impl Keyrings {
    pub(crate) const fn new(keyring: Keyring) -> Self {
        Self { current: RwLock::new(keyring), swaps: AtomicU64::new(0) }
    }

    pub(crate) fn current(&self) -> Keyring {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set(&self, keyring: Keyring) {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        *current = keyring;
        self.swaps.fetch_add(1, Ordering::Release);
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        // Counted before it is read: at worst it is read once more.
        let swaps = self.swaps.load(Ordering::Acquire);
        Snapshot { keyring: self.current(), swaps }
    }
}

impl Snapshot {
    /// Looks again. Returns whether the keyring is another one now.
    pub(crate) fn refresh(&mut self, keyrings: &Keyrings) -> bool {
        let changed = keyrings.swaps.load(Ordering::Acquire) != self.swaps;
        if changed {
            *self = keyrings.snapshot();
        }
        changed
    }

    pub(crate) const fn keyring(&self) -> &Keyring {
        &self.keyring
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::vapid::{Vapid, VapidKey};

    #[test]
    fn a_snapshot_follows_when_it_looks_again() {
        let ring = || {
            let key = VapidKey::generate().unwrap();
            Keyring::new(Vapid::new(key, "mailto:ops@example.org".parse().unwrap()))
        };
        let (first, second) = (ring(), ring());
        let keyrings = Keyrings::new(first.clone());
        let mut snapshot = keyrings.snapshot();
        assert!(!snapshot.refresh(&keyrings));
        keyrings.set(second.clone());
        assert_eq!(snapshot.keyring().preferred().key_id(), first.preferred().key_id());
        assert!(snapshot.refresh(&keyrings) && !snapshot.refresh(&keyrings));
        assert_eq!(snapshot.keyring().preferred().key_id(), second.preferred().key_id());
    }
}
