//! Sends what was enqueued.

mod backoff;
mod work;

use std::future::pending;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use super::Channels;
use super::driver::{Retries, Terms};
use crate::store::journal::{Journal, JournalError, WorkerId};

/// Sends broadcasts that were enqueued in a [`Journal`], with a hub's sender and limits.
///
/// Any number of workers may share a journal, on any number of nodes: each takes leases, works on
/// several at once, and writes down how far it is. When one vanishes, its leases end by
/// themselves, and others go on from there; what it had in hand may then be sent twice: at most
/// [`Limits::window`](super::Limits::window) entries and the requests in flight for each lease.
///
/// The subscriptions are those of the journal, whatever store the hub has.
#[derive(Debug)]
pub struct Worker {
    id: WorkerId,
    terms: Terms,
    leases: NonZeroUsize,
    poll: Duration,
}

impl Worker {
    /// A worker in the making, over a hub's sender and limits.
    pub fn builder(channels: Channels, journal: impl Journal) -> WorkerBuilder {
        WorkerBuilder {
            channels,
            journal: Arc::new(journal),
            term: Duration::from_secs(30),
            leases: LEASES,
            poll: Duration::from_secs(5),
            grace: Duration::from_secs(10),
        }
    }

    /// Its id, as the journal knows it.
    #[must_use]
    pub const fn id(&self) -> &WorkerId {
        &self.id
    }

    /// Works until `shutdown` is ready, then ends gracefully: nothing new starts, what is on its
    /// way may land within the grace, the rest is written down for others, and leases are given
    /// back. So nothing is lost, and only a request that had no answer by then may be repeated.
    ///
    /// A journal that cannot be reached is asked again, with growing pauses of up to five seconds.
    ///
    /// # Errors
    ///
    /// [`JournalError`] when the journal fails for good. What was in hand is then treated as at a
    /// shutdown.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future is a crash: requests are reset, leases end when their term has passed,
    /// and what was in hand is sent again. Nothing keeps running.
    pub async fn run(&self, shutdown: impl Future<Output = ()> + Send) -> Result<(), JournalError> {
        self.work(shutdown, false).await
    }

    /// Works until no broadcast is left unfinished, waiting for retries that are due later: for
    /// jobs and tests. A broadcast that is paused is waited for.
    ///
    /// # Errors
    ///
    /// As [`run`](Self::run).
    ///
    /// # Cancel safety
    ///
    /// As [`run`](Self::run).
    pub async fn run_until_idle(&self) -> Result<(), JournalError> {
        self.work(pending(), true).await
    }
}

const LEASES: NonZeroUsize = NonZeroUsize::new(4).expect("not zero");
/// Shorter terms are no time to renew in.
const MIN_TERM: Duration = Duration::from_secs(1);
const MIN_POLL: Duration = Duration::from_millis(10);

/// A [`Worker`] in the making. Everything has a default.
#[derive(Debug)]
pub struct WorkerBuilder {
    channels: Channels,
    journal: Arc<dyn Journal>,
    term: Duration,
    leases: NonZeroUsize,
    poll: Duration,
    grace: Duration,
}

impl WorkerBuilder {
    /// For how long work is leased, and so for how long a journal may be away before the work is
    /// another worker's. It is renewed in time. 30 s; at least 1 s.
    #[must_use]
    pub fn term(mut self, term: Duration) -> Self {
        self.term = term.max(MIN_TERM);
        self
    }

    /// How many leases are worked on at once. 4. Each has a
    /// [`window`](super::Limits::window) of its own.
    #[must_use]
    pub const fn leases(mut self, leases: NonZeroUsize) -> Self {
        self.leases = leases;
        self
    }

    /// The longest wait between two looks for work, where the journal does not say earlier that
    /// there is some. 5 s.
    #[must_use]
    pub fn poll(mut self, poll: Duration) -> Self {
        self.poll = poll.max(MIN_POLL);
        self
    }

    /// How long requests in flight may take after a shutdown. 10 s. A journal that cannot be
    /// reached then is asked for three seconds more; the leases end by their term after that.
    #[must_use]
    pub const fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// The worker. It does nothing before it runs.
    #[must_use]
    pub fn build(self) -> Worker {
        let id = WorkerId::random();
        let Self { channels, journal, term, leases, poll, grace } = self;
        let retries = Arc::new(Retries::new(id));
        let terms = Terms { hub: Arc::clone(&channels.hub), journal, retries, term, grace };
        Worker { id, terms, leases, poll }
    }
}
