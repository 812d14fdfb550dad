//! A broadcast that ends where it began: in this process.

use std::collections::VecDeque;
use std::sync::Arc;

use futures_util::future::{BoxFuture, OptionFuture};
use tokio::time::{Instant, sleep_until};
use tracing::Span;

use super::super::broadcast::kind;
use super::super::controls::{Course, Steering};
use super::super::{BroadcastError, Delivery, Hub, Publication, Tally};
use super::book::{Book, Slip};
use super::changes::Changes;
use super::pressing::Pressing;
use super::queues::AHEAD;
use super::rate::Rate;
use super::scan::{self, Scan};
use super::{Driver, Task};
use crate::sender::later;
use crate::sender::trial::Trial;
use crate::store::{Change, Page, StoreError};
use crate::{BroadcastState, Origin, Report};

/// Runs one broadcast to its end.
///
/// Everything happens where it is polled, but for the encryption and the requests. So a consumer
/// that stops polling stops new requests and loses none in flight.
pub(in crate::channel) struct Direct {
    driver: Driver<Account>,
    span: Span,
    scan: Scan,
    counting: OptionFuture<BoxFuture<'static, Result<u64, StoreError>>>,
    steering: Steering,
    /// Of reading.
    rate: Rate,
    pressing: Pressing,
    state: BroadcastState,
    failure: Option<StoreError>,
}

/// What was done, in memory.
struct Account {
    changes: Changes,
    tally: Tally,
    out: VecDeque<Delivery>,
}

impl Book for Account {
    fn attempt(&mut self, _: Slip, repeat: bool) {
        self.tally.attempt(repeat);
    }

    fn settle(&mut self, _: Slip, delivery: Delivery, origin: &Origin, changes: [Option<Change>; 2]) {
        for change in changes.into_iter().flatten() {
            self.changes.push(origin, &delivery.entry, change);
        }
        self.tally.settled(&delivery, origin);
        self.out.push_back(delivery);
    }
}

impl Direct {
    pub(in crate::channel) fn new(hub: Arc<Hub>, publication: Publication) -> Self {
        let (audience, broadcast) = publication.into_parts();
        let outer = tracing::info_span!(
            "broadcast",
            id = broadcast.id().map(tracing::field::display),
            audience = kind(&audience),
            send_within = broadcast.send_within().as_secs(),
        );
        let tally = Tally::new(broadcast.progress().cloned());
        let (progress, steering) = (broadcast.progress(), broadcast.steering());
        let counts = progress.is_some() || steering.needs_count();
        let counting = counts.then(|| scan::count(&hub.store, &audience, progress));
        let scan = Scan::new(Arc::clone(&hub.store), audience);
        let task = Task {
            message: Arc::new(broadcast.message().clone()),
            broadcast: None,
            tailoring: broadcast.tailoring().clone(),
            deadline: later(tally.started(), broadcast.send_within()),
        };
        let changes = Changes::new(Arc::clone(&hub.store), hub.removal_hook.clone());
        let account = Account { changes, tally, out: VecDeque::new() };
        let mut direct = Self {
            driver: outer.in_scope(|| Driver::new(hub, task, account)),
            span: outer,
            scan,
            counting: counting.into(),
            steering,
            rate: Rate::default(),
            pressing: Pressing::default(),
            state: BroadcastState::Running,
            failure: None,
        };
        direct.steer(Instant::now());
        direct
    }

    /// What all of it happens in, for whoever listens.
    pub(in crate::channel) fn span(&self) -> Span {
        self.span.clone()
    }

    /// The next delivery; none at the end.
    pub(in crate::channel) async fn next(&mut self) -> Option<Result<Delivery, BroadcastError>> {
        loop {
            // A store that always answers at once must not keep other tasks from running.
            tokio::task::consume_budget().await;
            if let Some(delivery) = self.driver.book.out.pop_front() {
                return Some(Ok(delivery));
            }
            if self.state != BroadcastState::Running {
                let failure = self.failure.take()?;
                return Some(Err(BroadcastError::new(failure, self.report())));
            }
            let now = Instant::now();
            if self.steering.has_changed() {
                self.steer(now);
            }
            self.driver.advance(now);
            if self.driver.timed_out {
                self.scan.stop();
            }
            self.read_on(now);
            if self.pressing.is_due(self.is_held_up(), now) {
                self.driver.press(now);
            }
            self.flush();
            self.end_if_complete();
            if self.driver.book.out.is_empty() && self.state == BroadcastState::Running {
                self.wait().await;
            }
        }
    }

    pub(in crate::channel) fn report(&self) -> Report {
        self.driver.book.tally.report(self.state)
    }

    /// Sleeps until something happened. Cancel safe: every branch keeps its future in `self`.
    async fn wait(&mut self) {
        let wake = self.wake();
        let driver = &mut self.driver;
        let changes = &mut driver.book.changes;
        tokio::select! {
            biased;
            Some(arrival) = driver.arrived.recv() => driver.arrive(arrival, Instant::now()),
            read = self.scan.next(), if self.scan.is_busy() => self.read(read),
            applied = changes.next(), if changes.is_busy() => self.applied(applied),
            Some(count) = &mut self.counting => self.counted(count),
            () = self.steering.changed() => {}
            // Another broadcast of the hub gave a request back.
            () = driver.share.room(), if driver.gate_closed => {}
            () = sleep_until(wake), if !driver.timed_out => {}
        }
    }

    fn wake(&self) -> Instant {
        let driver = &self.driver;
        let reading = self.wants_page().and_then(|_| self.rate.wake());
        let wakes = [driver.wake(), reading, self.pressing.wake()];
        wakes.into_iter().flatten().fold(driver.deadline, Instant::min)
    }

    /// Does as it is told.
    fn steer(&mut self, now: Instant) {
        let Course { paused, pace } = self.steering.course();
        self.driver.queues.pause(paused);
        self.driver.set_pace(pace, now);
        self.rate.set(pace, now);
    }

    fn counted(&mut self, count: Result<u64, StoreError>) {
        self.counting = None.into();
        match count {
            Ok(audience) => {
                self.steering.counted(audience);
                self.steer(Instant::now());
            }
            Err(error) if self.steering.needs_count() => self.fail(error),
            Err(_) => {}
        }
    }

    /// Asks for the next page, when there is room for a good part of one and the rate allows it.
    /// Where the audience ends is settled at once.
    fn read_on(&mut self, now: Instant) {
        if self.failure.is_none() && self.scan.is_unsplit() {
            self.scan.read_on(1);
        } else if let Some(room) = self.wants_page() {
            self.scan.read_on(self.rate.grant(room, now));
        }
    }

    /// How many entries there is room for, where any are wanted.
    fn wants_page(&self) -> Option<usize> {
        let window = &self.driver.window;
        let enough = window.missing() == 0 || self.driver.jobs.is_empty();
        (self.reads() && enough).then_some(window.room().min(AHEAD))
    }

    /// Whether entries would be read if there was room.
    fn reads(&self) -> bool {
        self.scan.is_idle()
            && self.failure.is_none()
            && !self.driver.queues.is_paused()
            && !self.driver.queues.are_stocked()
            && self.driver.book.out.len() < self.driver.window.size()
    }

    /// Whether reading waits for room.
    fn is_held_up(&self) -> bool {
        self.reads() && self.wants_page().is_none()
    }

    fn read(&mut self, page: Result<Page, StoreError>) {
        match page {
            Ok(Page { mut entries, .. }) => {
                self.rate.take(entries.len());
                self.driver.book.tally.read(entries.len());
                // S-22: the order tells a push service nothing.
                self.driver.rng.shuffle(&mut entries);
                let now = Instant::now();
                for entry in entries {
                    self.driver.admit(entry, Trial::default(), Slip::default(), now);
                }
            }
            Err(error) => self.fail(error),
        }
    }

    fn flush(&mut self) {
        let last = self.driver.jobs.is_empty() && self.scan.is_done();
        let Account { changes, tally, .. } = &mut self.driver.book;
        changes.flush(last || self.failure.is_some(), tally);
    }

    fn applied(&mut self, applied: Result<u64, StoreError>) {
        match applied {
            Ok(pruned) => self.driver.book.tally.pruned(pruned),
            Err(error) => self.fail(error),
        }
    }

    /// The store failed: nothing new starts, what is on its way lands.
    fn fail(&mut self, error: StoreError) {
        self.scan.stop();
        self.driver.halted = true;
        self.failure.get_or_insert(error);
    }

    fn end_if_complete(&mut self) {
        let settled = match self.failure {
            Some(_) => self.driver.aloft == 0 || self.driver.timed_out,
            None => self.driver.jobs.is_empty() && self.scan.is_done(),
        };
        let changes = &self.driver.book.changes;
        if settled && !changes.is_busy() && changes.is_empty() {
            self.state = match self.failure {
                Some(_) => BroadcastState::Failed,
                None if self.scan.is_exhausted() => BroadcastState::Finished,
                None => BroadcastState::TimedOut,
            };
            self.driver.run.ended(self.state);
        }
    }
}
