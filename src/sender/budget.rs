//! How many retries an origin gets: an outage must not multiply what is sent to it.

use std::num::NonZeroU32;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use tokio::time::Instant;

use super::{Bucket, Pace, later};

/// How many retries one push service gets, by what else is sent to it.
///
/// Each first attempt earns a part of a retry, and what was earned is good for ten to twenty seconds. A
/// few a second are free, so that small broadcasts retry at once. A retry that is answered well gives
/// back what it cost, and one more: after an outage they double until all are through. What is over
/// the budget waits, and uses up no attempt, but where it holds others up
/// ([`Limits::deferred`](crate::channel::Limits::deferred)).
///
/// So in an outage a push service gets at most `percent` more requests than there are messages,
/// and `per_second` in each second.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct RetryBudget {
    /// Retries for a hundred first attempts. 20.
    pub percent: u8,
    /// Retries in a second that are free. 10.
    pub per_second: NonZeroU32,
}

impl Default for RetryBudget {
    fn default() -> Self {
        Self::new(20, const { NonZeroU32::new(10).expect("not zero") })
    }
}

impl RetryBudget {
    /// So many retries for a hundred first attempts, and so many a second that are free.
    #[must_use]
    pub const fn new(percent: u8, per_second: NonZeroU32) -> Self {
        Self { percent, per_second }
    }
}

/// What is earned is good for this long, and at most for twice as long.
const GOOD: Duration = Duration::from_secs(10);
/// The free retries of this time may come at once.
const DEEP: Duration = Duration::from_secs(1);
/// Whoever has to wait asks again after this, whatever is ahead of it.
const PATIENCE: Duration = Duration::from_secs(60);
/// That retries have to wait is said this often.
const TELL: Duration = Duration::from_secs(60);

/// The budget of one origin.
#[derive(Debug)]
pub(crate) struct Budget {
    share: f64,
    interval: Duration,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    /// What was earned before the present period, and in it.
    earlier: f64,
    present: f64,
    began: Instant,
    free: Bucket,
    /// When the next that has to wait may expect a free one.
    next: Instant,
    told: Option<Instant>,
    /// When a retry last succeeded.
    helped: Option<Instant>,
}

/// What came of asking for a retry.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Spent {
    Yes,
    /// Not now; `news`: it was not said lately.
    No {
        news: bool,
    },
}

impl Budget {
    pub(super) fn new(budget: RetryBudget) -> Self {
        let now = Instant::now();
        let pace = Pace::per_minute(budget.per_second.saturating_mul(SIXTY));
        let mut free = Bucket::new(pace, DEEP, now);
        free.give_back(usize::MAX);
        let inner =
            Inner { earlier: 0.0, present: 0.0, began: now, free, next: now, told: None, helped: None };
        Self { share: f64::from(budget.percent) / 100.0, interval: pace.interval(), inner: Mutex::new(inner) }
    }

    /// A first attempt.
    pub(super) fn earn(&self, now: Instant) {
        self.lock().add(self.share, now);
    }

    /// A retry was answered, and not to the effect that it is to be repeated.
    pub(super) fn succeeded(&self, now: Instant) {
        let mut inner = self.lock();
        inner.add(2.0, now);
        inner.next = now;
        inner.helped = Some(now);
    }

    /// Whether a retry succeeded within this time.
    pub(crate) fn helped(&self, within: Duration, now: Instant) -> bool {
        self.lock().helped.is_some_and(|helped| now.duration_since(helped) < within)
    }

    /// A retry that was paid for is not made.
    pub(crate) fn give_back(&self, now: Instant) {
        self.lock().add(1.0, now);
    }

    /// Pays for a retry.
    pub(crate) fn spend(&self, now: Instant) -> Spent {
        let mut inner = self.lock();
        inner.roll(now);
        if inner.earlier >= ONE {
            inner.earlier -= 1.0;
        } else if inner.earlier + inner.present >= ONE {
            inner.present -= 1.0 - inner.earlier;
            inner.earlier = 0.0;
        } else if inner.free.tokens(now) > 0 {
            inner.free.take(1);
        } else {
            let news = inner.told.is_none_or(|told| now.duration_since(told) >= TELL);
            if news {
                inner.told = Some(now);
            }
            return Spent::No { news };
        }
        Spent::Yes
    }

    /// When to ask again: one after the other, so that not all come at once. `draw` is a number from 0
    /// to 1.
    pub(crate) fn book(&self, draw: f64, now: Instant) -> Instant {
        let mut inner = self.lock();
        let longest = later(now, PATIENCE.mul_f64(1.0 + draw));
        let due = later(inner.next.max(now), self.interval);
        if due >= longest {
            return longest;
        }
        inner.next = due;
        due
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("no panic while budgeting")
    }
}

/// Fifths do not add up to one.
const ONE: f64 = 1.0 - 1e-6;
const SIXTY: NonZeroU32 = NonZeroU32::new(60).expect("not zero");

impl Inner {
    fn add(&mut self, retries: f64, now: Instant) {
        self.roll(now);
        self.present += retries;
    }

    /// Forgets what was earned long ago.
    fn roll(&mut self, now: Instant) {
        let age = now.duration_since(self.began);
        if age < GOOD {
            return;
        }
        self.earlier = if age < 2 * GOOD { self.present } else { 0.0 };
        self.present = 0.0;
        self.began = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn spend_all(budget: &Budget, now: Instant) -> usize {
        std::iter::repeat_with(|| budget.spend(now)).take_while(|spent| *spent == Spent::Yes).count()
    }

    #[tokio::test(start_paused = true)]
    async fn a_fifth_of_the_first_attempts_and_ten_a_second() {
        let (budget, start) = (Budget::new(RetryBudget::default()), Instant::now());
        assert_eq!(spend_all(&budget, start), 10);
        (0..100).for_each(|_| budget.earn(start));
        assert_eq!(spend_all(&budget, start), 20);
        assert_eq!(spend_all(&budget, start + SECOND / 2), 5);
        assert_eq!(spend_all(&budget, start + 60 * SECOND), 10, "they do not add up");
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_earned_is_good_for_a_while() {
        let (budget, start) = (Budget::new(RetryBudget::default()), Instant::now());
        assert_eq!(spend_all(&budget, start), 10);
        (0..1000).for_each(|_| budget.earn(start));
        assert_eq!(spend_all(&budget, start + 9 * SECOND), 200 + 10);
        (0..1000).for_each(|_| budget.earn(start + 9 * SECOND));
        assert_eq!(spend_all(&budget, start + 15 * SECOND), 200 + 10);
        (0..1000).for_each(|_| budget.earn(start + 16 * SECOND));
        assert_eq!(spend_all(&budget, start + 40 * SECOND), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn success_doubles_what_may_be_retried() {
        let (budget, now) = (Budget::new(RetryBudget::default()), Instant::now());
        let mut rounds = Vec::new();
        for _ in 0..5 {
            let retries = spend_all(&budget, now);
            rounds.push(retries);
            (0..retries).for_each(|_| budget.succeeded(now));
        }
        assert_eq!(rounds, [10, 20, 40, 80, 160]);
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_comes_one_after_the_other_and_not_too_late() {
        let (budget, now) = (Budget::new(RetryBudget::default()), Instant::now());
        let due: Vec<_> = (0..1000).map(|_| budget.book(0.5, now)).collect();
        assert_eq!(due[..3], [now + SECOND / 10, now + SECOND / 5, now + SECOND * 3 / 10]);
        assert_eq!(due[999], now + 90 * SECOND);
        budget.succeeded(now);
        assert_eq!(budget.book(0.5, now), now + SECOND / 10);
    }

    #[tokio::test(start_paused = true)]
    async fn that_it_is_used_up_is_said_once_a_minute() {
        let (budget, now) = (Budget::new(RetryBudget::default()), Instant::now());
        spend_all(&budget, now);
        assert_eq!(budget.spend(now), Spent::No { news: false });
        let fast = RetryBudget::new(0, NonZeroU32::MAX);
        assert!(matches!(Budget::new(fast).spend(now), Spent::Yes));
        spend_all(&budget, now + 59 * SECOND);
        assert_eq!(budget.spend(now + 59 * SECOND), Spent::No { news: false });
        spend_all(&budget, now + 61 * SECOND);
        assert_eq!(budget.spend(now + 61 * SECOND), Spent::No { news: false }, "it was said a moment ago");
    }
}
