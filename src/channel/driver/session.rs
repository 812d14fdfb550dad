//! Runs one lease to its end: a range, or a batch of retries.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::{Instant, sleep, sleep_until};

use super::super::Hub;
use super::super::content::Tailoring;
use super::book::Slip;
use super::ledger::{Ledger, Retries};
use super::rate::Rate;
use super::scan::Scan;
use super::writer::{Answer, Writer};
use super::{Driver, Task};
use crate::sender::trial::Trial;
use crate::sender::{Pace, later};
use crate::store::journal::{Control, Due, Journal, JournalError, JournalErrorKind, Lease, State, Work};
use crate::store::{Page, StoreError, SubscriptionStore};
use crate::telemetry::LeaseEnd;
use crate::{BroadcastState, Outcome, SkipReason};

/// How long answers are waited for when nothing else is left to do; then they stay deferred.
const LANDING: Duration = Duration::from_secs(30);

/// For the last checkpoint, and for giving the lease back, after the grace.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// What all leases of a worker have in common.
#[derive(Clone, Debug)]
pub(in crate::channel) struct Terms {
    pub(in crate::channel) hub: Arc<Hub>,
    pub(in crate::channel) journal: Arc<dyn Journal>,
    pub(in crate::channel) retries: Arc<Retries>,
    pub(in crate::channel) term: Duration,
    /// How long a lease may go on after the shutdown.
    pub(in crate::channel) grace: Duration,
}

/// What a worker asks of all its leases.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::channel) enum Call {
    GoOn,
    /// There are as many as may be: those that only wait, and have their lease for a term, give it
    /// back, so that other broadcasts have their turn.
    MakeRoom,
    /// The shutdown.
    End,
}

/// How a lease ended.
#[derive(Debug)]
pub(in crate::channel) enum Ended {
    /// Everything was done.
    Done,
    /// It was given back before the end, as it was asked to be.
    Released,
    /// Its broadcast was aborted.
    Aborted,
    /// It is another worker's, or may be.
    Lost,
    /// The journal failed.
    Failed(JournalError),
}

impl Ended {
    /// The same as a word.
    pub(in crate::channel) const fn kind(&self) -> LeaseEnd {
        match self {
            Self::Aborted => LeaseEnd::Aborted,
            Self::Done => LeaseEnd::Done,
            Self::Failed(_) => LeaseEnd::Failed,
            Self::Lost => LeaseEnd::Lost,
            Self::Released => LeaseEnd::Released,
        }
    }
}

/// Whether the work is done with a checkpoint.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Through {
    No,
    /// But for answers to what was deferred.
    Awaiting,
    Yes,
}

pub(in crate::channel) struct Session {
    driver: Driver<Ledger>,
    scan: Scan,
    writer: Writer,
    rate: Rate,
    /// The most that one page has.
    page: usize,
    window: usize,
    grace: Duration,
    calls: watch::Receiver<Call>,
    /// The shutdown was not heard of yet, and may come.
    listening: bool,
    /// It keeps its lease until then, whoever needs room.
    stays: Instant,
    /// It ends before its work does, at this moment at the latest.
    closing: Option<Instant>,
    /// The store that the range is in failed.
    failure: Option<StoreError>,
    /// Nothing but late answers is waited for, and no longer than this.
    landing: Option<Instant>,
    /// A checkpoint said that the work is done, but for these answers.
    awaiting: bool,
    abandoned: bool,
    /// Its place among the worker's leases, until it only waits: for late answers, because silent
    /// push services must not take all places, or for a rate.
    seat: Option<OwnedSemaphorePermit>,
}

impl Session {
    /// `asked` is when the lease was asked for.
    pub(in crate::channel) fn new(
        terms: &Terms,
        lease: Lease,
        asked: Instant,
        calls: watch::Receiver<Call>,
        seat: OwnedSemaphorePermit,
    ) -> Self {
        let Lease { token, broadcast, age, send_within_left, control, work, .. } = lease;
        let instruments = &terms.hub.sender.core().instruments;
        let task = Task {
            message: Arc::new(broadcast.message.clone()),
            broadcast: Some(broadcast.id.clone()),
            tailoring: Tailoring::default(),
            deadline: later(asked, send_within_left),
        };
        let store: Arc<dyn SubscriptionStore> = Arc::<dyn Journal>::clone(&terms.journal);
        let audience = broadcast.audience.clone();
        let (scan, due) = match work {
            Work::Range { range, after } => (Scan::resume(store, audience, range, after), Vec::new()),
            Work::Retries(due) => (Scan::nothing(store, audience), due),
        };
        let window = terms.hub.limits.window.max(1);
        let ledger = Ledger::new(Arc::clone(&terms.retries), broadcast.message.ttl().as_duration());
        let now = Instant::now();
        let mut session = Self {
            driver: Driver::new(Arc::clone(&terms.hub), task, ledger),
            scan,
            writer: Writer::new(Arc::clone(&terms.journal), instruments, token, terms.term, asked),
            rate: Rate::default(),
            page: (window / 4).clamp(1, 1000),
            window,
            grace: terms.grace,
            calls,
            listening: true,
            stays: later(now, terms.term),
            closing: None,
            failure: None,
            landing: None,
            awaiting: false,
            abandoned: false,
            seat: Some(seat),
        };
        session.driver.run.age(age);
        session.resume(due, now);
        session.obey(control, now);
        session
    }

    /// Runs it to its end. After a shutdown a journal that cannot be reached holds nobody up for
    /// longer than the grace and a moment.
    pub(in crate::channel) async fn run(self) -> Ended {
        let (mut calls, wait) = (self.calls.clone(), self.grace + LAST_WORDS);
        let overdue = async move {
            let asked = calls.wait_for(|call| *call == Call::End).await.is_ok();
            // Else the worker is gone, and this task with it in a moment.
            if asked { sleep(wait).await } else { pending().await }
        };
        tokio::select! {
            biased;
            ended = self.work() => ended,
            () = overdue => Ended::Lost,
        }
    }

    async fn work(mut self) -> Ended {
        loop {
            // A store that always answers at once must not keep other tasks from running.
            tokio::task::consume_budget().await;
            let now = Instant::now();
            // After a stall of this process, too.
            if self.writer.has_expired(now) {
                return Ended::Lost;
            }
            self.heed(now);
            self.driver.advance(now);
            if self.driver.timed_out {
                self.scan.stop();
            }
            self.give_up_waiting(now);
            self.read_on(now);
            self.leave_seat();
            if !self.writer.is_busy() && self.is_over(now) {
                return self.last().await;
            }
            self.await_answers(now);
            self.write_on(now);
            if let Some(ended) = self.wait().await {
                return ended;
            }
        }
    }

    /// Takes the retries of a batch in.
    fn resume(&mut self, due: Vec<Due>, now: Instant) {
        let ttl = self.driver.message.ttl();
        for mut due in due {
            let slip = Slip { retry: Some(due.retry), ..Slip::default() };
            if let Some(entry) = due.entry.take() {
                let trial = Trial::resumed(due.tried, ttl, due.ttl_left, now);
                self.driver.admit(entry, trial, slip, now);
            } else {
                let outcome = Outcome::Skipped(SkipReason::Removed).kind();
                self.driver.hub.sender.core().instruments.of_label(&due.origin).delivered(outcome);
                self.driver.book.settle_removed(due, outcome);
            }
        }
    }

    /// Does as the journal says.
    fn obey(&mut self, control: Control, now: Instant) {
        let pace = control.per_minute.map(Pace::per_minute);
        self.rate.set(pace, now);
        self.driver.set_pace(pace, now);
        if pace.is_some() {
            // It may take hours: others are not to wait for its place.
            self.seat = None;
        }
        if control.paused {
            self.close(now + LANDING, now);
        }
    }

    /// Does as the worker says.
    fn heed(&mut self, now: Instant) {
        let call = *self.calls.borrow_and_update();
        if self.listening && call == Call::End {
            self.listening = false;
            self.close(later(now, self.grace), now);
        }
        if self.may_give_way() && now >= self.stays && call == Call::MakeRoom {
            self.close(later(now, LANDING), now);
        }
    }

    /// Whether it only waits.
    const fn may_give_way(&self) -> bool {
        self.seat.is_none() && self.closing.is_none()
    }

    /// Where all of the window waits for a push service's rate, that may take hours, too.
    fn leave_seat(&mut self) {
        if self.seat.is_some() && !self.may_read() && self.driver.queues.wait_for_rates() {
            self.seat = None;
        }
    }

    /// Reads and starts nothing any more: what is on its way may land, the rest is written down.
    fn close(&mut self, until: Instant, now: Instant) {
        self.closing = Some(self.closing.map_or(until, |earlier| earlier.min(until)));
        self.scan.stop();
        self.driver.withdraw(now);
    }

    /// The end of a wait: what has no answer by now stays deferred.
    fn give_up_waiting(&mut self, now: Instant) {
        if self.closing.is_some_and(|until| now >= until) && !self.abandoned {
            self.abandoned = true;
            self.driver.abandon(now);
        }
        if self.driver.window.is_empty() && self.scan.is_done() {
            self.landing.get_or_insert(now + LANDING);
            self.seat = None;
        }
    }

    /// Asks for the next page, where there is room for it and the rate allows it.
    fn read_on(&mut self, now: Instant) {
        if self.may_read() {
            let granted = self.rate.grant(self.page, now);
            if granted > 0 {
                self.scan.read_on(granted);
            }
        }
    }

    fn may_read(&self) -> bool {
        self.scan.is_idle() && self.room() >= self.page && !self.driver.queues.are_stocked()
    }

    const fn room(&self) -> usize {
        self.window.saturating_sub(self.driver.book.uncommitted())
    }

    fn read(&mut self, page: Result<Page, StoreError>) {
        let now = Instant::now();
        match page {
            Ok(Page { mut entries, next }) => {
                self.rate.take(entries.len());
                let page = self.driver.book.open(entries.len(), next);
                // S-22: the order tells a push service nothing.
                self.driver.rng.shuffle(&mut entries);
                let slip = Slip { page: Some(page), ..Slip::default() };
                for entry in entries {
                    self.driver.admit(entry, Trial::default(), slip, now);
                }
            }
            Err(error) => {
                self.failure = Some(error);
                self.close(now + LANDING, now);
            }
        }
    }

    /// Whether nothing is left to do but to write what was done.
    fn is_over(&self, now: Instant) -> bool {
        let landed = self.driver.jobs.is_empty() || self.landing.is_some_and(|until| now >= until);
        self.scan.is_done() && self.driver.window.is_empty() && landed
    }

    /// Whether the work is done, and not only the lease at its end.
    fn is_done(&self) -> bool {
        self.scan.is_exhausted() || self.driver.timed_out
    }

    /// Commits the end of a range as soon as nothing but late answers is waited for: what else was
    /// deferred there must not wait for these.
    fn await_answers(&mut self, now: Instant) {
        let waits = self.scan.is_exhausted() && self.driver.window.is_empty();
        if waits && !self.awaiting && !self.writer.is_busy() {
            self.awaiting = true;
            self.write(Through::Awaiting, now);
        }
    }

    /// Writes a checkpoint, when it is time for one.
    fn write_on(&mut self, now: Instant) {
        if !self.writer.is_busy() && now >= self.write_at() {
            self.write(Through::No, now);
        }
    }

    fn write_at(&self) -> Instant {
        let short = self.room() < self.page && self.scan.is_idle();
        self.writer.due(self.driver.book.has_news(), short)
    }

    fn write(&mut self, through: Through, now: Instant) {
        let mut checkpoint = self.writer.next();
        let done = through != Through::No && self.is_done();
        checkpoint.done = done;
        checkpoint.awaits = through == Through::Awaiting;
        checkpoint.timed_out = done && !self.scan.is_exhausted();
        let hook = self.driver.hub.removal_hook.as_deref();
        let covers = self.driver.book.take(&mut checkpoint, done, hook, now);
        self.writer.write(checkpoint, covers, now);
    }

    /// The last checkpoint, and the end of the lease.
    async fn last(mut self) -> Ended {
        let done = self.is_done();
        if done || self.driver.book.has_news() {
            self.write(Through::Yes, Instant::now());
            match self.writer.answer().await {
                Ok(Answer { state: State::Aborted, .. }) => return Ended::Aborted,
                Ok(Answer { state: State::Finished, .. }) => self.finished(),
                Ok(_) => {}
                Err(error) => return Self::failed(error),
            }
        }
        if !done {
            self.writer.release(self.closing.unwrap_or_else(Instant::now)).await;
        }
        match self.failure {
            Some(error) => Ended::Failed(error.into()),
            None if done => Ended::Done,
            None => Ended::Released,
        }
    }

    /// This lease's checkpoint was the broadcast's last.
    fn finished(&mut self) {
        let timed_out = self.driver.timed_out;
        self.driver.run.ended(if timed_out { BroadcastState::TimedOut } else { BroadcastState::Finished });
    }

    fn failed(error: JournalError) -> Ended {
        if error.kind() == JournalErrorKind::LeaseLost { Ended::Lost } else { Ended::Failed(error) }
    }

    /// Sleeps until something happened. Cancel safe: every branch keeps its future in `self`.
    async fn wait(&mut self) -> Option<Ended> {
        let wake = self.wake();
        let driver = &mut self.driver;
        tokio::select! {
            biased;
            Some(arrival) = driver.arrived.recv() => driver.arrive(arrival, Instant::now()),
            answer = self.writer.answer(), if self.writer.is_busy() => return self.answered(answer),
            page = self.scan.next(), if self.scan.is_busy() => self.read(page),
            // An error: the worker is gone, and this task with it in a moment.
            changed = self.calls.changed(), if self.listening => self.listening = changed.is_ok(),
            // Another broadcast of the hub gave a request back.
            () = driver.share.room(), if driver.gate_closed => {}
            () = sleep_until(wake) => {}
        }
        None
    }

    fn wake(&self) -> Instant {
        let driver = &self.driver;
        let sending = driver.wake().into_iter().chain([driver.deadline]).min();
        let sending = sending.filter(|_| !driver.timed_out);
        let reading = self.may_read().then(|| self.rate.wake()).flatten();
        let idle = !self.writer.is_busy();
        let writing = idle.then(|| self.write_at());
        let landing = self.landing.filter(|_| idle);
        let closing = self.closing.filter(|_| !self.abandoned);
        let giving_way = self.may_give_way() && *self.calls.borrow() == Call::MakeRoom;
        let leaving = giving_way.then_some(self.stays);
        let wakes = [sending, reading, writing, closing, landing, leaving];
        // The term is renewed, so that there is always something to wake up for.
        wakes.into_iter().flatten().min().unwrap_or_else(|| Instant::now() + LANDING)
    }

    fn answered(&mut self, answer: Result<Answer, JournalError>) -> Option<Ended> {
        let now = Instant::now();
        match answer {
            Ok(Answer { state: State::Aborted, .. }) => Some(Ended::Aborted),
            Ok(Answer { state: State::Finished, .. }) => {
                self.finished();
                Some(Ended::Done)
            }
            Ok(Answer { state: State::Running(control), covers, .. }) => {
                self.driver.book.committed(covers);
                self.obey(control, now);
                None
            }
            Err(error) => Some(Self::failed(error)),
        }
    }
}
