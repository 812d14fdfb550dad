//! A journal that fails, hangs or is away, over one that works.

#![allow(dead_code, unreachable_pub, clippy::unwrap_used, reason = "a part of the tests that use it")]

use std::future::{Future, pending};
use std::num::NonZeroU16;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Notify;
use tokio::time::Instant;
use webpush_channels::store::journal::{
    Begun, Checkpoint, Control, FailureId, FailurePage, Journal, JournalError, JournalErrorKind, Lease,
    LeaseToken, NewBroadcast, State, Summary, Totals, WorkerId,
};
use webpush_channels::store::{
    Audience, Change, Count, Entry, EntryRef, MemoryStore, NewEntry, Page, Position, Put, Range, StoreError,
    StoreErrorKind, SubscriptionStore, UnseenPage,
};
use webpush_channels::{BroadcastId, ChannelName, Report, SubscriptionId, UserId};

/// What goes wrong with one call.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fault {
    /// It is not done, and fails.
    NotDone,
    /// It is done, and fails.
    AnswerLost,
    /// It is not done and never answers: [`Faulty::crashed`] tells, and the test drops the worker.
    CrashBefore,
    /// It is done and never answers.
    CrashAfter,
}

/// Counts calls that do something, and spoils one of them.
#[derive(Debug)]
pub struct Faulty {
    pub store: Arc<MemoryStore>,
    fault: Option<(usize, Fault)>,
    /// The store's method that fails at its next call.
    failing: Mutex<Option<(&'static str, StoreErrorKind)>>,
    /// The number of the checkpoint that is spoiled next.
    spoiled: Mutex<Option<(u64, Fault)>>,
    /// The store's methods that were called.
    called: Mutex<Vec<&'static str>>,
    calls: AtomicUsize,
    away: Mutex<Option<(Instant, Instant)>>,
    crashed: Notify,
    checkpoints: Mutex<Vec<(Instant, Checkpoint)>>,
    leases: AtomicUsize,
    /// Work cannot be asked for, now or later.
    pub broken: AtomicBool,
    releases: AtomicUsize,
    pub page_kind: Mutex<Option<StoreErrorKind>>,
}

impl Faulty {
    pub fn new(store: Arc<MemoryStore>) -> Arc<Self> {
        Self::with(store, None)
    }

    /// Spoils the call of this number, the first being 0.
    pub fn at(store: Arc<MemoryStore>, call: usize, fault: Fault) -> Arc<Self> {
        Self::with(store, Some((call, fault)))
    }

    fn with(store: Arc<MemoryStore>, fault: Option<(usize, Fault)>) -> Arc<Self> {
        Arc::new(Self {
            store,
            fault,
            failing: Mutex::default(),
            spoiled: Mutex::default(),
            called: Mutex::default(),
            calls: AtomicUsize::new(0),
            away: Mutex::default(),
            crashed: Notify::new(),
            checkpoints: Mutex::default(),
            leases: AtomicUsize::new(0),
            broken: AtomicBool::new(false),
            releases: AtomicUsize::new(0),
            page_kind: Mutex::default(),
        })
    }

    /// Cannot be reached from then, for so long.
    pub fn away(&self, from: Instant, length: Duration) {
        *self.away.lock().unwrap() = Some((from, from + length));
    }

    /// Lets the next call of a store's method fail: `apply`, `subscriptions`, `forget`, `check`
    /// or `count`.
    pub fn fail(&self, method: &'static str, kind: StoreErrorKind) {
        *self.failing.lock().unwrap() = Some((method, kind));
    }

    /// Spoils the next checkpoint of this number.
    pub fn spoil(&self, checkpoint: u64, fault: Fault) {
        *self.spoiled.lock().unwrap() = Some((checkpoint, fault));
    }

    /// How often one of these methods of a store was called.
    pub fn called(&self, method: &str) -> usize {
        self.called.lock().unwrap().iter().filter(|called| **called == method).count()
    }

    /// Waits until a call has crashed.
    pub async fn crashed(&self) {
        self.crashed.notified().await;
    }

    pub fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    /// How often work was asked for.
    pub fn leases(&self) -> usize {
        self.leases.load(Ordering::SeqCst)
    }

    pub fn releases(&self) -> usize {
        self.releases.load(Ordering::SeqCst)
    }

    /// What was stored, and when.
    pub fn checkpoints(&self) -> Vec<(Instant, Checkpoint)> {
        self.checkpoints.lock().unwrap().clone()
    }

    async fn call<T, E: Away>(&self, call: impl Future<Output = Result<T, E>> + Send) -> Result<T, E> {
        let number = self.calls.fetch_add(1, Ordering::SeqCst);
        let now = Instant::now();
        if self.away.lock().unwrap().is_some_and(|(from, until)| (from..until).contains(&now)) {
            return Err(E::away());
        }
        let fault = self.fault.filter(|(at, _)| *at == number);
        self.spoilt(fault.map(|(_, fault)| fault), call).await
    }

    async fn spoilt<T, E: Away>(
        &self,
        fault: Option<Fault>,
        call: impl Future<Output = Result<T, E>> + Send,
    ) -> Result<T, E> {
        match fault {
            None => call.await,
            Some(Fault::NotDone) => Err(E::away()),
            Some(Fault::AnswerLost) => {
                drop(call.await);
                Err(E::away())
            }
            Some(fault) => {
                if fault == Fault::CrashAfter {
                    drop(call.await);
                }
                self.crashed.notify_one();
                pending().await
            }
        }
    }

    /// A store's method is called.
    fn enter(&self, method: &'static str) -> Result<(), StoreError> {
        self.called.lock().unwrap().push(method);
        let failing = self.failing.lock().unwrap().take_if(|(failing, _)| *failing == method);
        failing.map_or(Ok(()), |(_, kind)| Err(StoreError::new(kind)))
    }
}

trait Away {
    fn away() -> Self;
}

impl Away for StoreError {
    fn away() -> Self {
        Self::new(StoreErrorKind::Unavailable)
    }
}

impl Away for JournalError {
    fn away() -> Self {
        Self::new(JournalErrorKind::Unavailable)
    }
}

#[async_trait]
impl SubscriptionStore for Faulty {
    async fn put(&self, entries: &[NewEntry]) -> Result<Vec<Put>, StoreError> {
        self.store.put(entries).await
    }

    async fn replace(&self, user: &UserId, old: &SubscriptionId, new: &NewEntry) -> Result<Put, StoreError> {
        self.store.replace(user, old, new).await
    }

    async fn apply(&self, changes: &[(EntryRef, Change)]) -> Result<Vec<bool>, StoreError> {
        self.enter("apply")?;
        self.call(self.store.apply(changes)).await
    }

    async fn subscriptions(&self, user: &UserId) -> Result<Vec<Entry>, StoreError> {
        self.enter("subscriptions")?;
        self.store.subscriptions(user).await
    }

    async fn join(&self, channel: &ChannelName, users: &[UserId]) -> Result<(), StoreError> {
        self.store.join(channel, users).await
    }

    async fn leave(&self, channel: &ChannelName, users: &[UserId]) -> Result<(), StoreError> {
        self.store.leave(channel, users).await
    }

    async fn channels(&self, user: &UserId) -> Result<Vec<ChannelName>, StoreError> {
        self.store.channels(user).await
    }

    async fn page(
        &self,
        to: &Audience,
        range: &Range,
        after: Option<&Position>,
        limit: NonZeroU16,
    ) -> Result<Page, StoreError> {
        if let Some(kind) = *self.page_kind.lock().unwrap() {
            return Err(StoreError::new(kind));
        }
        self.call(self.store.page(to, range, after, limit)).await
    }

    async fn split(&self, to: &Audience, parts: NonZeroU16) -> Result<Vec<Range>, StoreError> {
        self.store.split(to, parts).await
    }

    async fn needing_renewal(&self, after: Option<&Position>, limit: NonZeroU16) -> Result<Page, StoreError> {
        self.store.needing_renewal(after, limit).await
    }

    async fn unseen(
        &self,
        for_at_least: Duration,
        after: Option<&Position>,
        limit: NonZeroU16,
    ) -> Result<UnseenPage, StoreError> {
        self.store.unseen(for_at_least, after, limit).await
    }

    async fn remove_channel(&self, channel: &ChannelName) -> Result<(), StoreError> {
        self.store.remove_channel(channel).await
    }

    async fn forget(&self, user: &UserId) -> Result<(), StoreError> {
        self.enter("forget")?;
        self.store.forget(user).await
    }

    async fn check(&self) -> Result<(), StoreError> {
        self.enter("check")?;
        self.store.check().await
    }

    async fn count(&self, to: &Audience) -> Result<Count, StoreError> {
        self.enter("count")?;
        self.store.count(to).await
    }
}

#[async_trait]
impl Journal for Faulty {
    async fn begin(&self, broadcast: &NewBroadcast, ranges: &[Range]) -> Result<Begun, JournalError> {
        self.call(self.store.begin(broadcast, ranges)).await
    }

    async fn lease(
        &self,
        worker: &WorkerId,
        term: Duration,
        retries: NonZeroU16,
    ) -> Result<Option<Lease>, JournalError> {
        self.leases.fetch_add(1, Ordering::SeqCst);
        if self.broken.load(Ordering::SeqCst) {
            return Err(JournalError::new(JournalErrorKind::Backend));
        }
        self.call(self.store.lease(worker, term, retries)).await
    }

    async fn checkpoint(&self, lease: &LeaseToken, checkpoint: Checkpoint) -> Result<State, JournalError> {
        let stored = checkpoint.clone();
        let spoiled = self.spoiled.lock().unwrap().take_if(|(number, _)| *number == stored.number);
        let call = self.call(self.store.checkpoint(lease, checkpoint));
        let state = self.spoilt(spoiled.map(|(_, fault)| fault), call).await?;
        self.checkpoints.lock().unwrap().push((Instant::now(), stored));
        Ok(state)
    }

    async fn release(&self, lease: &LeaseToken) -> Result<(), JournalError> {
        self.releases.fetch_add(1, Ordering::SeqCst);
        self.call(self.store.release(lease)).await
    }

    async fn abort(&self, id: &BroadcastId) -> Result<Report, JournalError> {
        self.store.abort(id).await
    }

    async fn summary(&self, id: &BroadcastId) -> Result<Option<Summary>, JournalError> {
        self.store.summary(id).await
    }

    async fn failures(
        &self,
        id: &BroadcastId,
        after: Option<FailureId>,
        limit: NonZeroU16,
    ) -> Result<FailurePage, JournalError> {
        self.store.failures(id, after, limit).await
    }

    async fn totals(&self, channel: &ChannelName) -> Result<Totals, JournalError> {
        self.store.totals(channel).await
    }

    async fn recent(
        &self,
        after: Option<&BroadcastId>,
        limit: NonZeroU16,
    ) -> Result<Vec<Summary>, JournalError> {
        self.store.recent(after, limit).await
    }

    async fn control(&self, id: &BroadcastId, control: Control) -> Result<(), JournalError> {
        self.store.control(id, control).await
    }

    async fn unfinished(
        &self,
        after: Option<&BroadcastId>,
        limit: NonZeroU16,
    ) -> Result<Vec<BroadcastId>, JournalError> {
        self.store.unfinished(after, limit).await
    }

    async fn purge(&self, older_than: Duration) -> Result<u64, JournalError> {
        self.store.purge(older_than).await
    }

    async fn wait(&self, at_most: Duration) {
        self.store.wait(at_most).await;
    }
}
