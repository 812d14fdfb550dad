//! Who has how many event streams.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use webpush_channels::UserId;

/// The most streams at once; each asks the database several times a second.
const ALL: usize = 512;
/// The most of one user, so that nobody has all of them.
const OF_ONE: usize = 64;

/// The streams that are open, by user.
#[derive(Debug, Default)]
pub(crate) struct Places(Mutex<HashMap<UserId, usize>>);

/// One stream's place, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    user: UserId,
}

impl Places {
    /// A place for one stream more, or `None`: all are taken, or this user has enough.
    pub(super) fn take(self: &Arc<Self>, user: &UserId) -> Option<Place> {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if open.values().sum::<usize>() >= ALL || open.get(user).is_some_and(|own| *own >= OF_ONE) {
            return None;
        }
        *open.entry(user.clone()).or_default() += 1;
        Some(Place { places: Arc::clone(self), user: user.clone() })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.places.0.lock().unwrap_or_else(PoisonError::into_inner);
        let left = open.get(&self.user).map_or(0, |own| own.saturating_sub(1));
        if left == 0 {
            open.remove(&self.user);
        } else {
            open.insert(self.user.clone(), left);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_has_all_places_and_each_is_given_back() {
        let places = Arc::new(Places::default());
        let user = |n: usize| UserId::new(format!("user-{n}")).unwrap();
        let mut taken: Vec<_> = (0..OF_ONE).map(|_| places.take(&user(0)).unwrap()).collect();
        assert!(places.take(&user(0)).is_none());
        taken.extend((OF_ONE..ALL).map(|n| places.take(&user(n)).unwrap()));
        assert!(places.take(&user(ALL)).is_none());
        taken.remove(0);
        taken.push(places.take(&user(0)).unwrap());
        assert!(places.take(&user(ALL)).is_none());
        taken.clear();
        assert!(places.0.lock().unwrap().is_empty());
    }
}
