//! Broadcasts at one push service. A part of each copy.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use shuttle::thread;
use tokio::time::Instant;

use super::budget::RetryBudget;
use super::meter::OriginRates;
use super::origin::{OriginState, Origins, Room};
use super::pauses;
use crate::explore::Case;
use crate::stand_ins::{Endpoint, Instruments, Origin, Vendor};

pub(crate) const CASES: [Case; 15] = [
    ("origin: never more than the limit", || limited(BROADCASTS, 2, 2)),
    ("origin: one state for one origin", one_state),
    ("circuit: failures of all open it once", pauses::opens_once),
    ("circuit: nothing begins in a pause", pauses::nothing_begins),
    ("circuit: one probe after a pause", pauses::one_probe),
    ("stops: a probe that is accepted", || pauses::probed(pauses::Answer::Accepted)),
    ("stops: a probe that is refused", || pauses::probed(pauses::Answer::Refused)),
    ("stops: a probe that is lost", || pauses::probed(pauses::Answer::None)),
    ("stops: one probe of a stop", pauses::blocked),
    ("budget: no more than is free", || budgeted(0)),
    ("budget: no more than is free and was earned", || budgeted(100)),
    ("budget: what is not made is given back", given_back),
    ("budget: who waits comes one after the other", in_turns),
    ("meter: no more than its tokens", || metered(BROADCASTS, true)),
    ("meter: what did not start is given back", || metered(BROADCASTS, false)),
];

pub(super) const BROADCASTS: usize = 3;

pub(super) fn endpoint() -> Endpoint {
    Endpoint(Origin("https://push.example.net".into()))
}

pub(super) fn origins(limit: usize, rates: OriginRates) -> Origins {
    Origins::new(limit, rates, None, &Instruments::default())
}

/// Threads that do the same, each with its number; returns what each made of it.
pub(super) fn at_once<T: Send + 'static>(
    threads: usize,
    run: impl Fn(usize) -> T + Send + Sync + 'static,
) -> Vec<T> {
    let run = Arc::new(run);
    let started: Vec<_> = (0..threads)
        .map(|number| {
            let run = Arc::clone(&run);
            thread::spawn(move || run(number))
        })
        .collect();
    started.into_iter().map(|thread| thread.join().expect("it ends")).collect()
}

fn limited(broadcasts: usize, each: usize, limit: usize) {
    let (origins, now) = (origins(limit, OriginRates::default()), Instant::now());
    let (state, flying) = (origins.of(&endpoint()), AtomicUsize::new(0));
    let guests: Vec<_> = (0..broadcasts).map(|_| state.visit()).collect();
    at_once(broadcasts, move |number| {
        let guest = &guests[number];
        for _ in 0..each {
            if matches!(guest.room(now), Room::Free(1..)) && guest.begin(now) {
                assert!(flying.fetch_add(1, Ordering::SeqCst) < limit, "more in flight than the limit");
                thread::yield_now();
                flying.fetch_sub(1, Ordering::SeqCst);
                guest.origin().answered(now);
                guest.release(true);
            }
        }
    });
    assert_eq!(state.visit().room(now), Room::Free(limit), "places are free again");
}

fn one_state() {
    let origins = origins(8, OriginRates::default());
    let states = at_once(BROADCASTS, move |_| origins.of(&endpoint()));
    assert!(states.iter().all(|state| Arc::ptr_eq(state, &states[0])));
}

/// An origin with one free retry in a second, and so many for a hundred first attempts.
fn with_budget(percent: u8) -> (Arc<OriginState>, Instant) {
    let budget = RetryBudget::new(percent, NonZeroU32::MIN);
    let origins = Origins::new(8, OriginRates::default(), Some(budget), &Instruments::default());
    (origins.of(&endpoint()), Instant::now())
}

fn pay_all(state: &OriginState, now: Instant) -> usize {
    std::iter::repeat_with(|| state.pay(now)).take_while(|paid| *paid).count()
}

/// Each retry is paid for once, with what all broadcasts earn.
fn budgeted(percent: u8) {
    let (state, now) = with_budget(percent);
    let shared = Arc::clone(&state);
    let paid = at_once(BROADCASTS, move |_| {
        shared.earn(now);
        usize::from(shared.pay(now)) + usize::from(shared.pay(now))
    });
    let paid = paid.into_iter().sum::<usize>() + pay_all(&state, now);
    assert_eq!(paid, 1 + BROADCASTS * usize::from(percent) / 100, "one is free");
}

fn given_back() {
    let (state, now) = with_budget(0);
    let shared = Arc::clone(&state);
    at_once(BROADCASTS, move |_| {
        if shared.pay(now) {
            shared.budget().expect("it has one").give_back(now);
        }
    });
    assert_eq!(pay_all(&state, now), 1, "it is there again, once");
}

fn in_turns() {
    let (state, now) = with_budget(0);
    let mut due = at_once(BROADCASTS, move |_| state.budget().expect("it has one").book(0.5, now));
    due.sort();
    let turns: Vec<_> = (1..).take(BROADCASTS).map(|second| now + Duration::from_secs(second)).collect();
    assert_eq!(due, turns);
}

/// A meter starts with one token, for all origins of a vendor. Whoever takes it and does not start gives it
/// back.
fn metered(broadcasts: usize, starts: bool) {
    let mut rates = OriginRates::default();
    rates.set_for(Vendor::Fcm, NonZeroU32::new(60).expect("not zero"));
    let (origins, now) = (origins(8, rates), Instant::now());
    let guest = move |number: usize| {
        let endpoint = Endpoint(Origin(format!("https://push{}.example.net", number % 2)));
        origins.of(&endpoint).visit()
    };
    let guests: Vec<_> = (0..broadcasts).map(&guest).collect();
    let started = at_once(broadcasts, move |number| {
        let begins = guests[number].begin(now);
        if begins {
            guests[number].release(starts);
        }
        begins
    });
    let (started, last) = (started.into_iter().filter(|begins| *begins).count(), guest(0));
    if starts {
        assert_eq!((started, last.begin(now)), (1, false), "one token, one request");
    } else {
        assert!(started >= 1 && last.begin(now), "the token is there again");
    }
}
