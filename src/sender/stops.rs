//! Whether an origin takes our keys: what refusals prove, and what they do not.
//!
//! A wrong key is refused everywhere, and has to be stopped after a few requests. But strangers
//! choose subscriptions, also some that their push service refuses: three of those say nothing of
//! the others. So refusals raise a suspicion, in which everybody else waits for a moment, and one
//! that was not refused before is sent to for all. Only where that is refused too, again and again,
//! is the key stopped; and it is tried again, so that no stop is longer than it needs to be.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use super::later;
use crate::{KeyId, SubscriptionId};

/// This many different subscriptions in a row whose fresh token was refused: perhaps the token is at
/// fault (Q-F6: one alone comes and goes).
const REFUSALS: usize = 3;
/// While there is only a suspicion, everybody waits so long for the next probe. For a key that was
/// not accepted here lately two make it certain.
const UNPROVEN: [Duration; 2] = [MOMENT, Duration::from_secs(10)];
/// For one that was, it is likely that strangers are refused: so many probes follow at once, one after
/// the other, until one is accepted.
const QUICK: usize = 30;
const PROVEN_WAITS: [Duration; 5] = [
    Duration::from_secs(10),
    Duration::from_secs(30),
    Duration::from_secs(60),
    Duration::from_secs(60),
    Duration::from_secs(60),
];
/// Whoever waits for another's answer looks again after this.
const MOMENT: Duration = Duration::from_secs(1);
/// For so long an acceptance proves a key.
const PROVEN: Duration = Duration::from_secs(3600);
/// A stop lasts so long before its first probe, then twice as long, and no longer than an hour.
const FIRST_STOP: Duration = Duration::from_secs(60);
const LONGEST_STOP: Duration = Duration::from_secs(3600);
/// A probe without an answer is over: longer than any request takes.
const PROBE: Duration = Duration::from_secs(35);
/// So many subscriptions that are refused while others are accepted are known to be that.
const OUTCASTS: usize = 256;
/// So many that were refused since one was accepted.
const MAX_REFUSED: usize = 64;

/// Why nothing more is sent to an origin with a key.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Stop {
    /// It refuses our tokens.
    Auth,
    /// It refuses us as a sender.
    Blocked,
}

/// Whether a request may be made.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Leave {
    Go,
    /// A probe is made first.
    Wait(Instant),
    Stopped(Stop),
}

/// What an answer changed, for whoever is to know.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Turn {
    /// Refusals make a key suspicious.
    Suspected,
    Stopped,
    /// The key is accepted again.
    Over,
}

/// Whose request it is, found out where somebody asks: an id is a hash of the endpoint, and while no key is
/// suspected nobody does.
pub(crate) trait Id: FnOnce() -> SubscriptionId {}

impl<F: FnOnce() -> SubscriptionId> Id for F {}

/// All keys at one origin. They are ours, so there are few.
#[derive(Debug, Default)]
pub(super) struct Stops(Vec<Standing>);

/// One key.
#[derive(Debug)]
struct Standing {
    key: KeyId,
    accepted: Option<Instant>,
    /// Whose fresh tokens were refused since one was accepted.
    refused: Vec<SubscriptionId>,
    /// Who was refused although others are accepted: their refusals say nothing.
    outcasts: VecDeque<SubscriptionId>,
    halt: Option<Halt>,
}

#[derive(Debug)]
struct Halt {
    stop: Stop,
    /// How many probes were refused.
    probes: usize,
    /// So many follow at once, and after each of the others everybody waits so long, before it is more
    /// than a suspicion.
    quick: usize,
    waits: &'static [Duration],
    since: Instant,
    until: Instant,
    probe: Option<(SubscriptionId, Instant)>,
}

impl Stops {
    /// Whether a request to this subscription may be made with this key.
    pub(super) fn leave(&mut self, key: KeyId, subscription: impl Id, now: Instant) -> Leave {
        match self.0.iter_mut().find(|standing| standing.key == key) {
            Some(standing) => standing.leave(subscription, now),
            None => Leave::Go,
        }
    }

    /// A message was accepted: tokens of this key work.
    pub(super) fn accepted(&mut self, key: KeyId, subscription: impl Id, now: Instant) -> Option<Turn> {
        let standing = self.of(key);
        standing.accepted = Some(now);
        for refused in standing.refused.drain(..) {
            if standing.outcasts.len() == OUTCASTS {
                standing.outcasts.pop_front();
            }
            standing.outcasts.push_back(refused);
        }
        // What was on its way when a service blocked us proves nothing; what came after it does.
        let over = |halt: &mut Halt| halt.stop == Stop::Auth || halt.is_probe(subscription());
        standing.halt.take_if(over).map(|_| Turn::Over)
    }

    /// A fresh token was refused.
    pub(super) fn refused(&mut self, key: KeyId, subscription: SubscriptionId, now: Instant) -> Option<Turn> {
        let standing = self.of(key);
        if standing.outcasts.contains(&subscription) && standing.halt.is_none() {
            return None;
        }
        standing.note(subscription);
        match &mut standing.halt {
            Some(halt) => halt.probed(subscription, now),
            None if standing.refused.len() < REFUSALS => None,
            None => {
                let proven = standing.accepted.is_some_and(|at| now.duration_since(at) < PROVEN);
                let (quick, waits) = if proven { (QUICK, &PROVEN_WAITS[..]) } else { (0, &UNPROVEN[..]) };
                standing.halt = Some(Halt::new(Stop::Auth, quick, waits, now));
                Some(Turn::Suspected)
            }
        }
    }

    /// It refuses us as a sender, which is no matter of keys.
    pub(super) fn blocked(&mut self, key: KeyId, subscription: SubscriptionId, now: Instant) -> Option<Turn> {
        let standing = self.of(key);
        standing.note(subscription);
        match &mut standing.halt {
            Some(halt) if halt.stop == Stop::Blocked => halt.probed(subscription, now),
            _ => {
                standing.halt = Some(Halt::new(Stop::Blocked, 0, &[], now));
                Some(Turn::Stopped)
            }
        }
    }

    /// A request ended in a way that says nothing of the key: if it was a probe, another one is made.
    pub(super) fn unproven(&mut self, key: KeyId, subscription: impl Id) {
        let standing = self.0.iter_mut().find(|standing| standing.key == key);
        if let Some(halt) = standing.and_then(|standing| standing.halt.as_mut()) {
            halt.probe.take_if(|(probe, _)| *probe == subscription());
        }
    }

    fn of(&mut self, key: KeyId) -> &mut Standing {
        let place = self.0.iter().position(|standing| standing.key == key).unwrap_or_else(|| {
            self.0.push(Standing::new(key));
            self.0.len() - 1
        });
        &mut self.0[place]
    }
}

impl Standing {
    const fn new(key: KeyId) -> Self {
        Self { key, accepted: None, refused: Vec::new(), outcasts: VecDeque::new(), halt: None }
    }

    fn note(&mut self, subscription: SubscriptionId) {
        if self.refused.len() < MAX_REFUSED && !self.refused.contains(&subscription) {
            self.refused.push(subscription);
        }
    }

    fn leave(&mut self, subscription: impl Id, now: Instant) -> Leave {
        let Some(halt) = &mut self.halt else { return Leave::Go };
        let subscription = subscription();
        if halt.is_probe(subscription) {
            return Leave::Go;
        }
        // Who was refused before would prove nothing new. But there may be nobody else.
        let known = self.refused.contains(&subscription) || self.outcasts.contains(&subscription);
        let wait = halt.until.duration_since(halt.since).max(MOMENT);
        let from = if known { halt.until + wait } else { halt.until };
        if now >= from && !halt.is_probing(now) {
            halt.probe = Some((subscription, now));
            return Leave::Go;
        }
        if known {
            return Leave::Stopped(halt.stop);
        }
        if halt.probes < halt.suspicions() {
            return Leave::Wait(if now < halt.until { halt.until } else { later(now, wait) });
        }
        // Its answer is for all.
        if halt.is_probing(now) { Leave::Wait(later(now, MOMENT)) } else { Leave::Stopped(halt.stop) }
    }
}

impl Halt {
    fn new(stop: Stop, quick: usize, waits: &'static [Duration], now: Instant) -> Self {
        let mut halt = Self { stop, probes: 0, quick, waits, since: now, until: now, probe: None };
        halt.until = later(now, halt.wait());
        halt
    }

    /// How many probes make it more than a suspicion.
    const fn suspicions(&self) -> usize {
        self.quick + self.waits.len()
    }

    /// How long until the next probe.
    fn wait(&self) -> Duration {
        let Some(slow) = self.probes.checked_sub(self.quick) else { return Duration::ZERO };
        let stops = || slow - self.waits.len();
        let stop = || FIRST_STOP.saturating_mul(1 << stops().min(8)).min(LONGEST_STOP);
        self.waits.get(slow).copied().unwrap_or_else(stop)
    }

    fn is_probe(&self, subscription: SubscriptionId) -> bool {
        self.probe.is_some_and(|(probe, _)| probe == subscription)
    }

    fn is_probing(&self, now: Instant) -> bool {
        self.probe.is_some_and(|(_, since)| now < since + PROBE)
    }

    /// One was refused. What was on its way before says nothing new.
    fn probed(&mut self, subscription: SubscriptionId, now: Instant) -> Option<Turn> {
        if !self.is_probe(subscription) {
            return None;
        }
        self.probes = self.probes.saturating_add(1);
        self.probe = None;
        self.since = now;
        self.until = later(now, self.wait());
        (self.probes == self.suspicions()).then_some(Turn::Stopped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const KEY: KeyId = KeyId::from_bytes([1; 16]);
    const OTHER: KeyId = KeyId::from_bytes([2; 16]);

    fn id(n: u32) -> impl Id {
        move || {
            let mut bytes = [0; 32];
            bytes[..4].copy_from_slice(&n.to_be_bytes());
            SubscriptionId::from_bytes(bytes)
        }
    }

    /// Three different ones are refused.
    fn suspect(stops: &mut Stops, first: u32, now: Instant) -> Option<Turn> {
        (first..first + 3).filter_map(|n| stops.refused(KEY, id(n)(), now)).last()
    }

    #[tokio::test(start_paused = true)]
    async fn one_refused_subscription_raises_no_suspicion_and_neither_do_few_among_others() {
        let (mut stops, now) = (Stops::default(), Instant::now());
        for n in 0..1000 {
            assert_eq!(stops.refused(KEY, id(n)(), now), None);
            stops.accepted(KEY, id(5000), now);
        }
        assert!((0..10).all(|_| stops.refused(KEY, id(2000)(), now).is_none()), "always the same");
        assert_eq!(stops.refused(OTHER, id(2001)(), now), None);
        assert_eq!(stops.refused(OTHER, id(2002)(), now), None, "another key");
        assert_eq!(stops.leave(KEY, id(1), now), Leave::Go);
    }

    #[tokio::test(start_paused = true)]
    async fn three_refused_subscriptions_cost_the_others_a_second() {
        let (mut stops, now) = (Stops::default(), Instant::now());
        assert_eq!(suspect(&mut stops, 0, now), Some(Turn::Suspected));
        let until = now + SECOND;
        assert_eq!(stops.leave(KEY, id(10), now), Leave::Wait(until));
        assert_eq!(stops.leave(OTHER, id(10), now), Leave::Go);
        assert_eq!(stops.leave(KEY, id(0), until), Leave::Stopped(Stop::Auth), "it was refused before");
        assert_eq!(stops.leave(KEY, id(10), until), Leave::Go);
        assert_eq!(stops.leave(KEY, id(11), until), Leave::Wait(until + SECOND), "one at a time");
        assert_eq!(stops.leave(KEY, id(10), until), Leave::Go, "its own repeat");
        assert_eq!(stops.accepted(KEY, id(10), until), Some(Turn::Over));
        assert_eq!(stops.leave(KEY, id(11), until), Leave::Go);
        assert_eq!(suspect(&mut stops, 0, until), None, "the same three do it once");
        assert_eq!(suspect(&mut stops, 20, until), Some(Turn::Suspected));
    }

    #[tokio::test(start_paused = true)]
    async fn a_wrong_key_is_stopped_after_few_requests_and_probed_ever_more_rarely() {
        let (mut stops, start) = (Stops::default(), Instant::now());
        suspect(&mut stops, 0, start);
        let (mut requests, mut stopped, mut n) = (3, 0, 100);
        for tenth in 0..36_000 {
            n += 1;
            let now = start + SECOND / 10 * tenth;
            if stops.leave(KEY, id(n), now) == Leave::Go {
                requests += 1;
                stopped += u32::from(stops.refused(KEY, id(n)(), now) == Some(Turn::Stopped));
            }
        }
        assert_eq!((requests, stopped), (3 + 2 + 5, 1));
        let later = start + 3600 * SECOND;
        assert_eq!(stops.leave(KEY, id(0), later), Leave::Stopped(Stop::Auth));
    }

    #[tokio::test(start_paused = true)]
    async fn strangers_do_not_stop_a_key_that_was_accepted_lately_unless_nobody_else_is_there() {
        let (mut stops, start) = (Stops::default(), Instant::now());
        stops.accepted(KEY, id(1), start);
        suspect(&mut stops, 10, start);
        // Strangers only, with as many subscriptions as they like.
        let mut now = start;
        for n in 100.. {
            match stops.leave(KEY, id(n), now) {
                Leave::Go => {
                    stops.refused(KEY, id(n)(), now);
                }
                Leave::Wait(until) => now = until,
                Leave::Stopped(_) => break,
            }
        }
        assert_eq!(now, start + (10 + 30 + 3 * 60) * SECOND);
        assert_eq!(stops.leave(KEY, id(1), now + 60 * SECOND), Leave::Go, "a minute of silence");
        assert_eq!(stops.accepted(KEY, id(1), now), Some(Turn::Over));
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_alone_may_try_again_and_a_probe_that_is_lost_holds_nobody_up() {
        let (mut stops, now) = (Stops::default(), Instant::now());
        suspect(&mut stops, 0, now);
        assert_eq!(stops.leave(KEY, id(0), now + SECOND), Leave::Stopped(Stop::Auth));
        assert_eq!(stops.leave(KEY, id(0), now + 2 * SECOND), Leave::Go);
        assert!(matches!(stops.leave(KEY, id(9), now + 30 * SECOND), Leave::Wait(_)));
        assert_eq!(stops.leave(KEY, id(9), now + 37 * SECOND), Leave::Go);
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_that_proves_nothing_makes_room_for_the_next() {
        let (mut stops, now) = (Stops::default(), Instant::now());
        suspect(&mut stops, 0, now);
        let now = now + SECOND;
        for n in 10..100 {
            assert_eq!(stops.leave(KEY, id(n), now), Leave::Go);
            stops.unproven(KEY, id(n + 1));
            stops.unproven(OTHER, id(n));
            assert!(matches!(stops.leave(KEY, id(n + 1), now), Leave::Wait(_)));
            stops.unproven(KEY, id(n));
        }
        assert_eq!(stops.leave(KEY, id(100), now), Leave::Go);
        assert_eq!(stops.accepted(KEY, id(100), now), Some(Turn::Over));
    }

    #[tokio::test(start_paused = true)]
    async fn a_sender_that_is_blocked_is_probed_after_a_minute_and_stragglers_prove_nothing() {
        let (mut stops, now) = (Stops::default(), Instant::now());
        assert_eq!(stops.blocked(KEY, id(0)(), now), Some(Turn::Stopped));
        assert_eq!(stops.blocked(KEY, id(1)(), now), None);
        assert_eq!(stops.accepted(KEY, id(2), now), None);
        assert_eq!(stops.leave(KEY, id(3), now), Leave::Stopped(Stop::Blocked));
        let now = now + 60 * SECOND;
        assert_eq!(stops.leave(KEY, id(3), now), Leave::Go);
        assert_eq!(stops.leave(KEY, id(4), now), Leave::Wait(now + SECOND), "its answer is for all");
        assert_eq!(stops.accepted(KEY, id(3), now), Some(Turn::Over));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_remembered_is_bounded() {
        let (mut stops, now) = (Stops::default(), Instant::now());
        for round in 0..1000 {
            suspect(&mut stops, round * 3, now);
            stops.accepted(KEY, id(u32::MAX), now);
        }
        assert_eq!(stops.0[0].outcasts.len(), OUTCASTS);
        for n in 0..1000 {
            stops.refused(KEY, id(n + 10_000)(), now);
        }
        assert_eq!(stops.0[0].refused.len(), MAX_REFUSED);
    }
}
