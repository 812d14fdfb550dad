//! Takes leases and runs them, several at once.

use std::num::NonZeroU16;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, OptionFuture};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep_until, timeout};
use tracing::Instrument as _;

use super::super::broadcast::kind;
use super::super::driver::{Call, Ended, Session};
use super::Worker;
use super::backoff::Backoff;
use crate::store::journal::{JournalError, JournalErrorKind, Lease, Work};

/// A hint that brought no work is not followed faster than this.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// For each lease that sends, so many more may wait for late answers, or for a rate.
const WAITING: usize = 16;

type Asking = BoxFuture<'static, Result<Option<Lease>, JournalError>>;

/// A worker that runs: dropping it drops its leases.
struct Desk<'a> {
    worker: &'a Worker,
    running: JoinSet<Ended>,
    /// One for each lease that has something to send.
    seats: Arc<Semaphore>,
    /// For the next lease.
    seat: Option<OwnedSemaphorePermit>,
    calls: watch::Sender<Call>,
    /// A lease that was asked for, and when: dropping the question might lose one.
    asking: Option<(Instant, Asking)>,
    /// The last answer was that there is no work.
    idle: bool,
    backoff: Backoff,
    rng: fastrand::Rng,
}

enum Next {
    /// Something happened: look again.
    On,
    /// Nothing is left to do.
    End,
}

impl Worker {
    pub(super) async fn work(
        &self,
        shutdown: impl Future<Output = ()> + Send,
        until_idle: bool,
    ) -> Result<(), JournalError> {
        let mut desk = Desk::new(self);
        let mut shutdown = pin!(shutdown);
        loop {
            let next = tokio::select! {
                biased;
                () = &mut shutdown => Ok(Next::End),
                next = desk.turn(until_idle) => next,
            };
            match next {
                Ok(Next::On) => {}
                Ok(Next::End) => {
                    desk.close().await;
                    return Ok(());
                }
                Err(error) => {
                    tracing::error!(%error, worker = ?self.id, "the journal failed: the worker ends");
                    desk.close().await;
                    return Err(error);
                }
            }
        }
    }
}

impl<'a> Desk<'a> {
    fn new(worker: &'a Worker) -> Self {
        Self {
            worker,
            running: JoinSet::new(),
            seats: Arc::new(Semaphore::new(worker.leases.get().min(Semaphore::MAX_PERMITS))),
            seat: None,
            calls: watch::Sender::new(Call::GoOn),
            asking: None,
            idle: false,
            backoff: Backoff::default(),
            rng: worker.terms.hub.sender.core().fork_rng(),
        }
    }

    /// Waits for one thing to happen. Cancel safe: what must not be lost is kept in `self`.
    async fn turn(&mut self, until_idle: bool) -> Result<Next, JournalError> {
        // A journal that always answers at once must not keep other tasks from running.
        tokio::task::consume_budget().await;
        while let Some(ended) = self.running.try_join_next() {
            self.ended(ended);
        }
        let pause = self.backoff.until(Instant::now());
        if self.asking.is_none() {
            let full = self.running.len() >= self.worker.leases.get().saturating_mul(WAITING);
            self.call(if full { Call::MakeRoom } else { Call::GoOn });
            if full {
                self.one_ends().await;
                return Ok(Next::On);
            }
            if self.seat.is_none() {
                self.take_seat().await;
                return Ok(Next::On);
            }
            if let Some(until) = pause {
                self.wait_for(sleep_until(until)).await;
                return Ok(Next::On);
            }
            if self.idle {
                return self.rest(until_idle).await;
            }
            self.ask();
        }
        self.hear().await
    }

    fn call(&self, call: Call) {
        self.calls.send_if_modified(|before| std::mem::replace(before, call) != call);
    }

    async fn take_seat(&mut self) {
        let seats = Arc::clone(&self.seats);
        tokio::select! {
            biased;
            Some(ended) = self.running.join_next() => self.ended(ended),
            // Nobody closes it.
            seat = seats.acquire_owned() => self.seat = seat.ok(),
        }
    }

    fn ask(&mut self) {
        let terms = &self.worker.terms;
        let (journal, worker, term) = (Arc::clone(&terms.journal), self.worker.id, terms.term);
        // What a lost lease repeats is bounded by the window, also in a batch of retries.
        let retries = u16::try_from(terms.hub.limits.window).unwrap_or(u16::MAX);
        let retries = NonZeroU16::new(retries).unwrap_or(NonZeroU16::MIN);
        let asking = async move {
            // A lease that was longer on its way is over.
            let answer = timeout(term, journal.lease(&worker, term, retries)).await;
            answer.unwrap_or_else(|_| Err(JournalError::new(JournalErrorKind::Unavailable)))
        };
        self.asking = Some((Instant::now(), asking.boxed()));
    }

    /// Waits for the lease that was asked for, or for the end of another.
    async fn hear(&mut self) -> Result<Next, JournalError> {
        let Some((asked, asking)) = &mut self.asking else { return Ok(Next::On) };
        let asked = *asked;
        let answer = tokio::select! {
            biased;
            answer = asking => answer,
            Some(ended) = self.running.join_next() => {
                self.ended(ended);
                return Ok(Next::On);
            }
        };
        self.asking = None;
        match answer {
            Ok(Some(lease)) => self.begin(lease, asked),
            Ok(None) => self.idle = true,
            Err(error) => self.failed(error)?,
        }
        Ok(Next::On)
    }

    fn begin(&mut self, lease: Lease, asked: Instant) {
        let id = lease.broadcast.id.clone();
        let retries = match &lease.work {
            Work::Range { .. } => None,
            Work::Retries(due) => Some(due.len()),
        };
        let span = tracing::debug_span!("lease", %id, audience = kind(&lease.broadcast.audience), retries);
        tracing::debug!(%id, retries, "a lease is taken");
        let Some(seat) = self.seat.take() else { return };
        let session = Session::new(&self.worker.terms, lease, asked, self.calls.subscribe(), seat);
        let instruments = self.worker.terms.hub.sender.core().instruments.clone();
        let lease = async move {
            let ended = session.run().await;
            instruments.lease_ended(ended.kind());
            match &ended {
                Ended::Done => tracing::debug!(%id, "a lease is done"),
                Ended::Released => tracing::info!(%id, "a lease is given back"),
                Ended::Aborted => tracing::info!(%id, "a lease ends: its broadcast was aborted"),
                Ended::Lost => tracing::warn!(%id, "a lease is lost: what was in hand is sent again"),
                Ended::Failed(error) => tracing::warn!(%id, %error, "a lease ended: the journal failed"),
            }
            ended
        };
        self.running.spawn(lease.instrument(span));
    }

    /// There is no work now.
    async fn rest(&mut self, until_idle: bool) -> Result<Next, JournalError> {
        let journal = &self.worker.terms.journal;
        if until_idle && self.running.is_empty() {
            match journal.unfinished(None, NonZeroU16::MIN).await {
                Ok(unfinished) if unfinished.is_empty() => return Ok(Next::End),
                Ok(_) => {}
                Err(error) => {
                    self.failed(error)?;
                    return Ok(Next::On);
                }
            }
        }
        let (journal, poll) = (Arc::clone(journal), self.worker.poll);
        let again = Instant::now() + LOOK_AGAIN;
        self.wait_for(async move {
            journal.wait(poll).await;
            sleep_until(again).await;
        })
        .await;
        self.idle = false;
        Ok(Next::On)
    }

    async fn wait_for(&mut self, event: impl Future<Output = ()> + Send) {
        tokio::select! {
            biased;
            Some(ended) = self.running.join_next() => self.ended(ended),
            () = event => {}
        }
    }

    async fn one_ends(&mut self) {
        if let Some(ended) = self.running.join_next().await {
            self.ended(ended);
        }
    }

    fn ended(&mut self, ended: Result<Ended, JoinError>) {
        match ended {
            Ok(Ended::Aborted | Ended::Done | Ended::Lost | Ended::Released) => self.backoff.worked(),
            Ok(Ended::Failed(_)) => self.backoff.failed(self.rng.f64(), Instant::now()),
            Err(error) => {
                // A store or a hook panicked. The lease ends by its term.
                tracing::error!(%error, "a lease ended with a panic");
                self.backoff.failed(self.rng.f64(), Instant::now());
            }
        }
    }

    fn failed(&mut self, error: JournalError) -> Result<(), JournalError> {
        if !error.is_retryable() {
            return Err(error);
        }
        tracing::warn!(%error, "the journal is asked again");
        self.backoff.failed(self.rng.f64(), Instant::now());
        Ok(())
    }

    /// Ends every lease gracefully.
    async fn close(mut self) {
        self.call(Call::End);
        let terms = &self.worker.terms;
        let asking: OptionFuture<_> =
            self.asking.take().map(|(_, asking)| timeout(terms.grace, asking)).into();
        if let Some(Ok(Ok(Some(lease)))) = asking.await
            && let Err(error) = terms.journal.release(&lease.token).await
        {
            tracing::warn!(%error, "a lease was not given back: it ends by itself");
        }
        while !self.running.is_empty() {
            self.one_ends().await;
        }
    }
}
