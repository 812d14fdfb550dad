//! Paces first attempts, where a broadcast's rate is limited.

use std::time::Duration;

use tokio::time::Instant;

use crate::sender::{Bucket, Pace};

/// What was not sent within the last second may be made up for.
const DEEP: Duration = Duration::from_secs(1);

/// First attempts, or the entries that are read for them, as they may come. A limited rate begins
/// with nothing, so that many short leases are no faster than one long one.
#[derive(Debug, Default)]
pub(super) struct Rate(Option<Bucket>);

impl Rate {
    pub(super) fn new(pace: Option<Pace>, now: Instant) -> Self {
        Self(pace.map(|pace| Bucket::new(pace, DEEP, now)))
    }

    pub(super) const fn is_limited(&self) -> bool {
        self.0.is_some()
    }

    pub(super) fn set(&mut self, pace: Option<Pace>, now: Instant) {
        match (&mut self.0, pace) {
            (Some(bucket), Some(pace)) => bucket.set_pace(pace, now),
            _ => *self = Self::new(pace, now),
        }
    }

    /// How many of `wanted` may come now. Few at a time are not worth a page: none before there is
    /// a handful.
    pub(super) fn grant(&mut self, wanted: usize, now: Instant) -> usize {
        let Some(bucket) = &mut self.0 else { return wanted };
        if bucket.has_a_handful(now) { wanted.min(bucket.tokens(now)) } else { 0 }
    }

    pub(super) fn has_one(&mut self, now: Instant) -> bool {
        self.0.as_mut().is_none_or(|bucket| bucket.tokens(now) > 0)
    }

    /// So many came.
    pub(super) fn take(&mut self, entries: usize) {
        if let Some(bucket) = &mut self.0 {
            bucket.take(entries);
        }
    }

    /// One did not come after all.
    pub(super) fn give_back(&mut self) {
        if let Some(bucket) = &mut self.0 {
            bucket.give_back(1);
        }
    }

    /// When some will be granted; none where they always are.
    pub(super) fn wake(&self) -> Option<Instant> {
        self.0.as_ref().map(|bucket| bucket.when(1))
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;

    fn rate(per_minute: u32, now: Instant) -> Rate {
        Rate::new(NonZeroU32::new(per_minute).map(Pace::per_minute), now)
    }

    #[tokio::test(start_paused = true)]
    async fn no_limit_grants_everything_and_never_wakes() {
        let now = Instant::now();
        let mut free = rate(0, now);
        assert_eq!((free.grant(1000, now), free.wake()), (1000, None));
    }

    #[tokio::test(start_paused = true)]
    async fn a_minute_brings_what_the_limit_says() {
        for (per_minute, wanted) in [(60, 1000), (6000, 1000), (7, 1), (90, 4), (100_000, 1000)] {
            let start = Instant::now();
            let (mut rate, mut now, mut read) = (rate(per_minute, start), start, 0);
            while now.duration_since(start) < Duration::from_secs(60) {
                now = rate.wake().unwrap().max(now);
                let granted = rate.grant(wanted, now);
                assert!(granted > 0, "it wakes when there is something to read");
                rate.take(granted);
                read += granted;
            }
            let limit = usize::try_from(per_minute).unwrap();
            assert!((limit..=limit + limit / 1000 + 1).contains(&read), "{per_minute}: {read}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_limit_that_is_set_later_begins_with_nothing() {
        let now = Instant::now();
        let mut rate = rate(0, now);
        rate.set(Some(Pace::per_minute(NonZeroU32::new(6000).unwrap())), now);
        assert_eq!(rate.grant(10, now), 0);
        rate.set(None, now);
        assert_eq!(rate.grant(10, now), 10);
    }
}
