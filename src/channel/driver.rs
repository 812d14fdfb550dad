//! Runs one broadcast: reads entries, encrypts, sends, settles.
//!
//! Everything happens where the stream is polled, but for the encryption (threads of the hub) and
//! the requests (tasks of a `JoinSet` that the driver owns), each of which begins by waiting for
//! its encryption. So a consumer that stops polling stops new requests and loses none in flight,
//! what has a place in the hub's limits goes on and gives it back, and dropping the driver stops
//! everything.

mod changes;
mod flight;
mod job;
mod patience;
mod queues;
mod scan;
mod window;

use std::collections::VecDeque;
use std::sync::Arc;

use futures_util::future::{BoxFuture, OptionFuture};
use slab::Slab;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use self::changes::Changes;
use self::flight::{Arrival, Landed};
use self::job::Job;
use self::queues::Queues;
use self::scan::Scan;
use self::window::Window;
use super::gate::Share;
use super::{BroadcastError, Delivery, Hub, Publication, Tally};
use crate::engine::encryption::Plaintext;
use crate::sender::trial::{self, Settled, Step};
use crate::sender::{self, later};
use crate::store::{Coding, Entry, StoreError};
use crate::{BroadcastState, Message, Outcome, Report, SkipReason};

pub(super) struct Driver {
    hub: Arc<Hub>,
    message: Arc<Message>,
    /// None: too large for everybody.
    plaintext: Option<Plaintext>,
    deadline: Instant,
    scan: Scan,
    counting: OptionFuture<BoxFuture<'static, ()>>,
    jobs: Slab<Job>,
    queues: Queues,
    window: Window,
    /// Batches in the encryption.
    encrypting: usize,
    /// Entries that boarded and have not come back.
    aloft: usize,
    flights: JoinSet<()>,
    arrivals: mpsc::UnboundedSender<Arrival>,
    /// Bounded by the places: what boarded holds one until it comes back.
    arrived: mpsc::UnboundedReceiver<Arrival>,
    share: Share,
    /// The hub's requests, or this broadcast's share of them, are used up.
    gate_closed: bool,
    changes: Changes,
    tally: Tally,
    out: VecDeque<Delivery>,
    rng: fastrand::Rng,
    state: BroadcastState,
    timed_out: bool,
    failure: Option<StoreError>,
}

impl Driver {
    pub(super) fn new(hub: Arc<Hub>, publication: Publication) -> Self {
        let (audience, broadcast) = publication.into_parts();
        let core = hub.sender.core();
        let message = Arc::new(broadcast.message().clone());
        let tally = Tally::new(broadcast.progress().cloned());
        let (arrivals, arrived) = mpsc::unbounded_channel();
        let counting = broadcast.progress().map(|progress| scan::count(&hub.store, &audience, progress));
        Self {
            plaintext: sender::plaintext(core, &message, None),
            deadline: later(tally.started(), broadcast.send_within()),
            scan: Scan::new(Arc::clone(&hub.store), audience),
            counting: counting.into(),
            jobs: Slab::new(),
            queues: Queues::default(),
            window: Window::new(&hub.limits),
            encrypting: 0,
            aloft: 0,
            flights: JoinSet::new(),
            arrivals,
            arrived,
            share: hub.gate.join(),
            gate_closed: false,
            changes: Changes::new(Arc::clone(&hub.store), hub.removal_hook.clone()),
            tally,
            out: VecDeque::new(),
            rng: core.fork_rng(),
            state: BroadcastState::Running,
            timed_out: false,
            failure: None,
            message,
            hub,
        }
    }

    /// The next delivery; none at the end.
    pub(super) async fn next(&mut self) -> Option<Result<Delivery, BroadcastError>> {
        loop {
            // A store that always answers at once must not keep other tasks from running.
            tokio::task::consume_budget().await;
            if let Some(delivery) = self.out.pop_front() {
                return Some(Ok(delivery));
            }
            if self.state != BroadcastState::Running {
                let failure = self.failure.take()?;
                return Some(Err(BroadcastError::new(failure, self.report())));
            }
            let now = Instant::now();
            while let Ok(arrival) = self.arrived.try_recv() {
                self.arrive(arrival, now);
            }
            while self.flights.try_join_next().is_some() {}
            self.tick(now);
            self.pump(now);
            self.read_on();
            self.flush();
            self.end_if_complete();
            if self.out.is_empty() && self.state == BroadcastState::Running {
                self.wait().await;
            }
        }
    }

    pub(super) fn report(&self) -> Report {
        self.tally.report(self.state)
    }

    /// Sleeps until something happened. Cancel safe: every branch keeps its future in `self`.
    async fn wait(&mut self) {
        let wake = self.wake();
        tokio::select! {
            biased;
            Some(arrival) = self.arrived.recv() => self.arrive(arrival, Instant::now()),
            read = self.scan.next(), if self.scan.is_busy() => self.read(read),
            applied = self.changes.next(), if self.changes.is_busy() => self.applied(applied),
            Some(()) = &mut self.counting => self.counting = None.into(),
            // Another broadcast of the hub gave a request back.
            () = self.share.room(), if self.gate_closed => {}
            () = sleep_until(wake), if !self.timed_out => {}
        }
    }

    fn wake(&self) -> Instant {
        let wakes = [self.window.wake(), self.queues.wake()];
        wakes.into_iter().flatten().fold(self.deadline, Instant::min)
    }

    /// Asks for the next page when there is room for a good part of one.
    fn read_on(&mut self) {
        let room = self.window.room();
        let enough = room >= self.window.size().min(MIN_PAGE) || self.jobs.is_empty();
        if self.failure.is_none() && enough && self.out.len() < self.window.size() {
            self.scan.read_on(room);
        }
    }

    fn read(&mut self, entries: Result<Vec<Entry>, StoreError>) {
        match entries {
            Ok(mut entries) => {
                self.tally.read(entries.len());
                // S-22: the order tells a push service nothing.
                self.rng.shuffle(&mut entries);
                let now = Instant::now();
                for entry in entries {
                    self.admit(entry, now);
                }
            }
            Err(error) => self.fail(error),
        }
    }

    /// Takes an entry in, or settles it at once.
    fn admit(&mut self, entry: Entry, now: Instant) {
        let core = self.hub.sender.core();
        if let Some(outcome) = trial::refusal(core, &entry.subscription, entry.key, entry.needs_renewal) {
            return self.settle_unsent(entry, outcome);
        }
        if entry.coding != Coding::Aes128Gcm {
            return self.settle_unsent(entry, Outcome::Skipped(SkipReason::Coding));
        }
        let limit = entry.payload_limit.map_or(usize::MAX, usize::from);
        if self.plaintext.is_none() || self.least_body_len() > limit {
            return self.settle_unsent(entry, Outcome::TooLarge);
        }
        let queue = self.queues.enter(entry.subscription.endpoint(), &core.origins);
        let key = self.jobs.insert(Job::new(entry, queue));
        self.window.enter();
        if self.queues.push(queue, key, now) {
            self.window.defer(&mut self.jobs[key]);
        }
    }

    /// The octets of the shortest body, unpadded.
    fn least_body_len(&self) -> usize {
        let payload = self.message.payload();
        if payload.is_empty() { 0 } else { payload.len() + Plaintext::OVERHEAD }
    }

    fn arrive(&mut self, arrival: Arrival, now: Instant) {
        match arrival {
            Arrival::Encrypted => self.encrypting -= 1,
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
        let Some(flown) = flown else {
            let settled = job.trial.engine_failed();
            return self.settle(key, settled, now);
        };
        job.trial.begin(flown.started);
        self.tally.attempt();
        let origin = self.queues.origin(job.queue);
        let has_topic = self.message.collapse_key().is_some();
        let step = job.judge(self.hub.sender.core(), &origin, has_topic, flown, now);
        self.queues.list(job.queue);
        match step {
            Step::Settle(settled) => self.settle(key, settled, now),
            Step::Again(wait) => self.retry(key, later(now, wait), now),
        }
    }

    fn retry(&mut self, key: usize, due: Instant, now: Instant) {
        let job = &mut self.jobs[key];
        if due >= self.deadline || job.trial.ttl_left(self.message.ttl(), due).is_none() {
            let settled = job.trial.settle(Outcome::Expired);
            self.settle(key, settled, now);
        } else if due <= now {
            self.queues.push(job.queue, key, now);
        } else {
            self.window.wait_until(key, job, due, now);
        }
    }

    /// What the time has brought.
    fn tick(&mut self, now: Instant) {
        if self.timed_out {
            return;
        }
        if now >= self.deadline {
            return self.time_out(now);
        }
        while let Some(key) = self.window.pop_due(now) {
            self.queues.push(self.jobs[key].queue, key, now);
        }
        while let Some((key, flight)) = self.window.pop_slow(now) {
            let Some(job) = self.jobs.get_mut(key).filter(|job| job.flight == Some(flight)) else { continue };
            self.window.overdue(job);
            self.queues.defer(job.queue, now, &mut self.jobs, &mut self.window);
        }
        while let Some((queue, broken)) = self.queues.pop_resumed(now) {
            if broken {
                self.sit_through(queue, now);
            }
        }
        self.queues.look_again(now);
    }

    /// A broken origin's pause ended: each of its entries has used up a try.
    fn sit_through(&mut self, queue: usize, now: Instant) {
        let mut kept = Vec::new();
        for (key, since) in self.queues.drain(queue) {
            match self.jobs[key].trial.sat_through(self.hub.sender.core()) {
                Some(settled) => self.settle(key, settled, now),
                None => kept.push((key, since)),
            }
        }
        self.queues.restore(queue, kept);
    }

    /// The deadline: what is in flight may have arrived, the rest was not sent.
    fn time_out(&mut self, now: Instant) {
        self.timed_out = true;
        self.flights.abort_all();
        let keys: Vec<_> = self.jobs.iter().map(|(key, _)| key).collect();
        for key in keys {
            let job = &mut self.jobs[key];
            let outcome = match job.sent() {
                Some(started) => {
                    job.trial.begin(started);
                    self.tally.attempt();
                    Outcome::Unconfirmed
                }
                None => Outcome::Expired,
            };
            let settled = job.trial.settle(outcome);
            self.settle(key, settled, now);
        }
        self.scan.stop();
        self.queues = Queues::default();
    }

    fn settle(&mut self, key: usize, settled: Settled, now: Instant) {
        let job = self.jobs.remove(key);
        self.window.leave(&job);
        let origin = self.queues.origin(job.queue);
        self.queues.leave(job.queue);
        if let Some(change) = settled.change {
            self.changes.push(origin.origin(), &job.entry, change);
        }
        let elapsed = job.trial.first.map(|first| now.duration_since(first)).unwrap_or_default();
        let detail = settled.detail.map(|detail| *detail);
        let delivery = Delivery::new(job.entry, settled.outcome, detail, job.trial.attempts, elapsed);
        self.tally.settled(&delivery, origin.origin());
        self.out.push_back(delivery);
    }

    fn settle_unsent(&mut self, entry: Entry, outcome: Outcome) {
        let origin = entry.subscription.endpoint().origin();
        let delivery = Delivery::new(entry, outcome, None, 0, std::time::Duration::ZERO);
        self.tally.settled(&delivery, &origin);
        self.out.push_back(delivery);
    }

    fn flush(&mut self) {
        let last = self.jobs.is_empty() && self.scan.is_done();
        self.changes.flush(last || self.failure.is_some(), &mut self.tally);
    }

    fn applied(&mut self, applied: Result<u64, StoreError>) {
        match applied {
            Ok(pruned) => self.tally.pruned(pruned),
            Err(error) => self.fail(error),
        }
    }

    /// The store failed: nothing new starts, what is on its way lands.
    fn fail(&mut self, error: StoreError) {
        self.scan.stop();
        self.failure.get_or_insert(error);
    }

    fn end_if_complete(&mut self) {
        let settled = match self.failure {
            Some(_) => self.aloft == 0 || self.timed_out,
            None => self.jobs.is_empty() && self.scan.is_done(),
        };
        if settled && !self.changes.is_busy() && self.changes.is_empty() {
            self.state = match self.failure {
                Some(_) => BroadcastState::Failed,
                None if self.scan.is_exhausted() => BroadcastState::Finished,
                None => BroadcastState::TimedOut,
            };
        }
    }
}

/// Smaller pages cost more than they give.
const MIN_PAGE: usize = 512;
