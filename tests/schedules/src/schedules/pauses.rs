//! Pauses of a push service that fails, and stops of a key that it refuses. A part of each copy.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use shuttle::thread;
use tokio::time::Instant;

use super::meter::OriginRates;
use super::origin::{OriginState, Origins, Room};
use super::schedules::{BROADCASTS, at_once, endpoint, origins};
use super::stops::{Leave, Stop};
use crate::stand_ins::{Instruments, KeyId, SubscriptionId, Vendor};

const SECOND: Duration = Duration::from_secs(1);
/// So many failures in a row open the circuit.
const FAILURES: usize = 8;

/// No failure is lost, and what fails while it is open neither opens it again nor for longer.
pub(super) fn opens_once() {
    let (origins, now) = (origins(8, OriginRates::default()), Instant::now());
    let state = origins.of(&endpoint());
    let shared = Arc::clone(&state);
    let fail = move |_| (0..FAILURES / 2).filter_map(|_| shared.failed(now, SECOND)).collect();
    let pauses: Vec<Vec<_>> = at_once(BROADCASTS, fail);
    assert_eq!(pauses.concat(), [SECOND]);
    assert_eq!(state.paused(now).map(|pause| pause.until), Some(now + SECOND));
}

/// Whoever had room before a pause does not begin in it: for failures, and because it was asked for.
pub(super) fn nothing_begins() {
    let (origins, now) = (origins(8, OriginRates::default()), Instant::now());
    let state = origins.of(&endpoint());
    let guests: Vec<_> = (0..BROADCASTS).map(|_| state.visit()).collect();
    let paused = [AtomicBool::new(false), AtomicBool::new(false)];
    at_once(BROADCASTS, move |number| {
        let guest = &guests[number];
        match number {
            0 => (0..FAILURES).for_each(|_| {
                guest.origin().failed(now, SECOND);
            }),
            1 => (0..3).for_each(|subscription| {
                guest.origin().slow_down(subscription, SECOND, now);
            }),
            _ => {
                for _ in 0..3 {
                    let free = matches!(guest.room(now), Room::Free(1..));
                    thread::yield_now();
                    let pauses = paused.iter().any(|paused| paused.load(Ordering::SeqCst));
                    if free && guest.begin(now) {
                        assert!(!pauses, "it begins in a pause");
                        guest.release(true);
                    }
                }
                return;
            }
        }
        paused[number].store(true, Ordering::SeqCst);
    });
}

/// Once its pause is over, an origin gets one request, whoever looks, until it answers.
pub(super) fn one_probe() {
    let (origins, now) = (origins(8, OriginRates::default()), Instant::now());
    let state = origins.of(&endpoint());
    (0..FAILURES).for_each(|_| {
        state.failed(now, SECOND);
    });
    // What was on its way when it opened decides nothing.
    (0..2).for_each(|_| state.answered(now));
    let then = now + SECOND;
    let (shared, probes) = (Arc::clone(&state), AtomicUsize::new(0));
    let guests: Vec<_> = (0..BROADCASTS).map(|_| state.visit()).collect();
    at_once(BROADCASTS + 1, move |number| {
        let Some(guest) = guests.get(number) else {
            return shared.answered(now);
        };
        if matches!(guest.room(then), Room::Free(1..)) && guest.begin(then) {
            assert_eq!(probes.fetch_add(1, Ordering::SeqCst), 0, "a second probe");
            thread::yield_now();
            if number == 0 {
                assert_eq!(shared.failed(then, SECOND), Some(2 * SECOND), "one decides");
            }
            probes.fetch_sub(1, Ordering::SeqCst);
            // The others were dropped before they were handed to the transport.
            guest.release(number == 0);
        }
    });
    let much_later = then + 60 * SECOND;
    assert_eq!(state.visit().room(much_later), Room::Free(1), "still one, until it answers");
    state.answered(much_later);
    assert_eq!(state.visit().room(much_later), Room::Free(2), "and then one more");
}

const KEY: KeyId = 1;
/// Whose tokens were refused until the key was suspicious.
const REFUSED: [SubscriptionId; 3] = [0, 1, 2];
/// A fresh one, whose request is on its way at that time.
const STRAGGLER: SubscriptionId = 3;
/// A probe without an answer is over after this.
const PROBE: Duration = Duration::from_secs(35);

/// How a probe ends.
#[derive(Clone, Copy, Debug)]
pub(super) enum Answer {
    Accepted,
    Refused,
    /// It was dropped, or it said nothing of the key.
    None,
}

/// An origin that refused a key a second before.
fn suspicious() -> (Arc<OriginState>, Instant) {
    let (origins, now) = (origins(8, OriginRates::default()), Instant::now());
    let state = origins.of(&endpoint());
    REFUSED.into_iter().for_each(|id| state.refused(KEY, id, false, None, now));
    (state, now + SECOND)
}

/// Those of three who may go, when all ask at once and get no answer.
fn gone(state: &Arc<OriginState>, first: SubscriptionId, now: Instant) -> Vec<SubscriptionId> {
    let shared = Arc::clone(state);
    let ids = (first..).take(BROADCASTS).collect::<Vec<_>>();
    let asked = ids.clone();
    let leaves = at_once(BROADCASTS, move |number| shared.leave(KEY, || asked[number], now));
    ids.into_iter().zip(leaves).filter(|(_, leave)| *leave == Leave::Go).map(|(id, _)| id).collect()
}

/// While a key is under suspicion one tries it for all, and what was on its way before says nothing.
pub(super) fn probed(answer: Answer) {
    let (state, then) = suspicious();
    let (shared, probes, over) = (Arc::clone(&state), AtomicUsize::new(0), AtomicBool::new(false));
    let probe = at_once(BROADCASTS + 1, move |number| {
        let id = 10 + SubscriptionId::try_from(number).expect("a few");
        if number == BROADCASTS {
            shared.refused(KEY, STRAGGLER, false, None, then);
            return None;
        }
        match shared.leave(KEY, || id, then) {
            Leave::Go if over.load(Ordering::SeqCst) => return None,
            Leave::Go => assert_eq!(probes.fetch_add(1, Ordering::SeqCst), 0, "a second probe"),
            Leave::Wait(until) => {
                assert!(until > then, "it would ask at once");
                return None;
            }
            Leave::Stopped(_) => panic!("a suspicion is no stop"),
        }
        match answer {
            Answer::Accepted => {
                over.store(true, Ordering::SeqCst);
                shared.accepted(KEY, || id, then);
            }
            Answer::Refused => shared.refused(KEY, id, false, None, then),
            Answer::None => {}
        }
        Some(id)
    });
    let [probe] = probe.into_iter().flatten().collect::<Vec<_>>()[..] else { panic!("one goes") };
    assert_eq!(state.leave(KEY + 1, || 20, then), Leave::Go, "another key is none of this");
    match answer {
        Answer::Accepted => assert_eq!(gone(&state, 20, then).len(), BROADCASTS, "the suspicion is over"),
        Answer::Refused => {
            assert_eq!(gone(&state, 20, then + 9 * SECOND), [], "ten seconds to the next");
            assert_eq!(gone(&state, 30, then + 10 * SECOND).len(), 1, "and that is one");
        }
        Answer::None => {
            assert_eq!(state.leave(KEY, || probe, then + SECOND), Leave::Go, "its own repeat");
            assert_eq!(gone(&state, 20, then + 34 * SECOND), [], "it may be answered yet");
            assert_eq!(gone(&state, 30, then + PROBE).len(), 1, "another in its place");
        }
    }
}

/// A sender that is blocked is stopped once, and tried again by one after a minute.
pub(super) fn blocked() {
    let (instruments, now) = (Instruments::default(), Instant::now());
    let state = Origins::new(8, OriginRates::default(), None, &instruments).of(&endpoint());
    let shared = Arc::clone(&state);
    at_once(BROADCASTS, move |number| {
        let id = SubscriptionId::try_from(number).expect("a few");
        shared.refused(KEY, id, true, None, now);
        assert_eq!(shared.leave(KEY, || 10 + id, now), Leave::Stopped(Stop::Blocked));
    });
    assert_eq!(instruments.of(Vendor::Fcm).stops(), 1, "it is said once");
    assert_eq!(gone(&state, 20, now + 59 * SECOND), []);
    assert_eq!(gone(&state, 30, now + 60 * SECOND).len(), 1);
}
