//! What is known of each push service: pauses, stops, and how much it takes at once.

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use lru::LruCache;
use tokio::time::Instant;

use super::meter::{Meter, OriginRates};
use super::{Shares, later};
use crate::telemetry::{Instruments, Service};
use crate::{Endpoint, KeyId, Origin, SubscriptionId};

/// Origins come from endpoints that strangers chose: the table is bounded (S-31).
const MAX_ORIGINS: usize = 4096;
/// An origin that nothing is known of may hold this many requests; each answer admits one more.
const FIRST_ALLOWANCE: usize = 64;
/// No answer for this long, with requests waiting: the origin is silent.
pub(crate) const SILENCE: Duration = Duration::from_secs(2);
/// this many distinct subscriptions told to slow down within the window pause the origin,
/// when they are also this share of its answers. A few busy devices among thousands do not.
const SLOW_DOWNS: usize = 3;
const SLOW_SHARE: u64 = 8;
const SLOW_DOWN_WINDOW: Duration = Duration::from_secs(10);
/// This many requests in a row without any status: the origin is broken for a while.
const FAILURES: u32 = 8;
/// This many different subscriptions in a row whose fresh token was refused: the token is at
/// fault, not a subscription (Q-F6).
const REFUSALS: usize = 3;
/// a token is rebuilt once an hour, so a stop lasts as long.
const STOP: Duration = Duration::from_secs(3600);
/// The longest pause of a broken origin, between probes.
const MAX_PAUSE: Duration = Duration::from_secs(60);

/// The table of origins, shared by all broadcasts of a sender.
pub(crate) struct Origins {
    table: Mutex<LruCache<Origin, Arc<OriginState>>>,
    limit: usize,
    rates: OriginRates,
    instruments: Instruments,
}

impl Origins {
    /// A table in which each origin takes at most `limit` requests at once, at these rates.
    pub(crate) fn new(limit: usize, rates: OriginRates, instruments: &Instruments) -> Self {
        let capacity = const { NonZeroUsize::new(MAX_ORIGINS).expect("not zero") };
        Self { table: Mutex::new(LruCache::new(capacity)), limit, rates, instruments: instruments.clone() }
    }

    pub(crate) fn of(&self, endpoint: &Endpoint) -> Arc<OriginState> {
        let mut table = self.table.lock().expect("no panic while the table is locked");
        if let Some(state) = table.get(endpoint.origin_str()) {
            return Arc::clone(state);
        }
        let vendor = endpoint.vendor();
        let (meter, service) = (self.rates.meter(vendor), self.instruments.of(vendor).clone());
        let state = Arc::new(OriginState::new(endpoint.origin(), service, self.limit, meter));
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

/// Why nothing more is sent to an origin with a key.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Stop {
    /// It refuses our tokens.
    Auth,
    /// It refuses us as a sender.
    Blocked,
}

/// One origin. Every method takes a short lock.
#[derive(Debug)]
pub(crate) struct OriginState {
    origin: Origin,
    /// Where its rate is limited.
    meter: Option<Arc<Meter>>,
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
    paused_until: Option<Instant>,
    /// Pauses for failure since the last answer: each doubles.
    pauses: u8,
    failures: u32,
    /// What was answered since the window began.
    window: SlowDowns,
    /// Whose fresh tokens were refused since one of the same key was accepted.
    refusals: Vec<(KeyId, SubscriptionId)>,
    stops: Vec<(KeyId, Stop, Instant)>,
}

impl OriginState {
    fn new(origin: Origin, service: Service, limit: usize, meter: Option<Arc<Meter>>) -> Self {
        Self {
            origin,
            meter,
            service,
            inner: Mutex::new(Inner {
                limit,
                allowance: limit.min(FIRST_ALLOWANCE),
                in_flight: Shares::default(),
                heard: Instant::now(),
                paused_until: None,
                pauses: 0,
                failures: 0,
                window: SlowDowns::new(),
                refusals: Vec::new(),
                stops: Vec::new(),
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

    /// Until when it is paused.
    pub(crate) fn paused(&self, now: Instant) -> Option<Pause> {
        self.lock().paused(now)
    }

    /// A status arrived.
    pub(crate) fn answered(&self, now: Instant) {
        let mut inner = self.lock();
        inner.heard = now;
        inner.window.count(now).answers += 1;
        inner.failures = 0;
        inner.pauses = 0;
        inner.allowance = (inner.allowance + 1).min(inner.limit);
    }

    /// No status arrived. Pauses the origin when that was one too many; returns the pause.
    pub(crate) fn failed(&self, now: Instant, base: Duration) -> Option<Duration> {
        let mut inner = self.lock();
        inner.failures += 1;
        let already = inner.paused_until.is_some_and(|until| until > now);
        // After a pause one failed probe is enough.
        if already || (inner.failures < FAILURES && inner.pauses == 0) {
            return None;
        }
        let pause = base.saturating_mul(1 << inner.pauses.min(16)).min(MAX_PAUSE);
        inner.pauses = inner.pauses.saturating_add(1);
        inner.allowance = 1;
        inner.paused_until = Some(now + pause);
        Some(pause)
    }

    /// A subscription was told to slow down: pauses the origin when several were.
    pub(crate) fn slow_down(&self, subscription: SubscriptionId, wait: Duration, now: Instant) -> bool {
        let mut inner = self.lock();
        if !inner.window.count(now).slow_down(subscription) {
            return false;
        }
        inner.window = SlowDowns::new();
        let until = later(now, wait);
        if inner.paused_until.is_none_or(|earlier| earlier < until) {
            inner.paused_until = Some(until);
        }
        true
    }

    /// A message was accepted: tokens of this key work.
    pub(crate) fn accepted(&self, key: KeyId) {
        self.lock().refusals.retain(|(other, _)| *other != key);
    }

    /// A fresh token was refused. Stops the key when that happened to several subscriptions in a
    /// row; returns whether that is news.
    pub(crate) fn refused(&self, key: KeyId, subscription: SubscriptionId, now: Instant) -> bool {
        let refusals = {
            let mut inner = self.lock();
            if !inner.refusals.contains(&(key, subscription)) {
                inner.refusals.push((key, subscription));
            }
            inner.refusals.iter().filter(|(other, _)| *other == key).count()
        };
        refusals >= REFUSALS && self.stop(key, Stop::Auth, now)
    }

    /// Stops sending with this key; returns whether that is news.
    pub(crate) fn stop(&self, key: KeyId, stop: Stop, now: Instant) -> bool {
        let mut inner = self.lock();
        let news = inner.stopped(key, now).is_none();
        inner.stops.retain(|(known, _, until)| *known != key && *until > now);
        inner.stops.push((key, stop, now + STOP));
        inner.refusals.retain(|(other, _)| *other != key);
        news
    }

    /// Whether nothing more is sent with this key.
    pub(crate) fn stopped(&self, key: KeyId, now: Instant) -> Option<Stop> {
        self.lock().stopped(key, now)
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
        inner.paused_until = None;
        if inner.silent(now) {
            inner.allowance = 1;
        }
        let room = inner.in_flight.room(self.number, inner.allowance);
        inner.in_flight.ask(self.number, room == 0);
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
        let room = inner.in_flight.room(self.number, inner.allowance);
        if room == 0 || !self.origin.meter().is_none_or(|meter| meter.begin(now)) {
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
        let until = self.paused_until.filter(|until| *until > now)?;
        Some(Pause { until, broken: self.pauses > 0 })
    }

    fn silent(&self, now: Instant) -> bool {
        self.in_flight.held() > 0 && now.duration_since(self.heard) >= SILENCE
    }

    fn stopped(&self, key: KeyId, now: Instant) -> Option<Stop> {
        self.stops.iter().find(|(known, _, until)| *known == key && *until > now).map(|(_, stop, _)| *stop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const KEY: KeyId = KeyId::from_bytes([1; 16]);
    const OTHER: KeyId = KeyId::from_bytes([2; 16]);

    fn id(n: u8) -> SubscriptionId {
        SubscriptionId::from_bytes([n; 32])
    }

    fn origin() -> Arc<OriginState> {
        Origins::new(1024, OriginRates::default(), &Instruments::new())
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
    async fn failures_in_a_row_pause_longer_each_time() {
        let (origin, now) = (origin(), Instant::now());
        for _ in 0..FAILURES - 1 {
            assert_eq!(origin.failed(now, SECOND), None);
        }
        assert_eq!(origin.failed(now, SECOND), Some(SECOND));
        assert_eq!(origin.failed(now, SECOND), None, "paused already");
        assert_eq!(origin.failed(now + 2 * SECOND, SECOND), Some(2 * SECOND), "one probe is enough");
        origin.answered(now + 9 * SECOND);
        assert_eq!(origin.failed(now + 9 * SECOND, SECOND), None);
    }

    #[tokio::test(start_paused = true)]
    async fn one_refused_subscription_stops_nobody_else() {
        let (origin, now) = (origin(), Instant::now());
        for n in 0..10 {
            assert!(!origin.refused(KEY, id(n), now));
            origin.accepted(KEY);
        }
        assert!((0..10).all(|_| !origin.refused(KEY, id(1), now)), "always the same");
        assert!(!origin.refused(OTHER, id(2), now) && !origin.refused(OTHER, id(3), now), "another key");
        origin.accepted(OTHER);
        assert!(!origin.refused(KEY, id(2), now) && origin.refused(KEY, id(3), now));
        assert_eq!(origin.stopped(KEY, now), Some(Stop::Auth));
        assert_eq!(origin.stopped(OTHER, now), None);
        assert_eq!(origin.stopped(KEY, now + STOP), None);
    }

    #[tokio::test(start_paused = true)]
    async fn the_table_is_bounded() {
        let origins = Origins::new(8, OriginRates::default(), &Instruments::new());
        for i in 0..10_000 {
            origins.of(&format!("https://h{i}.example.net/x").parse().unwrap());
        }
        assert_eq!(origins.len(), MAX_ORIGINS);
    }
}
