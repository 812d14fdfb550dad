//! The entries that may be sent, by origin: no origin waits behind another.

mod lines;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use slab::Slab;
use tokio::time::Instant;

pub(super) use self::lines::{Lines, Popped};

use super::job::Job;
use super::rate::Rate;
use super::window::Window;
use crate::sender::origin::{Guest, OriginState, Origins, Pause, Room, SILENCE};
use crate::sender::{Meter, Pace};
use crate::{Endpoint, Origin};

/// With so many entries ready no more are read, and then as many at once: at 10 000 a second nobody waits longer
/// than 77 ms for its turn.
pub(super) const AHEAD: usize = 384;
/// How many entries one origin gives before it is the next one's turn.
const TURN: usize = 16;
/// Another broadcast may hold an origin's room: look again after this long.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// A stalled queue is deferred at most this often.
const SWEEP: Duration = Duration::from_secs(1);
/// Of so many entries that came last it is remembered which origins they were for.
const RECENT: usize = 256;
/// An origin that has all but one in so many of these has nobody who waits behind it.
const ALONE: usize = 16;

#[derive(Debug, Default)]
pub(super) struct Queues {
    by_origin: HashMap<Origin, usize>,
    slab: Slab<Queue>,
    /// Queues whose turn comes.
    ring: VecDeque<usize>,
    /// Queues that had entries and no room.
    parked: Vec<usize>,
    parked_at: Option<Instant>,
    paused: BinaryHeap<Reverse<(Instant, usize)>>,
    /// Queues that were just found to be paused, or got entries while they are.
    stalled: Vec<usize>,
    /// The origins of the last entries, by where their state is kept.
    recent: VecDeque<usize>,
    /// When any of them answered.
    answered: Option<Instant>,
    /// Nobody has a turn: the broadcast is paused.
    closed: bool,
    /// Of first attempts.
    rate: Rate,
    /// First attempts wait for the rate.
    dry: bool,
}

#[derive(Debug)]
struct Queue {
    guest: Arc<Guest>,
    lines: Lines,
    /// Entries in hand, ready or not.
    jobs: usize,
    place: Place,
    swept: Option<Instant>,
    /// When its entries last used up a try while they waited.
    sat: Option<Instant>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Place {
    Nowhere,
    Parked,
    Paused {
        until: Instant,
        broken: bool,
    },
    /// It waits for its origin's rate.
    Early {
        until: Instant,
    },
    Ring,
}

/// Why an entry has to wait.
#[derive(Clone, Copy, Debug)]
pub(super) enum Stall {
    Paused(Pause),
    /// The origin answers nothing, for so long by now.
    Silent(Duration),
    /// It is slower than its queue grows.
    Slow,
    /// So is its rate.
    Rate,
}

/// What ended.
#[derive(Clone, Copy, Debug)]
pub(super) enum Resumed {
    /// A pause; `broken`: for failures.
    Paused { broken: bool },
    /// The wait for the rate.
    Early,
}

/// Queues whose entries hold up others, and whether their origin is broken.
#[derive(Debug)]
pub(super) struct Crowd(BTreeMap<usize, bool>);

impl Crowd {
    pub(super) fn contains(&self, queue: usize) -> bool {
        self.0.contains_key(&queue)
    }

    pub(super) fn broken(&self) -> impl Iterator<Item = usize> {
        self.0.iter().filter(|(_, broken)| **broken).map(|(queue, _)| *queue)
    }
}

/// Whose turn it is, and how many of its entries may go.
pub(super) struct Turn {
    pub(super) queue: usize,
    pub(super) entries: usize,
}

impl Queues {
    /// The queue of an endpoint's origin, with one entry more in hand.
    pub(super) fn enter(&mut self, endpoint: &Endpoint, origins: &Origins) -> usize {
        if let Some(&queue) = self.by_origin.get(endpoint.origin_str()) {
            self.slab[queue].jobs += 1;
            self.remember(queue);
            return queue;
        }
        let state = origins.of(endpoint);
        let origin = state.origin().clone();
        let guest = state.visit();
        let queue = self.slab.insert(Queue::new(guest));
        self.by_origin.insert(origin, queue);
        self.remember(queue);
        queue
    }

    fn remember(&mut self, queue: usize) {
        if self.recent.len() == RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(self.slab[queue].id());
    }

    /// Whether others come to the window too, who could go on if this origin's entries left it.
    fn has_company(&self, queue: usize) -> bool {
        let id = self.slab[queue].id();
        let others = self.recent.iter().filter(|recent| **recent != id).count();
        others * ALONE > self.recent.len()
    }

    /// Those who hold up others that could go on. A pause that a push service asked for is sat through by all.
    pub(super) fn crowd(&self, now: Instant) -> Crowd {
        let broken: HashSet<usize> =
            self.slab.iter().filter(|(_, q)| q.guest.origin().is_broken(now)).map(|(_, q)| q.id()).collect();
        let asked = |q: &Queue| matches!(q.guest.origin().paused(now), Some(Pause { broken: false, .. }));
        let crowd = self.ahead_of_others(&broken).filter(|(_, q)| !asked(q));
        Crowd(crowd.map(|(queue, q)| (queue, broken.contains(&q.id()))).collect())
    }

    /// The queues behind which others may wait.
    pub(super) fn with_company(&self) -> BTreeSet<usize> {
        self.ahead_of_others(&HashSet::new()).map(|(queue, _)| queue).collect()
    }

    /// The queues that have company ([`has_company`](Self::has_company)), of others than these origins.
    fn ahead_of_others(&self, but_for: &HashSet<usize>) -> impl Iterator<Item = (usize, &Queue)> {
        let mut lately = HashMap::new();
        for id in self.recent.iter().filter(|id| !but_for.contains(id)) {
            *lately.entry(*id).or_insert(0) += 1;
        }
        let all: usize = lately.values().sum();
        self.slab.iter().filter(move |(_, q)| {
            let others = all - lately.get(&q.id()).unwrap_or(&0);
            others * ALONE > self.recent.len()
        })
    }

    /// The entries of a queue that may be sent.
    pub(super) fn keys(&self, queue: usize) -> impl Iterator<Item = usize> {
        self.slab[queue].lines.keys()
    }

    /// The entries of a queue use up a try while they wait.
    pub(super) fn sit_through(&mut self, queue: usize, now: Instant) {
        self.slab[queue].sat = Some(now);
    }

    /// Whether they did so within this time.
    pub(super) fn sat_through(&self, queue: usize, within: Duration, now: Instant) -> bool {
        self.slab[queue].sat.is_some_and(|sat| now.duration_since(sat) < within)
    }

    /// A push service answered.
    pub(super) const fn answered(&mut self, now: Instant) {
        self.answered = Some(now);
    }

    /// One entry less in hand.
    pub(super) fn leave(&mut self, queue: usize) {
        self.slab[queue].jobs -= 1;
        if self.slab[queue].jobs == 0 {
            let gone = self.slab.remove(queue);
            self.by_origin.remove(gone.guest.origin().origin());
            if gone.place == Place::Ring {
                self.ring.retain(|listed| *listed != queue);
            }
        }
    }

    pub(super) fn origin(&self, queue: usize) -> Arc<OriginState> {
        Arc::clone(self.slab[queue].guest.origin())
    }

    pub(super) fn guest(&self, queue: usize) -> Option<&Arc<Guest>> {
        self.slab.get(queue).map(|q| &q.guest)
    }

    /// An entry may be sent.
    pub(super) fn push(&mut self, queue: usize, key: usize, first: bool, now: Instant) {
        let q = &mut self.slab[queue];
        q.lines.push(key, first && self.rate.is_limited(), now);
        // Whoever comes to a pause is treated as those who were there when it began.
        if matches!(q.place, Place::Paused { .. }) && self.stalled.last() != Some(&queue) {
            self.stalled.push(queue);
        }
        self.list(queue);
    }

    /// Gives a queue with entries its turn, unless it is paused.
    pub(super) fn list(&mut self, queue: usize) {
        let q = &mut self.slab[queue];
        if !q.lines.is_empty() && matches!(q.place, Place::Nowhere | Place::Parked) {
            q.place = Place::Ring;
            self.ring.push_back(queue);
        }
    }

    /// The next turn, at most `limit` entries of it.
    pub(super) fn turn(&mut self, limit: usize, now: Instant) -> Option<Turn> {
        while !self.closed
            && let Some(queue) = self.ring.pop_front()
        {
            let q = &mut self.slab[queue];
            q.place = Place::Nowhere;
            if q.lines.is_empty() {
                continue;
            }
            if q.lines.is_paced() && !self.rate.has_one(now) {
                self.dry = true;
                continue;
            }
            match q.guest.room(now) {
                Room::Paused { until, broken } => {
                    q.place = Place::Paused { until, broken };
                    self.paused.push(Reverse((until, queue)));
                    self.stalled.push(queue);
                }
                Room::Early { until } => {
                    q.place = Place::Early { until };
                    self.paused.push(Reverse((until, queue)));
                }
                Room::Free(0) => {
                    q.place = Place::Parked;
                    self.parked.push(queue);
                    self.parked_at.get_or_insert(now);
                }
                Room::Free(room) => return Some(Turn { queue, entries: room.min(limit).min(TURN) }),
            }
        }
        None
    }

    pub(super) fn pop(&mut self, queue: usize, now: Instant) -> Option<Popped> {
        self.slab.get_mut(queue)?.lines.pop(&mut self.rate, now)
    }

    /// Gives turns no more, or again.
    pub(super) const fn pause(&mut self, paused: bool) {
        self.closed = paused;
    }

    pub(super) const fn is_paused(&self) -> bool {
        self.closed
    }

    /// No request was made of an entry that waited for the rate.
    pub(super) fn give_back(&mut self) {
        self.rate.give_back();
    }

    /// Limits the rate of first attempts, or no more; `is_first` tells which these are.
    pub(super) fn set_pace(&mut self, pace: Option<Pace>, is_first: impl Fn(usize) -> bool, now: Instant) {
        let before = self.rate.is_limited();
        self.rate.set(pace, now);
        if before == self.rate.is_limited() {
            return;
        }
        for (_, Queue { lines, .. }) in &mut self.slab {
            if before {
                lines.unpace();
            } else {
                lines.pace(&is_first);
            }
        }
        self.list_first();
    }

    /// First attempts have their turn when the rate allows some again.
    pub(super) fn refill(&mut self, now: Instant) {
        if self.dry && self.rate.grant(1, now) > 0 {
            self.list_first();
        }
    }

    fn list_first(&mut self) {
        self.dry = false;
        let queues: Vec<_> = self.slab.iter().map(|(queue, _)| queue).collect();
        for queue in queues {
            self.list(queue);
        }
    }

    /// Takes all entries that may be sent.
    pub(super) fn drain(&mut self, queue: usize) -> Lines {
        std::mem::take(&mut self.slab[queue].lines)
    }

    /// Puts entries back that were drained.
    pub(super) fn restore(&mut self, queue: usize, lines: Lines) {
        if let Some(q) = self.slab.get_mut(queue) {
            q.lines = lines;
        }
    }

    /// Whether there is something to be sent, and all of it waits for its origin's rate.
    pub(super) fn wait_for_rates(&self) -> bool {
        // Whoever waits for a rate is listed there.
        if self.paused.is_empty() {
            return false;
        }
        let mut waiting = self.slab.iter().filter(|(_, q)| !q.lines.is_empty()).peekable();
        waiting.peek().is_some() && waiting.all(|(_, q)| matches!(q.place, Place::Early { .. }))
    }

    /// Whether enough entries wait for nothing but their turn. What waits for an answer, a pause or a rate
    /// must not keep others from being read.
    pub(super) fn are_stocked(&self) -> bool {
        let mut ready = 0;
        self.ring.iter().any(|queue| {
            ready += self.slab[*queue].lines.ready();
            ready >= AHEAD
        })
    }

    pub(super) fn exists(&self, queue: usize) -> bool {
        self.slab.contains(queue)
    }

    /// A queue that is paused and has entries that do not know it yet, and its pause.
    pub(super) fn pop_paused(&mut self) -> Option<(usize, Pause)> {
        while let Some(queue) = self.stalled.pop() {
            if let Some(Queue { place: Place::Paused { until, broken }, .. }) = self.slab.get(queue) {
                return Some((queue, Pause { until: *until, broken: *broken }));
            }
        }
        None
    }

    /// Whether and why an entry of this queue has to wait.
    pub(super) fn stall(&self, queue: usize, now: Instant) -> Option<Stall> {
        let q = &self.slab[queue];
        if let Some(pause) = q.guest.origin().paused(now) {
            return Some(Stall::Paused(pause));
        }
        let silence = q.guest.origin().silence(now).map(Stall::Silent);
        if silence.is_none() && self.has_too_many(queue) {
            return Some(Stall::Rate);
        }
        // To write its entries down costs more than to wait, unless others gain by it.
        silence.or_else(|| (q.stalls(now) && self.has_company(queue)).then_some(Stall::Slow))
    }

    /// Whether more wait for their origin's rate than it takes soon, and others gain when these
    /// leave the window.
    fn has_too_many(&self, queue: usize) -> bool {
        let q = &self.slab[queue];
        let Some(meter) = q.guest.origin().meter() else { return false };
        q.lines.ready() >= meter.soon() && self.has_company(queue)
    }

    /// Whether its entries are better counted outside the window.
    pub(super) fn stalls(&self, queue: usize, now: Instant) -> bool {
        self.slab[queue].stalls(now) || self.has_too_many(queue) || self.is_stuck(queue, now)
    }

    /// Whether others answer, and this origin, which has more than it may hold, does not: it may be about to, or
    /// never.
    fn is_stuck(&self, queue: usize, now: Instant) -> bool {
        let q = &self.slab[queue];
        self.answered.is_some_and(|at| now.duration_since(at) < SILENCE)
            && q.guest.origin().unheard(now).is_some_and(|allowance| q.lines.ready() > allowance)
            && self.has_company(queue)
    }

    /// Takes those out that wait for their origin's rate, but for those that it takes soon.
    pub(super) fn drain_late(&mut self, queue: usize) -> Lines {
        let q = &mut self.slab[queue];
        let soon = q.guest.origin().meter().map_or(0, Meter::soon);
        q.lines.split_off(soon)
    }

    /// Takes every entry out.
    pub(super) fn clear(&mut self) {
        self.slab.iter_mut().for_each(|(_, q)| q.lines = Lines::default());
    }

    /// A queue that has its turn again, and why it had none.
    pub(super) fn pop_resumed(&mut self, now: Instant) -> Option<(usize, Resumed)> {
        loop {
            let &Reverse((at, queue)) = self.paused.peek()?;
            if at > now {
                return None;
            }
            self.paused.pop();
            // The queue may have gone, and its number been given to another.
            let Some(q) = self.slab.get_mut(queue) else { continue };
            let resumed = match q.place {
                Place::Paused { until, broken } if until == at => Resumed::Paused { broken },
                Place::Early { until } if until == at => Resumed::Early,
                _ => continue,
            };
            q.place = Place::Nowhere;
            self.list(queue);
            return Some((queue, resumed));
        }
    }

    /// Gives parked queues another turn: room may have been given back by another broadcast.
    /// Returns them.
    pub(super) fn look_again(&mut self, now: Instant) -> Vec<usize> {
        if self.parked_at.is_none_or(|parked| parked + LOOK_AGAIN > now) {
            return Vec::new();
        }
        self.parked_at = None;
        let mut parked = std::mem::take(&mut self.parked);
        parked.retain(|queue| self.slab.get(*queue).is_some_and(|q| q.place == Place::Parked));
        for queue in &parked {
            self.list(*queue);
        }
        parked
    }

    /// Defers the entries of a queue that stalls, so that they do not hold the window.
    pub(super) fn defer(&mut self, queue: usize, now: Instant, jobs: &mut Slab<Job>, window: &mut Window) {
        let q = &self.slab[queue];
        if q.swept.is_some_and(|swept| now < swept + SWEEP) {
            return;
        }
        if !self.stalls(queue, now) {
            return;
        }
        let q = &mut self.slab[queue];
        q.swept = Some(now);
        for key in q.lines.keys() {
            if !window.defer(&mut jobs[key]) {
                return;
            }
        }
    }

    pub(super) fn wake(&self) -> Option<Instant> {
        let paused = self.paused.peek().map(|Reverse((until, _))| *until);
        let parked = self.parked_at.map(|parked| parked + LOOK_AGAIN);
        let rate = self.rate.wake().filter(|_| self.dry);
        [paused, parked, rate].into_iter().flatten().min()
    }
}

impl Queue {
    fn new(guest: Arc<Guest>) -> Self {
        Self { guest, lines: Lines::default(), jobs: 1, place: Place::Nowhere, swept: None, sat: None }
    }

    fn id(&self) -> usize {
        Arc::as_ptr(self.guest.origin()).addr()
    }

    /// Paused, silent, or slower than its queue grows.
    fn stalls(&self, now: Instant) -> bool {
        let waited = self.lines.since().is_some_and(|since| now.duration_since(since) > SILENCE);
        // What waits for its origin's rate is sent when it is its turn.
        let waited = waited && (self.place == Place::Parked || self.guest.origin().meter().is_none());
        matches!(self.place, Place::Paused { .. }) || waited || self.guest.origin().is_silent(now)
    }
}
