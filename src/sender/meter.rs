//! How many requests may start at a push service in a time, over all broadcasts.

use std::collections::VecDeque;
use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use lru::LruCache;
use tokio::time::Instant;

use super::origin::SILENCE;
use super::{Bucket, Pace};
use crate::{BroadcastId, Vendor};

/// The rates that a sender keeps to.
#[derive(Debug, Default)]
pub(crate) struct OriginRates {
    each: Option<NonZeroU32>,
    /// All origins of such a vendor are one push service, and share a meter.
    vendors: Vec<(Vendor, NonZeroU32, Arc<Meter>)>,
}

impl OriginRates {
    pub(crate) const fn set(&mut self, per_minute: NonZeroU32) {
        self.each = Some(per_minute);
    }

    pub(crate) fn set_for(&mut self, vendor: Vendor, per_minute: NonZeroU32) {
        self.vendors.retain(|(other, ..)| *other != vendor);
        self.vendors.push((vendor, per_minute, Arc::new(Meter::new(per_minute))));
    }

    /// The meter of a new origin.
    pub(crate) fn meter(&self, vendor: Vendor) -> Option<Arc<Meter>> {
        match self.vendors.iter().find(|(known, ..)| *known == vendor) {
            // Those have nothing in common.
            Some((Vendor::Other, rate, _)) => Some(Arc::new(Meter::new(*rate))),
            Some((.., meter)) => Some(Arc::clone(meter)),
            None => self.each.map(|rate| Arc::new(Meter::new(rate))),
        }
    }
}

/// What was not sent within this time may be made up for.
const DEEP: Duration = Duration::from_millis(100);
/// Whoever does not come this long after its turn has lost it.
const GRACE: Duration = Duration::from_millis(100);
/// When nothing was sent for so long, what was booked is not coming: its broadcast was aborted, or
/// other nodes sent it.
const IDLE: Duration = Duration::from_secs(10);
/// So many broadcasts have a time of their own for what they write down.
const MAX_BOOKINGS: NonZeroUsize = NonZeroUsize::new(256).expect("not zero");

/// Lets requests start at a rate. Broadcasts that wait for it take turns.
#[derive(Debug)]
pub(crate) struct Meter(Mutex<Inner>);

#[derive(Debug)]
struct Inner {
    bucket: Bucket,
    guests: u64,
    /// Who waits, and until when.
    line: VecDeque<(u64, Instant)>,
    used: Instant,
    /// Until when the requests are booked that each broadcast has written down.
    booked: LruCache<BroadcastId, Instant>,
}

impl Meter {
    fn new(per_minute: NonZeroU32) -> Self {
        let now = Instant::now();
        let mut bucket = Bucket::new(Pace::per_minute(per_minute), DEEP, now);
        bucket.give_back(1);
        let (line, booked) = (VecDeque::new(), LruCache::new(MAX_BOOKINGS));
        Self(Mutex::new(Inner { bucket, guests: 0, line, used: now, booked }))
    }

    /// One more broadcast has requests; returns its number.
    pub(super) fn join(&self) -> u64 {
        let mut inner = self.lock();
        inner.guests += 1;
        inner.guests
    }

    pub(super) fn leave(&self, guest: u64) {
        self.lock().line.retain(|(other, _)| *other != guest);
    }

    /// How many requests of a broadcast may start now, or when it is to ask again.
    pub(super) fn room(&self, guest: u64, now: Instant) -> Result<usize, Instant> {
        let mut inner = self.lock();
        let late = |at: Instant| at + GRACE < now;
        while inner.line.front().is_some_and(|(first, at)| *first != guest && late(*at)) {
            inner.line.pop_front();
        }
        let place = inner.line.iter().position(|(other, _)| *other == guest);
        let ahead = place.unwrap_or(inner.line.len());
        let tokens = inner.bucket.tokens(now);
        if tokens > ahead {
            place.map(|place| inner.line.remove(place));
            return Ok(tokens - ahead);
        }
        let at = inner.bucket.when(ahead + 1);
        match place.and_then(|place| inner.line.get_mut(place)) {
            Some(waiting) => waiting.1 = at,
            None => inner.line.push_back((guest, at)),
        }
        Err(at)
    }

    /// A request starts, if it still may.
    pub(super) fn begin(&self, now: Instant) -> bool {
        let mut inner = self.lock();
        if inner.bucket.tokens(now) == 0 {
            return false;
        }
        inner.bucket.take(1);
        inner.used = now;
        true
    }

    /// A request did not start after all.
    pub(super) fn give_back(&self) {
        self.lock().bucket.give_back(1);
    }

    /// How many wait not too long for their turn, when nobody else does.
    pub(crate) fn soon(&self) -> usize {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates; not negative")]
        let soon = self.lock().bucket.pace().within(SILENCE) as usize;
        soon
    }

    /// When a request of a broadcast that is written down is to be tried: one after the other, so
    /// that they do not come back all at once and are written down again.
    pub(crate) fn book(&self, broadcast: &BroadcastId, now: Instant) -> Instant {
        let mut inner = self.lock();
        if inner.used + IDLE.max(inner.bucket.pace().interval().saturating_mul(2).min(MAX_IDLE)) < now {
            inner.booked.clear();
            inner.used = now;
        }
        let others = inner.booked.iter().filter(|(id, until)| *id != broadcast && **until > now).count();
        let share = u32::try_from(others + 1).unwrap_or(u32::MAX);
        let interval = inner.bucket.pace().interval().saturating_mul(share);
        let due = inner.booked.get(broadcast).copied().unwrap_or(now).max(now + SILENCE);
        inner.booked.put(broadcast.clone(), due + interval);
        due
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().expect("no panic while metering")
    }
}

const MAX_IDLE: Duration = Duration::from_secs(600);

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn n(n: u32) -> NonZeroU32 {
        NonZeroU32::new(n).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn those_who_wait_take_turns() {
        let (meter, mut now) = (Meter::new(n(60)), Instant::now());
        let guests = [meter.join(), meter.join(), meter.join()];
        assert_eq!(meter.room(guests[0], now), Ok(1), "the first need not wait");
        assert!(meter.begin(now) && !meter.begin(now));
        for (n, guest) in (1..).zip(guests) {
            assert_eq!(meter.room(guest, now), Err(now + n * SECOND));
        }
        let mut served = Vec::new();
        for _ in 0..6 {
            now += SECOND;
            // All ask, in an order that would favour the first.
            for guest in guests {
                if meter.room(guest, now).is_ok() {
                    assert!(meter.begin(now));
                    served.push(guest);
                    assert!(meter.room(guest, now).is_err());
                }
            }
        }
        assert_eq!(served, [guests, guests].concat());
    }

    #[tokio::test(start_paused = true)]
    async fn who_does_not_come_loses_its_turn() {
        let (meter, now) = (Meter::new(n(60)), Instant::now());
        let (gone, silent, other) = (meter.join(), meter.join(), meter.join());
        assert!(meter.begin(now));
        for guest in [gone, silent, other] {
            assert!(meter.room(guest, now).is_err());
        }
        meter.leave(gone);
        assert!(meter.room(other, now + SECOND).is_err(), "it is the silent one's turn");
        assert_eq!(meter.room(other, now + 3 * SECOND), Ok(1));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_written_down_comes_back_one_by_one() {
        let (meter, now) = (Meter::new(n(60)), Instant::now());
        let [a, b] = ["a", "b"].map(|id| BroadcastId::new(id).unwrap());
        let first: Vec<_> = (0..3).map(|_| meter.book(&a, now)).collect();
        assert_eq!(first, [now + 2 * SECOND, now + 3 * SECOND, now + 4 * SECOND]);
        let second: Vec<_> = (0..3).map(|_| meter.book(&b, now)).collect();
        assert_eq!(second, [now + 2 * SECOND, now + 4 * SECOND, now + 6 * SECOND], "half the rate for each");
        for _ in 0..100 {
            meter.book(&a, now);
        }
        let later = now + 60 * SECOND;
        assert_eq!(meter.book(&b, later), later + 2 * SECOND, "nothing was sent for a minute");
        assert_eq!(meter.book(&b, later), later + 3 * SECOND, "so that nothing else is booked");
    }

    #[test]
    fn a_vendor_is_one_push_service_and_the_others_are_many() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let _guard = runtime.enter();
        let mut rates = OriginRates::default();
        assert!(rates.meter(Vendor::Fcm).is_none());
        rates.set_for(Vendor::Fcm, n(1000));
        rates.set_for(Vendor::Other, n(10));
        let same = |vendor| Arc::ptr_eq(&rates.meter(vendor).unwrap(), &rates.meter(vendor).unwrap());
        assert!(same(Vendor::Fcm) && !same(Vendor::Other));
        assert!(rates.meter(Vendor::Apple).is_none());
        rates.set(n(60));
        assert_eq!(rates.meter(Vendor::Apple).unwrap().soon(), 2);
        assert_eq!(rates.meter(Vendor::Fcm).unwrap().soon(), 33);
    }
}
