//! Tokens that come at a rate.

use std::num::NonZeroU32;
use std::time::Duration;

use tokio::time::Instant;

use super::later;

/// How many in a time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Pace {
    /// Positive and finite.
    per_second: f64,
}

impl Pace {
    pub(crate) fn per_minute(messages: NonZeroU32) -> Self {
        Self { per_second: f64::from(messages.get()) / 60.0 }
    }

    /// So many in this time; none where that is no pace: nothing to send, or no time for it.
    pub(crate) fn over(messages: u64, time: Duration) -> Option<Self> {
        let messages = f64::from(u32::try_from(messages).unwrap_or(u32::MAX));
        let per_second = messages / time.as_secs_f64();
        (per_second.is_finite() && per_second > 0.0).then_some(Self { per_second })
    }

    /// From one to the next.
    pub(crate) fn interval(self) -> Duration {
        Duration::try_from_secs_f64(1.0 / self.per_second).unwrap_or(Duration::MAX)
    }

    /// How many in this time, and one at least.
    pub(crate) fn within(self, time: Duration) -> f64 {
        (self.per_second * time.as_secs_f64()).max(1.0)
    }
}

/// What was not used lately, as far as it is deep: what comes out of it in any time `t` is at most
/// what comes in `t` and its depth.
#[derive(Debug)]
pub(crate) struct Bucket {
    pace: Pace,
    deep: Duration,
    tokens: f64,
    at: Instant,
}

/// Whoever waits for tokens wakes up for those of this time: twenty timers a second are enough.
const HANDFUL: Duration = Duration::from_millis(50);
/// Thirds do not add up to one.
const ROUNDING: f64 = 1e-6;

impl Bucket {
    /// An empty one, which holds the tokens of so long a time, and one at least.
    pub(crate) const fn new(pace: Pace, deep: Duration, now: Instant) -> Self {
        Self { pace, deep, tokens: 0.0, at: now }
    }

    pub(crate) const fn pace(&self) -> Pace {
        self.pace
    }

    pub(crate) fn set_pace(&mut self, pace: Pace, now: Instant) {
        self.fill(now);
        self.pace = pace;
        self.tokens = self.tokens.min(self.depth());
    }

    /// How many tokens there are.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a small whole number, not negative"
    )]
    pub(crate) fn tokens(&mut self, now: Instant) -> usize {
        self.fill(now);
        (self.tokens + ROUNDING) as usize
    }

    pub(crate) fn take(&mut self, tokens: usize) {
        self.tokens = (self.tokens - as_tokens(tokens)).max(0.0);
    }

    pub(crate) fn give_back(&mut self, tokens: usize) {
        self.tokens = (self.tokens + as_tokens(tokens)).min(self.depth());
    }

    /// When there will be so many, or a handful if that is more, unless somebody takes some.
    pub(crate) fn when(&self, tokens: usize) -> Instant {
        let wanted = as_tokens(tokens).max(self.pace.within(HANDFUL).floor());
        let missing = (wanted - self.tokens).max(0.0) / self.pace.per_second;
        later(self.at, Duration::try_from_secs_f64(missing).unwrap_or(Duration::MAX))
    }

    /// Whether there is a handful.
    pub(crate) fn has_a_handful(&mut self, now: Instant) -> bool {
        self.fill(now);
        self.tokens + ROUNDING >= self.pace.within(HANDFUL).floor()
    }

    fn fill(&mut self, now: Instant) {
        let grown = now.duration_since(self.at).as_secs_f64() * self.pace.per_second;
        self.tokens = (self.tokens + grown).min(self.depth());
        // Those who share it may have looked at the clock before others did.
        self.at = self.at.max(now);
    }

    fn depth(&self) -> f64 {
        self.pace.within(self.deep)
    }
}

fn as_tokens(n: usize) -> f64 {
    f64::from(u32::try_from(n).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn per_minute(n: u32) -> Pace {
        Pace::per_minute(NonZeroU32::new(n).unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn it_gives_what_came_and_no_more_than_it_holds() {
        let start = Instant::now();
        let mut bucket = Bucket::new(per_minute(600), SECOND, start);
        assert_eq!((bucket.tokens(start), bucket.when(1)), (0, start + SECOND / 10));
        assert_eq!(bucket.tokens(start + SECOND / 2), 5);
        bucket.take(5);
        bucket.give_back(2);
        assert_eq!(bucket.tokens(start + SECOND / 2), 2);
        assert_eq!(bucket.tokens(start + 100 * SECOND), 10, "a second's worth");
        bucket.set_pace(per_minute(120), start + 100 * SECOND);
        assert_eq!(bucket.tokens(start + 100 * SECOND), 2, "of the new pace");
    }

    #[tokio::test(start_paused = true)]
    async fn thirds_add_up() {
        let start = Instant::now();
        let (mut bucket, mut now, mut taken) = (Bucket::new(per_minute(1000), SECOND, start), start, 0);
        while now < start + 60 * SECOND {
            now = now.max(bucket.when(1));
            let tokens = bucket.tokens(now);
            assert!(tokens > 0, "it wakes when there is something");
            bucket.take(tokens);
            taken += tokens;
        }
        assert!((1000..=1001).contains(&taken), "{taken}");
    }

    #[test]
    fn a_pace_is_positive_and_finite() {
        assert_eq!(Pace::over(0, SECOND), None);
        assert_eq!(Pace::over(5, Duration::ZERO), None);
        assert_eq!(Pace::over(1000, 600 * SECOND), Some(per_minute(100)));
        assert_eq!(Pace::over(1, Duration::MAX).map(|pace| pace.within(SECOND)), Some(1.0));
    }
}
