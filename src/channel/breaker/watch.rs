//! What is known of one push service's subscriptions that are gone.

use std::time::{Duration, SystemTime};

/// Deliveries older than this say nothing any more.
const WINDOW: Duration = Duration::from_secs(3600);

/// When there are too many.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rule {
    /// From 1 to 100.
    pub(super) percent: u8,
    /// At least 1.
    pub(super) minimum: u32,
}

impl Default for Rule {
    fn default() -> Self {
        Self { percent: 20, minimum: 50 }
    }
}

impl Rule {
    fn share(self) -> f64 {
        f64::from(self.percent) / 100.0
    }

    /// So many deliveries have the minimum of gone ones among them where the share is just kept.
    fn proof(self) -> u32 {
        self.minimum.saturating_mul(100) / u32::from(self.percent)
    }

    /// Half of the window, in deliveries.
    fn part(self) -> u32 {
        self.proof().saturating_mul(4)
    }

    /// Whether the share is exceeded by more than chance explains.
    fn exceeded(self, Part { deliveries, gone }: Part) -> bool {
        let (share, all) = (self.share(), f64::from(deliveries));
        let most = share * all;
        // At 100 % nothing can be more.
        let chance = 2.0 * (most * (1.0 - share)).sqrt();
        gone >= self.minimum && f64::from(gone) > most + chance
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Part {
    deliveries: u32,
    gone: u32,
}

impl Part {
    const fn plus(self, other: Self) -> Self {
        Self {
            deliveries: self.deliveries.saturating_add(other.deliveries),
            gone: self.gone.saturating_add(other.gone),
        }
    }
}

/// One push service.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// The older half of the window.
    earlier: Part,
    present: Part,
    /// When the present half began; none before the first delivery.
    began: Option<SystemTime>,
    /// How many were gone since one was accepted.
    run: u32,
    /// When it was last said that removals are withheld, while they are.
    withheld: Option<SystemTime>,
    allowed_until: Option<SystemTime>,
    review: Review,
}

/// What was counted and is not reviewed yet: removals come in batches, after others have had their
/// outcome, or never where a broadcast or a lease was lost.
#[derive(Clone, Copy, Debug, Default)]
struct Review {
    /// How many were gone.
    gone: u32,
    /// How many of them while removals were withheld: they stay, whatever was learned since.
    withheld: u32,
}

/// What a delivery changed, for the log.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Change {
    /// Removals are withheld, from now on or for another hour.
    Withholds { gone: u32, deliveries: u32 },
    /// They are no more.
    Ends,
}

impl Watch {
    /// Removals are allowed until then, and nothing is known afterwards.
    pub(super) fn allow(&mut self, until: SystemTime) {
        let review = Review { withheld: 0, ..self.review };
        *self = Self { allowed_until: Some(until), review, ..Self::default() };
    }

    fn withholds(&mut self, now: SystemTime) -> bool {
        !self.is_allowed(now) && self.withheld.is_some()
    }

    /// One more delivery.
    pub(super) fn delivered(&mut self, gone: bool, rule: Rule, now: SystemTime) -> Option<Change> {
        let change = self.count(gone, rule, now);
        if gone {
            self.review.gone = self.review.gone.saturating_add(1);
            let withheld = u32::from(self.withholds(now));
            self.review.withheld = self.review.withheld.saturating_add(withheld);
        }
        change
    }

    /// So many are to be removed. Returns whether that is withheld.
    pub(super) fn review(&mut self, entries: u32, rule: Rule, now: SystemTime) -> (bool, Option<Change>) {
        // A hook around the breaker may not have told it of deliveries.
        let untold = entries.saturating_sub(self.review.gone);
        let change = (0..untold).filter_map(|_| self.delivered(true, rule, now)).last();
        let withhold = self.withholds(now) || self.review.withheld > 0;
        self.review.gone = self.review.gone.saturating_sub(entries);
        self.review.withheld = self.review.withheld.saturating_sub(entries);
        (withhold, change)
    }

    fn count(&mut self, gone: bool, rule: Rule, now: SystemTime) -> Option<Change> {
        if self.is_allowed(now) {
            return None;
        }
        self.roll(rule, now);
        self.present = self.present.plus(Part { deliveries: 1, gone: gone.into() });
        self.run = if gone { self.run.saturating_add(1) } else { 0 };
        match self.withheld {
            Some(told) => self.go_on(told, rule, now),
            None => self.look(rule, now),
        }
    }

    fn is_allowed(&mut self, now: SystemTime) -> bool {
        self.allowed_until = self.allowed_until.filter(|until| now < *until);
        self.allowed_until.is_some()
    }

    /// Forgets what is old. What was counted since removals are withheld is not: where few messages are
    /// sent, it takes long until it says something.
    fn roll(&mut self, rule: Rule, now: SystemTime) {
        let began = *self.began.get_or_insert(now);
        // A clock that was set back measures nothing.
        let age = now.duration_since(began).unwrap_or_default();
        if self.withheld.is_some() || (age < WINDOW / 2 && self.present.deliveries < rule.part()) {
            return;
        }
        self.earlier = if age < WINDOW { self.present } else { Part::default() };
        self.run = if age < WINDOW { self.run } else { 0 };
        self.present = Part::default();
        self.began = Some(now);
    }

    fn look(&mut self, rule: Rule, now: SystemTime) -> Option<Change> {
        let Part { deliveries, gone } = self.earlier.plus(self.present);
        if self.run < rule.minimum && !rule.exceeded(Part { deliveries, gone }) {
            return None;
        }
        self.withhold(now);
        Some(Change::Withholds { gone, deliveries })
    }

    fn withhold(&mut self, now: SystemTime) {
        *self = Self { withheld: Some(now), review: self.review, ..Self::default() };
    }

    /// Removals are withheld: is it time to end that, or to say it again?
    fn go_on(&mut self, told: SystemTime, rule: Rule, now: SystemTime) -> Option<Change> {
        let Part { deliveries, gone } = self.present;
        if deliveries >= rule.proof().max(rule.minimum) {
            let too_many = u64::from(gone) * 100 >= u64::from(deliveries) * u64::from(rule.percent);
            *self = Self { withheld: too_many.then_some(told), review: self.review, ..Self::default() };
            if !too_many {
                return Some(Change::Ends);
            }
        }
        let again = gone > 0 && now.duration_since(told).is_ok_and(|since| since >= WINDOW);
        if !again {
            return None;
        }
        self.withheld = Some(now);
        Some(Change::Withholds { gone, deliveries })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: SystemTime = SystemTime::UNIX_EPOCH;
    const MINUTE: Duration = Duration::from_secs(60);

    #[derive(Default)]
    struct Case {
        watch: Watch,
        rule: Rule,
    }

    impl Case {
        /// So many deliveries of which every n-th is gone; returns how many gone ones were let through.
        fn count(&mut self, deliveries: u32, nth: u32, now: SystemTime) -> u32 {
            let mut through = 0;
            for n in 1..=deliveries {
                let gone = nth > 0 && n % nth == 0;
                self.watch.count(gone, self.rule, now);
                through += u32::from(gone && !self.watch.withholds(now));
            }
            through
        }

        /// The same, to be reviewed later.
        fn deliver(&mut self, deliveries: u32, nth: u32) {
            for n in 1..=deliveries {
                self.watch.delivered(nth > 0 && n % nth == 0, self.rule, START);
            }
        }
    }

    #[test]
    fn where_everything_is_gone_less_than_the_minimum_goes_whatever_was_before() {
        for before in [0, 10, 999, 1000, 1999, 100_000] {
            let mut case = Case::default();
            assert_eq!(case.count(before, 0, START), 0);
            assert_eq!(case.count(10_000, 1, START), 49, "after {before}");
        }
    }

    #[test]
    fn where_half_is_gone_a_quarter_of_what_was_accepted_lately_goes_at_most() {
        for before in [0, 500, 1000, 1999, 100_000] {
            let mut case = Case::default();
            case.count(before, 0, START);
            let through = case.count(100_000, 2, START);
            assert!((49..=500).contains(&through), "{through} after {before}");
        }
    }

    #[test]
    fn a_share_that_is_not_too_large_is_never_withheld() {
        for nth in [6, 7, 10, 100] {
            let mut case = Case::default();
            assert_eq!(case.count(100_000, nth, START), 100_000 / nth);
        }
        // In any order: all that are gone among a hundred first.
        let mut case = Case::default();
        for _ in 0..1000 {
            assert_eq!(case.count(10, 1, START) + case.count(90, 0, START), 10);
        }
        assert_eq!(case.watch.run, 0);
    }

    #[test]
    fn it_ends_with_a_share_that_is_small_and_not_with_time() {
        let mut case = Case::default();
        case.count(50, 1, START);
        let later = START + 100_000 * MINUTE;
        assert_eq!(case.count(249, 50, later), 0, "that is not enough to know");
        assert_eq!(case.watch.count(false, case.rule, later), Some(Change::Ends));
        assert_eq!(case.count(49, 1, later), 49);
        assert_eq!(case.count(10, 1, later), 0);
        assert_eq!(case.count(250, 4, later), 0, "a quarter is too much");
        assert!(case.watch.withholds(later));
    }

    #[test]
    fn what_is_reviewed_later_is_judged_by_when_it_was_counted() {
        let review = |case: &mut Case, entries| case.watch.review(entries, case.rule, START).0;
        let mut case = Case::default();
        case.deliver(1000, 1);
        case.deliver(1000, 0);
        assert!(!case.watch.withholds(START));
        assert!(review(&mut case, 600) && review(&mut case, 400), "the mistake of a moment");
        case.deliver(10, 1);
        assert!(!review(&mut case, 10));
        // Those of a broadcast that was dropped are not reviewed: others stay in their place, once.
        case.deliver(100, 1);
        case.deliver(1000, 0);
        case.deliver(10, 1);
        assert!(review(&mut case, 100));
        assert!(!review(&mut case, 10));
        case.deliver(100, 1);
        case.watch.allow(START + MINUTE);
        assert!(!review(&mut case, 100));
    }

    #[test]
    fn removals_that_were_not_told_of_are_counted() {
        let mut case = Case::default();
        let rule = case.rule;
        assert!(!case.watch.review(49, rule, START).0);
        let (withhold, change) = case.watch.review(1, rule, START);
        assert!(withhold && matches!(change, Some(Change::Withholds { gone: 50, .. })), "{change:?}");
        assert!(case.watch.review(u32::MAX / 1024, rule, START).0);
    }

    #[test]
    fn what_is_older_than_an_hour_does_not_count() {
        let mut case = Case::default();
        for hour in 0..100 {
            assert_eq!(case.count(49, 1, START + hour * 60 * MINUTE), 49);
        }
        let mut case = Case::default();
        assert_eq!(case.count(49, 1, START), 49);
        assert_eq!(case.count(49, 1, START + 29 * MINUTE), 0);
    }

    #[test]
    fn an_hour_later_it_is_said_again() {
        let mut case = Case::default();
        let told = |case: &mut Case, now| {
            let told = |change: &Change| matches!(change, Change::Withholds { .. });
            (0..1000).filter_map(|_| case.watch.count(true, case.rule, now)).filter(told).count()
        };
        assert_eq!(told(&mut case, START), 1);
        assert_eq!(told(&mut case, START + 59 * MINUTE), 0);
        assert_eq!(told(&mut case, START + 60 * MINUTE), 1);
    }

    #[test]
    fn what_is_allowed_is_not_counted_and_ends_by_itself() {
        let mut case = Case::default();
        case.count(100, 1, START);
        case.watch.allow(START + MINUTE);
        assert_eq!(case.count(1000, 1, START), 1000);
        assert_eq!(case.count(1000, 1, START + MINUTE), 49);
        case.watch.allow(START);
        assert_eq!(case.count(1000, 1, START), 49, "no time is none");
    }

    #[test]
    fn a_clock_that_is_set_back_does_no_harm() {
        let mut case = Case::default();
        let now = START + 600 * MINUTE;
        case.count(10, 0, now);
        assert_eq!(case.count(100, 1, START), 49);
        assert_eq!(case.count(100, 1, now), 0);
    }

    #[test]
    fn the_smallest_and_the_largest_settings_mean_what_they_say() {
        let rule = Rule { percent: 100, minimum: 1 };
        let mut case = Case { rule, ..Case::default() };
        assert_eq!(case.count(10, 1, START), 0, "a run of one");
        let rule = Rule { percent: 1, minimum: u32::MAX };
        let mut case = Case { rule, ..Case::default() };
        assert_eq!(case.count(10_000, 1, START), 10_000);
    }
}
