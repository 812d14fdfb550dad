//! Sends a broadcast: takes entries in, encrypts, sends, settles.
//!
//! Everything happens where the driver is polled, but for the encryption (threads of the hub) and
//! the requests (tasks of a `JoinSet` that the driver owns), each of which begins by waiting for
//! its encryption. What has a place in the hub's limits goes on without being polled and gives it
//! back, and dropping the driver stops everything.

mod book;
mod budget;
mod changes;
mod direct;
mod flight;
mod holds;
mod job;
mod ledger;
mod passing;
mod patience;
mod pressing;
mod queues;
mod rate;
mod removals;
mod scan;
mod session;
mod window;
mod writer;

use std::sync::Arc;
use std::time::Duration;

use slab::Slab;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

pub(super) use self::direct::Direct;
pub(super) use self::ledger::Retries;
pub(super) use self::patience::patiently;
pub(super) use self::session::{Call, Ended, Session, Terms};

use self::book::{Book, Slip};
use self::flight::{Arrival, Landed};
use self::holds::Holds;
use self::job::{Fare, Job};
use self::queues::Queues;
use self::window::Window;
use super::content::{Content, Tailoring};
use super::encryption::Unsent;
use super::gate::Share;
use super::{Delivery, Hub};
use crate::sender::trial::{self, Settled, Step, Trial};
use crate::sender::{self, Pace, Snapshot, later};
use crate::store::Entry;
use crate::telemetry::{Mode, Run};
use crate::{BroadcastId, Message, Origin, Outcome, SkipReason};

/// What is to be sent.
struct Task {
    message: Arc<Message>,
    /// Its repeats replace each other, where the message has no collapse key.
    broadcast: Option<BroadcastId>,
    tailoring: Tailoring,
    deadline: Instant,
}

/// An entry whose next try is later than this does not hold the window.
const SOON: Duration = Duration::from_millis(250);

struct Driver<B> {
    hub: Arc<Hub>,
    message: Arc<Message>,
    content: Arc<Content>,
    deadline: Instant,
    book: B,
    jobs: Slab<Job>,
    queues: Queues,
    /// Entries that wait for a signer.
    holds: Holds,
    keyring: Snapshot,
    window: Window,
    /// Batches in the encryption.
    encrypting: usize,
    /// Entries that boarded and have not come back.
    aloft: usize,
    run: Run,
    flights: JoinSet<()>,
    arrivals: mpsc::UnboundedSender<Arrival>,
    /// Bounded by the places: what boarded holds one until it comes back.
    arrived: mpsc::UnboundedReceiver<Arrival>,
    share: Share,
    /// The hub's requests, or this broadcast's share of them, are used up.
    gate_closed: bool,
    rng: fastrand::Rng,
    /// No request starts any more.
    halted: bool,
    timed_out: bool,
}

impl<B: Book> Driver<B> {
    fn new(hub: Arc<Hub>, Task { message, broadcast, tailoring, deadline }: Task, mut book: B) -> Self {
        let durable = book.ledger().is_some();
        let deferred = if durable { usize::MAX } else { hub.limits.deferred };
        let core = hub.sender.core();
        let (arrivals, arrived) = mpsc::unbounded_channel();
        Self {
            content: Arc::new(Content::new(core, Arc::clone(&message), broadcast, tailoring)),
            deadline,
            book,
            jobs: Slab::new(),
            queues: Queues::default(),
            holds: Holds::default(),
            keyring: core.keyrings.snapshot(),
            window: Window::new(&hub.limits, deferred),
            encrypting: 0,
            aloft: 0,
            run: Run::begin(&core.instruments, if durable { Mode::Durable } else { Mode::Direct }),
            flights: JoinSet::new(),
            arrivals,
            arrived,
            share: hub.gate.join(),
            gate_closed: false,
            rng: core.fork_rng(),
            halted: false,
            timed_out: false,
            message,
            hub,
        }
    }

    /// Does what can be done now.
    fn advance(&mut self, now: Instant) {
        if self.keyring.refresh(&self.hub.sender.core().keyrings) {
            self.release_holds(now);
        }
        while let Ok(arrival) = self.arrived.try_recv() {
            self.arrive(arrival, now);
        }
        while self.flights.try_join_next().is_some() {}
        self.tick(now);
        self.pump(now);
        self.run.deferred(self.window.deferred());
    }

    /// Limits the rate of first attempts, or no more.
    fn set_pace(&mut self, pace: Option<Pace>, now: Instant) {
        let jobs = &self.jobs;
        self.queues.set_pace(pace, |key| jobs[key].trial.first.is_none(), now);
    }

    /// When the time brings something.
    fn wake(&self) -> Option<Instant> {
        [self.window.wake(), self.queues.wake(), self.holds.wake()].into_iter().flatten().min()
    }

    /// Takes an entry in, or settles it at once.
    fn admit(&mut self, entry: Entry, mut trial: Trial, slip: Slip, now: Instant) {
        let core = self.hub.sender.core();
        if let Some(mut settled) = self.refusal(&entry) {
            // What may have arrived was not left out.
            if trial.unconfirmed {
                settled.outcome = Outcome::Unconfirmed;
            }
            return self.settle_unsent(entry, &trial, slip, settled, now);
        }
        if let Some(settled) = trial.exhausted(core) {
            return self.settle_unsent(entry, &trial, slip, settled, now);
        }
        let queue = self.queues.enter(entry.subscription.endpoint(), &core.origins);
        let key = self.jobs.insert(Job::new(entry, trial, slip, queue));
        self.window.enter();
        if self.ready(key, now) {
            self.window.defer(&mut self.jobs[key]);
            self.queues.defer(queue, now, &mut self.jobs, &mut self.window);
        }
    }

    /// The end of an entry that cannot be sent, whatever its push service says.
    fn refusal(&self, entry: &Entry) -> Option<Settled> {
        if let Some(outcome) = self.content.leaves_out(entry) {
            return Some(Settled::new(outcome));
        }
        let (core, keyring) = (self.hub.sender.core(), self.keyring.keyring());
        trial::refusal(core, keyring, &entry.subscription, entry.key, entry.needs_renewal)
            .or_else(|| self.content.refusal(core, entry).map(Settled::new))
    }

    /// An entry may be sent. Returns whether its origin stalls, so that it is better counted
    /// outside the window; where there is a ledger, it is written down there instead.
    fn ready(&mut self, key: usize, now: Instant) -> bool {
        let queue = self.jobs[key].queue;
        if self.book.ledger().is_some() {
            if self.halted {
                self.set_aside(key, now, now);
                return false;
            }
            if let Some(stall) = self.queues.stall(queue, now) {
                self.put_off(key, stall, now);
                return false;
            }
        }
        let first = self.jobs[key].trial.first.is_none();
        self.queues.push(queue, key, first, now);
        self.book.ledger().is_none() && self.queues.stalls(queue, now)
    }

    fn arrive(&mut self, arrival: Arrival, now: Instant) {
        match arrival {
            Arrival::Encrypted => self.encrypting -= 1,
            Arrival::Signed { hold, result } => self.signed(hold, result, now),
            Arrival::Landed(landed) => {
                self.aloft -= 1;
                self.land(landed, now);
            }
        }
    }

    /// An entry came back. Unless the deadline was faster, it is waited for.
    fn land(&mut self, Landed { key, flown }: Landed, now: Instant) {
        let Some(job) = self.jobs.get_mut(key) else { return };
        self.window.landed(job);
        let begun = std::mem::take(&mut job.begun);
        if let Ok(flown) = &flown {
            job.fare = Fare::Open;
            if flown.result.is_ok() {
                self.queues.answered(now);
            }
        }
        let flown = match flown {
            Ok(flown) => flown,
            Err(unsent) => return self.stay(key, &unsent, now),
        };
        if !begun {
            let repeat = job.trial.begin(flown.started);
            self.book.attempt(job.slip, repeat);
        }
        let origin = self.queues.origin(job.queue);
        let has_topic = self.message.collapse_key().is_some() || self.content.broadcast.is_some();
        let step = job.judge(self.hub.sender.core(), self.keyring.keyring(), &origin, has_topic, flown, now);
        self.queues.list(job.queue);
        match step {
            Step::Settle(settled) => self.settle(key, settled, now),
            Step::Again(wait) => self.retry(key, later(now, wait), now),
        }
    }

    /// There is no request for an entry that had a place.
    fn stay(&mut self, key: usize, unsent: &Unsent, now: Instant) {
        let trial = &mut self.jobs[key].trial;
        let settled = match unsent {
            Unsent::TooLarge { has_fallback: true } => {
                trial.refused = true;
                return self.retry(key, now, now);
            }
            Unsent::TooLarge { has_fallback: false } => trial.settle(Outcome::TooLarge),
            Unsent::Filtered => trial.settle(Outcome::Skipped(SkipReason::Filtered)),
            Unsent::Engine(_) | Unsent::Panicked => trial.engine_failed(),
        };
        self.settle(key, settled, now);
    }

    fn retry(&mut self, key: usize, due: Instant, now: Instant) {
        let job = &mut self.jobs[key];
        if due >= self.deadline || job.trial.ttl_left(self.message.ttl(), due).is_none() {
            let settled = job.trial.expire();
            return self.settle(key, settled, now);
        }
        let wait = due.duration_since(now);
        if let Some(settled) = job.trial.outlived(self.hub.sender.core(), &job.entry.subscription, wait) {
            return self.settle(key, settled, now);
        }
        let soon = wait <= SOON;
        if self.book.ledger().is_some() && (job.deferred || self.halted || !soon) {
            return self.set_aside(key, due, now);
        }
        if due <= now {
            self.ready(key, now);
            return;
        }
        self.window.wait_until(key, due);
        if !soon {
            self.window.defer(job);
        }
    }

    fn settle(&mut self, key: usize, settled: Settled, now: Instant) {
        let job = self.jobs.remove(key);
        self.window.leave(&job);
        let origin = self.queues.origin(job.queue);
        self.pay_back(&job, now);
        self.queues.leave(job.queue);
        let elapsed = job.trial.first.map(|first| now.duration_since(first)).unwrap_or_default();
        sender::tell(origin.service(), &job.entry.subscription, settled.outcome.kind(), job.trial.attempts);
        self.delivered(origin.origin(), &settled);
        let changes = settled.changes();
        let detail = settled.detail.map(|detail| *detail);
        let delivery = Delivery::new(job.entry, settled.outcome, detail, job.trial.attempts, elapsed);
        self.book.settle(job.slip, delivery, origin.origin(), changes);
    }

    fn settle_unsent(&mut self, entry: Entry, trial: &Trial, slip: Slip, settled: Settled, now: Instant) {
        let origin = entry.subscription.endpoint().origin();
        let elapsed = trial.first.map(|first| now.duration_since(first)).unwrap_or_default();
        let service = self.hub.sender.core().instruments.of(entry.subscription.endpoint().vendor());
        sender::tell(service, &entry.subscription, settled.outcome.kind(), trial.attempts);
        self.delivered(&origin, &settled);
        let changes = settled.changes();
        let delivery = Delivery::new(entry, settled.outcome, None, trial.attempts, elapsed);
        self.book.settle(slip, delivery, &origin, changes);
    }

    /// Whoever judges removals knows of all outcomes.
    fn delivered(&self, origin: &Origin, settled: &Settled) {
        if let Some(hook) = &self.hub.removal_hook {
            hook.delivered(origin, settled.outcome.kind());
        }
    }
}
