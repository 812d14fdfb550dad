//! What is known of each push service: pauses, stops, and how much it takes at once.

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use lru::LruCache;
use tokio::time::Instant;

use super::budget::{Budget, RetryBudget, Spent};
use super::circuit::{Circuit, Failed};
use super::meter::{Meter, OriginRates};
use super::stops::{Id, Leave, Stops, Turn};
use super::{Shares, later};
use crate::telemetry::{Halt, Instruments, Service};
use crate::{Endpoint, KeyId, Origin, ResponseDetail, SubscriptionId};

/// Origins come from endpoints that strangers chose: the table is bounded (S-31).
const MAX_ORIGINS: usize = 4096;
/// An origin that nothing is known of may hold this many requests; each answer admits one more.
const FIRST_ALLOWANCE: usize = 64;
/// No answer for this long, with requests waiting: the origin is silent.
pub(crate) const SILENCE: Duration = Duration::from_secs(2);
/// An origin that answers at all does so by then, as a rule.
const HESITATION: Duration = Duration::from_millis(100);
/// After so much silence, it is taken to be broken.
const BROKEN: Duration = Duration::from_secs(10);
/// this many distinct subscriptions told to slow down within the window pause the origin,
/// when they are also this share of its answers. A few busy devices among thousands do not.
const SLOW_DOWNS: usize = 3;
const SLOW_SHARE: u64 = 8;
const SLOW_DOWN_WINDOW: Duration = Duration::from_secs(10);

/// The table of origins, shared by all broadcasts of a sender.
pub(crate) struct Origins {
    table: Mutex<LruCache<Origin, Arc<OriginState>>>,
    limit: usize,
    rates: OriginRates,
    budget: Option<RetryBudget>,
    instruments: Instruments,
}

impl Origins {
    /// A table in which each origin takes at most `limit` requests at once, at these rates, and has
    /// this budget of retries.
    pub(crate) fn new(
        limit: usize,
        rates: OriginRates,
        budget: Option<RetryBudget>,
        instruments: &Instruments,
    ) -> Self {
        let capacity = const { NonZeroUsize::new(MAX_ORIGINS).expect("not zero") };
        let table = Mutex::new(LruCache::new(capacity));
        Self { table, limit, rates, budget, instruments: instruments.clone() }
    }

    pub(crate) fn of(&self, endpoint: &Endpoint) -> Arc<OriginState> {
        let mut table = self.table.lock().expect("no panic while the table is locked");
        if let Some(state) = table.get(endpoint.origin_str()) {
            return Arc::clone(state);
        }
        let vendor = endpoint.vendor();
        let (meter, service) = (self.rates.meter(vendor), self.instruments.of(vendor).clone());
        let budget = self.budget.map(Budget::new);
        let state = Arc::new(OriginState::new(endpoint.origin(), service, self.limit, meter, budget));
        table.put(state.origin().clone(), Arc::clone(&state));
        state
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.table.lock().unwrap().len()
    }
}

impl fmt::Debug for Origins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Origins").field("limit", &self.limit).finish_non_exhaustive()
    }
}

/// One origin. Every method takes a short lock.
#[derive(Debug)]
pub(crate) struct OriginState {
    origin: Origin,
    /// Where its rate is limited.
    meter: Option<Arc<Meter>>,
    /// Where its retries are limited.
    budget: Option<Budget>,
    service: Service,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    limit: usize,
    /// How many requests it may hold now: grows with each answer, falls to one in silence.
    allowance: usize,
    in_flight: Shares,
    /// The last answer, or the start of the oldest wait for one.
    heard: Instant,
    /// It asked to be left alone until then.
    asked: Option<Instant>,
    circuit: Circuit,
    /// What was answered since the window began.
    window: SlowDowns,
    stops: Stops,
}

impl OriginState {
    fn new(
        origin: Origin,
        service: Service,
        limit: usize,
        meter: Option<Arc<Meter>>,
        budget: Option<Budget>,
    ) -> Self {
        Self {
            origin,
            meter,
            budget,
            service,
            inner: Mutex::new(Inner {
                limit,
                allowance: limit.min(FIRST_ALLOWANCE),
                in_flight: Shares::default(),
                heard: Instant::now(),
                asked: None,
                circuit: Circuit::default(),
                window: SlowDowns::new(),
                stops: Stops::default(),
            }),
        }
    }

    pub(crate) const fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Its meter, where its rate is limited.
    pub(crate) fn meter(&self) -> Option<&Meter> {
        self.meter.as_deref()
    }

    /// Its budget, where its retries are limited.
    pub(crate) const fn budget(&self) -> Option<&Budget> {
        self.budget.as_ref()
    }

    /// A first attempt is made.
    pub(crate) fn earn(&self, now: Instant) {
        if let Some(budget) = &self.budget {
            budget.earn(now);
        }
    }

    /// Pays for a retry; returns whether it may be made.
    pub(crate) fn pay(&self, now: Instant) -> bool {
        let spent = self.budget.as_ref().map_or(Spent::Yes, |budget| budget.spend(now));
        if spent == (Spent::No { news: true }) {
            tracing::warn!(origin = %self.origin, "too many messages to a push service fail: retries wait");
        }
        spent == Spent::Yes
    }

    /// A retry was answered, and not to the effect that it is to be repeated.
    pub(crate) fn retry_succeeded(&self, now: Instant) {
        if let Some(budget) = &self.budget {
            budget.succeeded(now);
        }
    }

    /// What its part is counted with.
    pub(crate) const fn service(&self) -> &Service {
        &self.service
    }

    /// One more broadcast has messages for it.
    pub(crate) fn visit(self: &Arc<Self>) -> Arc<Guest> {
        let number = self.lock().in_flight.join();
        let metered = self.meter().map_or(0, Meter::join);
        Arc::new(Guest { origin: Arc::clone(self), number, metered })
    }

    /// Whether it holds requests and has not answered any for two seconds.
    pub(crate) fn is_silent(&self, now: Instant) -> bool {
        self.lock().silent(now)
    }

    /// For how long it has been silent, if it is.
    pub(crate) fn silence(&self, now: Instant) -> Option<Duration> {
        let inner = self.lock();
        inner.silent(now).then(|| now.duration_since(inner.heard))
    }

    /// How many requests it may hold, where nothing was heard of it lately and something could have been.
    pub(crate) fn unheard(&self, now: Instant) -> Option<usize> {
        let inner = self.lock();
        let waits = inner.in_flight.held() > 0 && now.duration_since(inner.heard) >= HESITATION;
        let unheard = !inner.circuit.heard_since(now, SILENCE) && (waits || !inner.circuit.is_closed());
        unheard.then_some(inner.allowance)
    }

    /// Whether it fails, or holds requests and has answered none for ten seconds; not where it asked to be left
    /// alone.
    pub(crate) fn is_broken(&self, now: Instant) -> bool {
        let inner = self.lock();
        // While it is left alone it has nothing to say.
        let since = inner.asked.map_or(inner.heard, |until| until.max(inner.heard));
        let silent = inner.silent(now) && now.duration_since(since) >= BROKEN;
        let asked = inner.asked.is_some_and(|until| until > now);
        !asked && (silent || !inner.circuit.is_closed())
    }

    /// Until when it is paused.
    pub(crate) fn paused(&self, now: Instant) -> Option<Pause> {
        self.lock().paused(now)
    }

    /// A status arrived.
    pub(crate) fn answered(&self, now: Instant) {
        let mut inner = self.lock();
        inner.heard = now;
        inner.window.count(now).answers += 1;
        inner.allowance = (inner.allowance + 1).min(inner.limit);
        let closed = inner.circuit.answered(now);
        drop(inner);
        if closed {
            tracing::info!(origin = %self.origin, "the push service answers again");
        }
    }

    /// No status arrived. Pauses the origin when that was one too many; returns the pause.
    pub(crate) fn failed(&self, now: Instant, base: Duration) -> Option<Duration> {
        let mut inner = self.lock();
        let failed = inner.circuit.failed(now, base);
        if failed == Failed::Nothing {
            return None;
        }
        inner.allowance = 1;
        drop(inner);
        if let Failed::Opens(pause) = failed {
            return Some(pause);
        }
        tracing::info!(origin = %self.origin, "every second request to a push service fails: it gets fewer at once");
        None
    }

    /// A subscription was told to slow down: pauses the origin when several were.
    pub(crate) fn slow_down(&self, subscription: SubscriptionId, wait: Duration, now: Instant) -> bool {
        let mut inner = self.lock();
        if !inner.window.count(now).slow_down(subscription) {
            return false;
        }
        inner.window = SlowDowns::new();
        inner.asked = inner.asked.max(Some(later(now, wait)));
        true
    }

    /// A message was accepted: tokens of this key work.
    pub(crate) fn accepted(&self, key: KeyId, subscription: impl Id, now: Instant) {
        let turn = self.lock().stops.accepted(key, subscription, now);
        self.tell(turn, Halt::Auth, None);
    }

    /// A fresh token was refused, or, `blocked`, we are, with these words.
    pub(crate) fn refused(
        &self,
        key: KeyId,
        subscription: SubscriptionId,
        blocked: bool,
        detail: Option<&ResponseDetail>,
        now: Instant,
    ) {
        let mut inner = self.lock();
        let (turn, halt) = if blocked {
            (inner.stops.blocked(key, subscription, now), Halt::Blocked)
        } else {
            (inner.stops.refused(key, subscription, now), Halt::Auth)
        };
        drop(inner);
        self.tell(turn, halt, detail);
    }

    /// A request ended in a way that says nothing of the key.
    pub(crate) fn unproven(&self, key: KeyId, subscription: impl Id) {
        self.lock().stops.unproven(key, subscription);
    }

    /// Whether a request to a subscription may be made with this key now.
    pub(crate) fn leave(&self, key: KeyId, subscription: impl Id, now: Instant) -> Leave {
        self.lock().stops.leave(key, subscription, now)
    }

    fn tell(&self, turn: Option<Turn>, halt: Halt, detail: Option<&ResponseDetail>) {
        let (origin, detail) = (&self.origin, detail.map(tracing::field::display));
        match turn {
            Some(Turn::Stopped) => {
                self.service.stopped(halt);
                match halt {
                    Halt::Auth => {
                        tracing::error!(%origin, detail, "the push service refuses our VAPID tokens: nothing more is sent to it with this key but a probe now and then");
                    }
                    Halt::Blocked => {
                        tracing::error!(%origin, detail, "the push service refuses this sender: nothing more is sent to it but a probe now and then");
                    }
                }
            }
            Some(Turn::Suspected) => {
                tracing::warn!(%origin, detail, "the push service refused our VAPID tokens for several subscriptions: others are tried one by one");
            }
            Some(Turn::Over) => tracing::info!(%origin, "the push service accepts our VAPID tokens"),
            None => {}
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("no panic while an origin is locked")
    }
}

/// One broadcast at one origin.
#[derive(Debug)]
pub(crate) struct Guest {
    origin: Arc<OriginState>,
    number: usize,
    /// Its number at the origin's meter.
    metered: u64,
}

impl Guest {
    pub(crate) const fn origin(&self) -> &Arc<OriginState> {
        &self.origin
    }

    /// How many requests may start now, and until when none may. When none may because there are
    /// enough, the broadcast is taken to want more until it asks again.
    pub(crate) fn room(&self, now: Instant) -> Room {
        let mut inner = self.origin.lock();
        if let Some(Pause { until, broken }) = inner.paused(now) {
            inner.in_flight.ask(self.number, false);
            return Room::Paused { until, broken };
        }
        let probes = inner.narrow(now) && inner.in_flight.held() == 0 && inner.circuit.tell_half_open(now);
        let room = inner.in_flight.room(self.number, inner.allowance);
        inner.in_flight.ask(self.number, room == 0);
        drop(inner);
        if probes {
            let origin = self.origin.origin();
            tracing::info!(%origin, "the pause of a push service that failed is over: one request decides");
        }
        // It does not stand in line for what it has no place for.
        match self.origin.meter().filter(|_| room > 0).map(|meter| meter.room(self.metered, now)) {
            Some(Err(until)) => Room::Early { until },
            Some(Ok(starts)) => Room::Free(room.min(starts)),
            None => Room::Free(room),
        }
    }

    /// A request starts, if it still may: another broadcast may have been faster.
    pub(crate) fn begin(&self, now: Instant) -> bool {
        let mut inner = self.origin.lock();
        inner.narrow(now);
        let room = inner.in_flight.room(self.number, inner.allowance);
        if room == 0
            || inner.paused(now).is_some()
            || !self.origin.meter().is_none_or(|meter| meter.begin(now))
        {
            return false;
        }
        if inner.in_flight.held() == 0 {
            inner.heard = now;
        }
        inner.in_flight.take(self.number);
        true
    }

    /// A request ended, or was dropped; `started`: it was handed to the transport.
    pub(crate) fn release(&self, started: bool) {
        self.origin.lock().in_flight.give_back(self.number);
        if let Some(meter) = self.origin.meter().filter(|_| !started) {
            meter.give_back();
        }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.origin.lock().in_flight.leave(self.number);
        if let Some(meter) = self.origin.meter() {
            meter.leave(self.metered);
        }
    }
}

/// What [`Guest::room`] answers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Room {
    Free(usize),
    /// Not before the rate allows one.
    Early {
        until: Instant,
    },
    /// `broken`: for failures, not because it asked.
    Paused {
        until: Instant,
        broken: bool,
    },
}

/// A pause of an origin.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Pause {
    pub(crate) until: Instant,
    /// For failures, not because it asked.
    pub(crate) broken: bool,
}

/// Answers of ten seconds.
#[derive(Debug)]
struct SlowDowns {
    began: Instant,
    answers: u64,
    slow: u64,
    /// The first few subscriptions that were told to slow down.
    subscriptions: Vec<SubscriptionId>,
}

impl SlowDowns {
    fn new() -> Self {
        Self { began: Instant::now(), answers: 0, slow: 0, subscriptions: Vec::new() }
    }

    /// The window that `now` belongs to.
    fn count(&mut self, now: Instant) -> &mut Self {
        if now.duration_since(self.began) >= SLOW_DOWN_WINDOW {
            *self = Self { began: now, ..Self::new() };
        }
        self
    }

    /// Counts one; returns whether the origin as a whole is slowing us down.
    fn slow_down(&mut self, subscription: SubscriptionId) -> bool {
        self.slow += 1;
        if self.subscriptions.len() < SLOW_DOWNS && !self.subscriptions.contains(&subscription) {
            self.subscriptions.push(subscription);
        }
        self.subscriptions.len() == SLOW_DOWNS && self.slow * SLOW_SHARE >= self.answers
    }
}

impl Inner {
    fn paused(&self, now: Instant) -> Option<Pause> {
        let asked = self.asked.filter(|until| *until > now);
        let broken = self.circuit.open_until(now);
        let until = asked.max(broken)?;
        Some(Pause { until, broken: broken == Some(until) })
    }

    /// Allows one request where it is silent, or where one is to decide; returns whether it is the
    /// latter. Each time, because answers of what was on its way widen it.
    fn narrow(&mut self, now: Instant) -> bool {
        let half_open = self.circuit.is_half_open(now);
        if half_open || self.silent(now) {
            self.allowance = 1;
        }
        half_open
    }

    fn silent(&self, now: Instant) -> bool {
        self.in_flight.held() > 0 && now.duration_since(self.heard) >= SILENCE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn id(n: u8) -> SubscriptionId {
        SubscriptionId::from_bytes([n; 32])
    }

    fn origin() -> Arc<OriginState> {
        Origins::new(1024, OriginRates::default(), None, &Instruments::new())
            .of(&"https://push.example.net/x".parse().unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn answers_widen_the_allowance_and_silence_narrows_it() {
        let (origin, now) = (origin(), Instant::now());
        let guest = origin.visit();
        for _ in 0..64 {
            assert!(guest.begin(now));
        }
        assert_eq!(guest.room(now), Room::Free(0));
        assert!(!guest.begin(now));
        for _ in 0..10 {
            origin.answered(now + SECOND);
            guest.release(true);
        }
        assert_eq!(guest.room(now + SECOND), Room::Free(20));
        assert!(!origin.is_silent(now + 2 * SECOND));
        assert!(origin.is_silent(now + 3 * SECOND));
        assert_eq!(guest.room(now + 3 * SECOND), Room::Free(0));
        for _ in 0..54 {
            guest.release(true);
        }
        // A single probe.
        assert_eq!(guest.room(now + 4 * SECOND), Room::Free(1));
    }

    #[tokio::test(start_paused = true)]
    async fn several_slow_subscriptions_pause_the_origin_and_one_does_not() {
        let (origin, now) = (origin(), Instant::now());
        for _ in 0..5 {
            assert!(!origin.slow_down(id(7), SECOND, now));
        }
        assert!(!origin.slow_down(id(8), SECOND, now));
        assert!(origin.slow_down(id(9), 30 * SECOND, now));
        let guest = origin.visit();
        assert_eq!(guest.room(now), Room::Paused { until: now + 30 * SECOND, broken: false });
        assert!(matches!(guest.room(now + 31 * SECOND), Room::Free(_)));
        // Far apart they are single cases, and so are few among many.
        for i in 1..5 {
            assert!(!origin.slow_down(id(i), SECOND, now + 60 * SECOND * u32::from(i)));
        }
        let later = now + 600 * SECOND;
        (0..100).for_each(|_| origin.answered(later));
        assert!((1..10).all(|i| !origin.slow_down(id(i), SECOND, later)));
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_pause_one_request_decides_for_all_broadcasts() {
        let (origin, now) = (origin(), Instant::now());
        let guests = [origin.visit(), origin.visit(), origin.visit()];
        for _ in 0..60 {
            assert!(guests[0].begin(now));
        }
        (0..8).for_each(|_| {
            origin.failed(now, SECOND);
        });
        assert_eq!(guests[1].room(now), Room::Paused { until: now + SECOND, broken: true });
        assert!(!guests[1].begin(now), "nor does one begin that had room before");
        // What was on its way is answered: that widens nothing.
        for _ in 0..30 {
            origin.answered(now);
            guests[0].release(true);
        }
        let over = now + SECOND;
        assert!(
            guests.iter().all(|guest| guest.room(over) == Room::Free(0)),
            "others are still on their way"
        );
        (0..30).for_each(|_| guests[0].release(true));
        assert!(guests.iter().all(|guest| guest.room(over) == Room::Free(1)));
        assert!(guests[2].begin(over) && !guests[2].begin(over) && !guests[0].begin(over));
        assert_eq!(origin.failed(over, SECOND), Some(2 * SECOND));
        guests[2].release(true);
        let over = over + 2 * SECOND;
        assert_eq!(guests[1].room(over), Room::Free(1));
        assert!(guests[1].begin(over));
        origin.answered(over);
        guests[1].release(true);
        assert_eq!(guests[0].room(over), Room::Free(2), "and from there it grows");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_answered_between_look_and_begin_makes_no_second_probe() {
        let (origin, now) = (origin(), Instant::now());
        let guests = [origin.visit(), origin.visit()];
        (0..8).for_each(|_| {
            origin.failed(now, SECOND);
        });
        let over = now + SECOND;
        assert!(guests.iter().all(|guest| guest.room(over) == Room::Free(1)));
        // Its answer came within the pause, and is counted only now.
        origin.answered(now);
        assert!(guests[0].begin(over) && !guests[1].begin(over));
    }

    #[tokio::test(start_paused = true)]
    async fn the_table_is_bounded() {
        let origins = Origins::new(8, OriginRates::default(), None, &Instruments::new());
        for i in 0..10_000 {
            origins.of(&format!("https://h{i}.example.net/x").parse().unwrap());
        }
        assert_eq!(origins.len(), MAX_ORIGINS);
    }
}
