//! A broadcast that ends where it began: in this process.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{BoxFuture, OptionFuture};
use tokio::time::{Instant, sleep_until};

use super::super::{BroadcastError, Delivery, Hub, Publication, Tally};
use super::book::{Book, Slip};
use super::changes::Changes;
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
    scan: Scan,
    counting: OptionFuture<BoxFuture<'static, ()>>,
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
    const SOON: Duration = Duration::from_secs(5);

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
        let tally = Tally::new(broadcast.progress().cloned());
        let counting = broadcast.progress().map(|progress| scan::count(&hub.store, &audience, progress));
        let scan = Scan::new(Arc::clone(&hub.store), audience);
        let task = Task {
            message: Arc::new(broadcast.message().clone()),
            broadcast: None,
            tailoring: broadcast.tailoring().clone(),
            deadline: later(tally.started(), broadcast.send_within()),
        };
        let changes = Changes::new(Arc::clone(&hub.store), hub.removal_hook.clone());
        let account = Account { changes, tally, out: VecDeque::new() };
        Self {
            driver: Driver::new(hub, task, account),
            scan,
            counting: counting.into(),
            state: BroadcastState::Running,
            failure: None,
        }
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
            self.driver.advance(Instant::now());
            if self.driver.timed_out {
                self.scan.stop();
            }
            self.read_on();
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
        let driver = &mut self.driver;
        let wake = driver.wake().map_or(driver.deadline, |wake| wake.min(driver.deadline));
        let changes = &mut driver.book.changes;
        tokio::select! {
            biased;
            Some(arrival) = driver.arrived.recv() => driver.arrive(arrival, Instant::now()),
            read = self.scan.next(), if self.scan.is_busy() => self.read(read),
            applied = changes.next(), if changes.is_busy() => self.applied(applied),
            Some(()) = &mut self.counting => self.counting = None.into(),
            // Another broadcast of the hub gave a request back.
            () = driver.share.room(), if driver.gate_closed => {}
            () = sleep_until(wake), if !driver.timed_out => {}
        }
    }

    /// Asks for the next page when there is room for a good part of one.
    fn read_on(&mut self) {
        let window = &self.driver.window;
        let (room, size) = (window.room(), window.size());
        let enough = room >= size.min(MIN_PAGE) || self.driver.jobs.is_empty();
        if self.failure.is_none() && enough && self.driver.book.out.len() < size {
            self.scan.read_on(room);
        }
    }

    fn read(&mut self, page: Result<Page, StoreError>) {
        match page {
            Ok(Page { mut entries, .. }) => {
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
        }
    }
}

/// Smaller pages cost more than they give.
const MIN_PAGE: usize = 512;
