//! When to try again.

use std::time::Duration;

use tokio::time::Instant;

use super::RetryBudget;

/// How often and how long apart a request is repeated (R-11, R-7).
///
/// ```
/// use webpush_channels::sender::RetryPolicy;
///
/// let once = RetryPolicy::default().with_attempts(1);
/// assert_eq!(once.attempts, 1);
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct RetryPolicy {
    /// Attempts in all, the first one included. 6.
    pub attempts: u8,
    /// The longest first pause. Pauses are drawn from zero to it (full jitter) and it doubles
    /// each time. One second.
    pub base: Duration,
    /// The longest that a pause grows to. 5 minutes.
    pub cap: Duration,
    /// The longest `Retry-After` that is waited for; a longer one ends the delivery as
    /// [`Throttled`](crate::Outcome::Throttled), so that a hostile push service cannot park
    /// messages. One hour.
    pub max_retry_after: Duration,
    /// How many retries one push service gets, by what else is sent to it: an outage must not multiply
    /// that. None is any number.
    pub budget: Option<RetryBudget>,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            attempts: 6,
            base: Duration::from_secs(1),
            cap: Duration::from_secs(300),
            max_retry_after: Duration::from_secs(3600),
            budget: Some(RetryBudget::default()),
        }
    }
}

impl RetryPolicy {
    /// The same policy with this many attempts in all; zero means one.
    #[must_use]
    pub const fn with_attempts(mut self, attempts: u8) -> Self {
        self.attempts = if attempts == 0 { 1 } else { attempts };
        self
    }

    /// The same policy with other pauses.
    #[must_use]
    pub const fn with_backoff(mut self, base: Duration, cap: Duration) -> Self {
        self.base = base;
        self.cap = cap;
        self
    }

    /// The same policy, waiting for another longest `Retry-After`.
    #[must_use]
    pub const fn with_max_retry_after(mut self, limit: Duration) -> Self {
        self.max_retry_after = limit;
        self
    }

    /// The same policy with another budget of retries for each push service.
    #[must_use]
    pub const fn with_budget(mut self, budget: RetryBudget) -> Self {
        self.budget = Some(budget);
        self
    }

    /// The same policy, whatever an outage makes of it.
    #[must_use]
    pub const fn without_budget(mut self) -> Self {
        self.budget = None;
        self
    }

    /// The pause after `failures` failures (from 1), the last of which asked for `after`: the larger
    /// of that and the backoff. None when attempts or patience are used up.
    pub(crate) fn pause(&self, failures: u8, after: Option<Duration>, draw: f64) -> Option<Duration> {
        if failures >= self.attempts { None } else { self.wait(failures, after, draw) }
    }

    /// The same, whatever attempts are left: what others wait for, too.
    pub(crate) fn wait(&self, failures: u8, after: Option<Duration>, draw: f64) -> Option<Duration> {
        if after.is_some_and(|after| after > self.max_retry_after) {
            return None;
        }
        let backoff = self.backoff(failures, draw);
        Some(after.map_or(backoff, |after| after.max(backoff)))
    }

    /// A pause after `failures` failures (from 1): anything up to base x 2^(failures - 1), `draw`
    /// being a number from 0 to 1.
    pub(crate) fn backoff(&self, failures: u8, draw: f64) -> Duration {
        self.ceiling(failures).mul_f64(draw)
    }

    /// The longest pause after `failures` failures.
    pub(crate) fn ceiling(&self, failures: u8) -> Duration {
        let doublings = u32::from(failures.saturating_sub(1)).min(31);
        self.base.saturating_mul(1 << doublings).min(self.cap).min(FOREVER)
    }
}

/// Thirty years: longer waits do not fit every platform's clock.
const FOREVER: Duration = Duration::from_secs(30 * 365 * 86_400);

/// So much later than `now`, without overflow.
pub(crate) fn later(now: Instant, wait: Duration) -> Instant {
    now + wait.min(FOREVER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_cap_and_are_drawn_from_zero() {
        let policy = RetryPolicy::default();
        let seconds = |failures| policy.backoff(failures, 1.0).as_secs();
        assert_eq!([1, 2, 3, 9, 10, 255].map(seconds), [1, 2, 4, 256, 300, 300]);
        assert_eq!(policy.backoff(3, 0.0), Duration::ZERO);
        assert_eq!(policy.backoff(3, 0.5), Duration::from_secs(2));
    }
}
