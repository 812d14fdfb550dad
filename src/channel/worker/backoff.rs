//! How long to leave a journal in peace that fails.

use std::time::Duration;

use tokio::time::Instant;

use crate::sender::later;

const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(5);

/// Pauses between failures: they double, each is drawn from the upper half (jitter).
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
    until: Option<Instant>,
}

impl Backoff {
    /// One more failure. `draw` is a number from 0 to 1.
    pub(super) fn failed(&mut self, draw: f64, now: Instant) {
        let longest = FIRST.saturating_mul(1 << self.failures.min(16)).min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        self.until = Some(later(now, longest.mul_f64(0.5 + draw / 2.0)));
    }

    /// It works again.
    pub(super) const fn worked(&mut self) {
        self.failures = 0;
        self.until = None;
    }

    /// Until when to wait.
    pub(super) fn until(&self, now: Instant) -> Option<Instant> {
        self.until.filter(|until| *until > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn pauses_double_up_to_the_longest_and_end_with_success() {
        let (mut backoff, now) = (Backoff::default(), Instant::now());
        assert_eq!(backoff.until(now), None);
        let mut pauses = Vec::new();
        for _ in 0..40 {
            backoff.failed(1.0, now);
            pauses.push(backoff.until(now).unwrap().duration_since(now).as_millis());
        }
        assert_eq!(pauses[..7], [100, 200, 400, 800, 1600, 3200, 5000]);
        assert_eq!(pauses[39], 5000);
        backoff.failed(0.0, now);
        assert_eq!(backoff.until(now), Some(now + LONGEST / 2));
        assert_eq!(backoff.until(now + LONGEST), None);
        backoff.worked();
        backoff.failed(0.0, now);
        assert_eq!(backoff.until(now), Some(now + FIRST / 2));
    }
}
