//! How fast each publisher may publish.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use webpush_channels::UserId;

/// The most publishers that are remembered: who is not had no publication in the last second, or comes after so many
/// others that the limit does not help any more.
const PUBLISHERS: usize = 4096;

/// The bucket's size, in time: a publisher who rested for this long may use up all of it at once.
const BURST: Duration = Duration::from_secs(1);

/// A token bucket for each publisher: so many in a second on average, as many at once.
#[derive(Debug)]
pub(crate) struct Limiter {
    /// What one publication costs.
    interval: Duration,
    places: usize,
    /// When each publisher's bucket will be full again. In the past: it is, as if nobody had published.
    full: Mutex<HashMap<UserId, Instant>>,
}

impl Limiter {
    /// So many publications in a second; at least one.
    pub(crate) fn new(per_second: u32) -> Self {
        Self::with_places(per_second, PUBLISHERS)
    }

    fn with_places(per_second: u32, places: usize) -> Self {
        Self { interval: BURST / per_second.max(1), places, full: Mutex::default() }
    }

    /// Takes one of a publisher's tokens, or says how long to wait for the next. A refusal costs nothing.
    pub(crate) fn take(&self, publisher: &UserId, now: Instant) -> Result<(), Duration> {
        let mut all = self.full.lock().unwrap_or_else(PoisonError::into_inner);
        let full = all.get(publisher).map_or(now, |full| now.max(*full)) + self.interval;
        let wait = full.saturating_duration_since(now + BURST);
        if !wait.is_zero() {
            return Err(wait);
        }
        if all.len() >= self.places && !all.contains_key(publisher) {
            make_place(&mut all, self.places, now);
        }
        all.insert(publisher.clone(), full);
        Ok(())
    }
}

/// Forgets those whose bucket is full, and if nobody's is, the one whose bucket is next.
fn make_place(all: &mut HashMap<UserId, Instant>, places: usize, now: Instant) {
    all.retain(|_, full| *full > now);
    if all.len() >= places {
        let next = all.iter().min_by_key(|(_, full)| **full).map(|(publisher, _)| publisher.clone());
        next.and_then(|next| all.remove(&next));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str) -> UserId {
        UserId::new(name).unwrap()
    }

    const fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn a_bucket_empties_and_fills_again() {
        let (limiter, ada, start) = (Limiter::new(4), user("ada"), Instant::now());
        for _ in 0..4 {
            assert_eq!(limiter.take(&ada, start), Ok(()));
        }
        assert_eq!(limiter.take(&ada, start), Err(ms(250)));
        assert_eq!(limiter.take(&ada, start + ms(249)), Err(ms(1)));
        assert_eq!(limiter.take(&ada, start + ms(250)), Ok(()));
        assert_eq!(limiter.take(&ada, start + ms(250)), Err(ms(250)));
        // After a rest there are four again, not more.
        let later = start + ms(60_000);
        assert_eq!((0..9).filter(|_| limiter.take(&ada, later).is_ok()).count(), 4);
    }

    #[test]
    fn publishers_do_not_share_a_bucket() {
        let (limiter, start) = (Limiter::new(1), Instant::now());
        assert_eq!(limiter.take(&user("ada"), start), Ok(()));
        assert!(limiter.take(&user("ada"), start).is_err());
        assert_eq!(limiter.take(&user("bob"), start), Ok(()));
    }

    #[test]
    fn the_table_is_bounded_and_forgets_the_fullest_bucket_first() {
        let (limiter, start) = (Limiter::with_places(2, 2), Instant::now());
        for name in ["ada", "ada", "bob", "eve"] {
            assert_eq!(limiter.take(&user(name), start), Ok(()));
        }
        assert_eq!(limiter.full.lock().unwrap().len(), 2);
        // Bob had one token left and was forgotten; Ada had none and was not.
        assert!(limiter.take(&user("ada"), start).is_err());
        for name in ["joe", "kim", "lea"] {
            assert_eq!(limiter.take(&user(name), start + ms(5000)), Ok(()));
        }
        assert_eq!(limiter.full.lock().unwrap().len(), 2);
    }
}
