//! Paces reading, where a broadcast's rate is limited.

use std::num::NonZeroU32;
use std::time::Duration;

use tokio::time::Instant;

/// A bucket of first attempts that holds those of a second, and one at least. It begins empty, so
/// that many short leases are no faster than one long one.
#[derive(Debug)]
pub(super) struct Rate {
    per_minute: Option<NonZeroU32>,
    tokens: f64,
    at: Instant,
}

impl Rate {
    pub(super) const fn new(per_minute: Option<NonZeroU32>, now: Instant) -> Self {
        Self { per_minute, tokens: 0.0, at: now }
    }

    pub(super) fn set(&mut self, per_minute: Option<NonZeroU32>, now: Instant) {
        self.fill(now);
        self.per_minute = per_minute;
        self.tokens = self.tokens.min(self.size());
    }

    /// How many of `wanted` entries may be read now: as many as there are tokens, once these are
    /// as many as are wanted or the bucket is full.
    pub(super) fn grant(&mut self, wanted: usize, now: Instant) -> usize {
        if self.per_minute.is_none() {
            return wanted;
        }
        self.fill(now);
        if self.tokens < self.enough(wanted) {
            return 0;
        }
        // Not negative, and not above `wanted` after the minimum.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small whole number")]
        let tokens = self.tokens as usize;
        wanted.min(tokens)
    }

    /// So many entries were read.
    pub(super) fn take(&mut self, entries: usize) {
        if self.per_minute.is_some() {
            self.tokens -= as_tokens(entries);
        }
    }

    /// When so many will be granted.
    pub(super) fn wake(&self, wanted: usize) -> Option<Instant> {
        let missing = (self.enough(wanted) - self.tokens).max(0.0);
        let seconds = missing / self.per_second()?;
        // A little later, so that rounding does not ask too early.
        Some(self.at + Duration::from_secs_f64(seconds) + Duration::from_millis(1))
    }

    fn fill(&mut self, now: Instant) {
        if let Some(rate) = self.per_second() {
            let grown = now.duration_since(self.at).as_secs_f64() * rate;
            self.tokens = (self.tokens + grown).min(self.size());
        }
        self.at = now;
    }

    fn per_second(&self) -> Option<f64> {
        self.per_minute.map(|rate| f64::from(rate.get()) / 60.0)
    }

    fn size(&self) -> f64 {
        self.per_second().map_or(0.0, |rate| rate.max(1.0))
    }

    fn enough(&self, wanted: usize) -> f64 {
        as_tokens(wanted).min(self.size().floor())
    }
}

fn as_tokens(entries: usize) -> f64 {
    f64::from(u32::try_from(entries).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(per_minute: u32, now: Instant) -> Rate {
        Rate::new(NonZeroU32::new(per_minute), now)
    }

    #[tokio::test(start_paused = true)]
    async fn no_limit_grants_everything_and_never_wakes() {
        let now = Instant::now();
        let mut free = rate(0, now);
        assert_eq!((free.grant(1000, now), free.wake(1000)), (1000, None));
    }

    #[tokio::test(start_paused = true)]
    async fn a_minute_brings_what_the_limit_says() {
        for (per_minute, wanted) in [(60, 1000), (6000, 1000), (7, 1), (90, 4)] {
            let start = Instant::now();
            let (mut rate, mut now, mut read) = (rate(per_minute, start), start, 0);
            while now.duration_since(start) < Duration::from_secs(60) {
                now = rate.wake(wanted).unwrap().max(now);
                let granted = rate.grant(wanted, now);
                assert!(granted > 0, "it wakes when there is something to read");
                rate.take(granted);
                read += granted;
            }
            let limit = usize::try_from(per_minute).unwrap();
            assert!((limit.min(59)..=limit + limit / 30 + 1).contains(&read), "{per_minute}: {read}");
        }
    }
}
