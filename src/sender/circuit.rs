//! Whether an origin is taken to be broken: it is left alone for a while, then one request decides.

use std::time::Duration;

use tokio::time::Instant;

/// This many requests in a row without any status.
const FAILURES: u32 = 8;
/// So many in a row where it answered a moment ago: it may only flap.
const SUDDEN: u32 = 32;
const MOMENT: Duration = Duration::from_secs(10);
/// Where half of so many fail, it flaps.
const RECENT: u32 = u64::BITS;
/// The longest pause, between probes.
const MAX_PAUSE: Duration = Duration::from_secs(60);

/// A circuit breaker. It opens for a pause, is half-open until a request that is made after it has
/// ended, and closes with any status: whoever answers is there, whatever it says.
#[derive(Debug, Default)]
pub(super) struct Circuit {
    /// How often it was opened since it was closed: each pause doubles.
    pauses: u8,
    until: Option<Instant>,
    /// Failures in a row.
    row: u32,
    /// When it last answered.
    heard: Option<Instant>,
    /// How the last requests ended, one bit each, and how many there are.
    failed: u64,
    results: u32,
    /// It was said that it is half-open.
    told: bool,
}

/// What a failure leads to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Failed {
    Nothing,
    /// It flaps: few at once get through as well as many, and cost it less.
    Narrows,
    Opens(Duration),
}

impl Circuit {
    /// Until when it is open.
    pub(super) fn open_until(&self, now: Instant) -> Option<Instant> {
        self.until.filter(|until| *until > now)
    }

    /// Whether requests may be made as usual.
    pub(super) const fn is_closed(&self) -> bool {
        self.pauses == 0
    }

    /// Whether there was a status within this time, and no pause since.
    pub(super) fn heard_since(&self, now: Instant, within: Duration) -> bool {
        self.heard.is_some_and(|heard| now.duration_since(heard) < within)
    }

    /// Whether one request is to decide.
    pub(super) fn is_half_open(&self, now: Instant) -> bool {
        !self.is_closed() && self.open_until(now).is_none()
    }

    /// The same, once for each time.
    pub(super) fn tell_half_open(&mut self, now: Instant) -> bool {
        self.is_half_open(now) && !std::mem::replace(&mut self.told, true)
    }

    /// A status arrived. Returns whether that closed it. What was on its way when it opened does not.
    pub(super) fn answered(&mut self, now: Instant) -> bool {
        if self.open_until(now).is_some() {
            return false;
        }
        let closes = self.pauses > 0;
        if closes {
            *self = Self::default();
        }
        self.row = 0;
        self.heard = Some(now);
        self.note(false);
        closes
    }

    /// No status arrived.
    pub(super) fn failed(&mut self, now: Instant, base: Duration) -> Failed {
        if self.open_until(now).is_some() {
            return Failed::Nothing;
        }
        self.row += 1;
        self.note(true);
        let sudden = self.heard_since(now, MOMENT);
        if self.pauses > 0 || self.row >= if sudden { SUDDEN } else { FAILURES } {
            let pause = base.saturating_mul(1 << self.pauses.min(16)).min(MAX_PAUSE);
            let pauses = self.pauses.saturating_add(1);
            *self = Self { pauses, until: Some(now + pause), ..Self::default() };
            return Failed::Opens(pause);
        }
        if self.results == RECENT && self.failed.count_ones() * 2 >= RECENT {
            self.results = 0;
            return Failed::Narrows;
        }
        Failed::Nothing
    }

    fn note(&mut self, failed: bool) {
        self.failed = self.failed << 1 | u64::from(failed);
        self.results = (self.results + 1).min(RECENT);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn failures_in_a_row_open_it_for_longer_each_time() {
        let (mut circuit, mut now) = (Circuit::default(), Instant::now());
        for _ in 0..FAILURES - 1 {
            assert_eq!(circuit.failed(now, SECOND), Failed::Nothing);
        }
        assert_eq!(circuit.failed(now, SECOND), Failed::Opens(SECOND));
        assert_eq!(circuit.failed(now, SECOND), Failed::Nothing, "it is open");
        for seconds in [2, 4, 8, 16, 32, 60, 60] {
            assert!(!circuit.is_half_open(now));
            now = circuit.open_until(now).unwrap();
            assert!(circuit.tell_half_open(now) && !circuit.tell_half_open(now));
            let opens = Failed::Opens(seconds * SECOND);
            assert_eq!(circuit.failed(now, SECOND), opens, "one probe is enough");
        }
        now += MAX_PAUSE;
        assert!(circuit.answered(now) && !circuit.answered(now));
        assert_eq!(circuit.failed(now, SECOND), Failed::Nothing);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_on_its_way_does_not_close_it() {
        let (mut circuit, now) = (Circuit::default(), Instant::now());
        for _ in 0..FAILURES {
            circuit.failed(now, SECOND);
        }
        assert!(!circuit.answered(now));
        assert_eq!(circuit.open_until(now), Some(now + SECOND));
        assert!(circuit.is_half_open(now + SECOND));
    }

    #[tokio::test(start_paused = true)]
    async fn where_it_answered_a_moment_ago_more_failures_open_it() {
        for (seconds, failures) in [(0, SUDDEN), (9, SUDDEN), (10, FAILURES)] {
            let (mut circuit, now) = (Circuit::default(), Instant::now());
            circuit.answered(now);
            let later = now + seconds * SECOND;
            let opened = (1..100).find(|_| circuit.failed(later, SECOND) != Failed::Nothing);
            assert_eq!(opened, Some(failures), "after {seconds} s");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn it_narrows_where_half_fails_and_not_where_it_is_a_third() {
        let narrowed = |nth: u32| {
            let (mut circuit, now) = (Circuit::default(), Instant::now());
            let fails = |n: u32| {
                if n.is_multiple_of(nth) {
                    return circuit.failed(now, SECOND);
                }
                circuit.answered(now);
                Failed::Nothing
            };
            let failed: Vec<_> = (1..=6400).map(fails).filter(|failed| *failed != Failed::Nothing).collect();
            assert!(failed.iter().all(|failed| *failed == Failed::Narrows), "it answers in between");
            failed.len()
        };
        assert_eq!((narrowed(2), narrowed(3), narrowed(4)), (100, 0, 0));
    }
}
