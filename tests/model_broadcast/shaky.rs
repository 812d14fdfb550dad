//! A store and journal that fails as the plan says, and writes down what it hands out and what it is told.

use std::collections::HashSet;
use std::future::Future;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::{Instant, sleep};
use webpush_channels::store::journal::{
    Begun, Checkpoint, Control, FailureId, FailurePage, Journal, JournalError, JournalErrorKind, Lease,
    LeaseToken, NewBroadcast, RetryId, State, Summary, Totals, Work, WorkerId,
};
use webpush_channels::store::{
    Audience, Change, Count, Entry, EntryRef, NewEntry, Page, Position, Put, Range, StoreError,
    StoreErrorKind, SubscriptionStore, UnseenPage,
};
use webpush_channels::{BroadcastId, ChannelName, Report, SubscriptionId, UserId};

use super::mutants::Broken;
use super::plan::{Fault, Plan};
use super::record::{Facts, Leased, Read, Record, Rule};

#[derive(Debug)]
pub struct Shaky {
    pub inner: Arc<dyn Journal>,
    pub record: Arc<Record>,
    pub plan: Arc<Plan>,
    pub broken: Option<Broken>,
    calls: AtomicUsize,
    /// No fault any more.
    pub calm: std::sync::atomic::AtomicBool,
}

trait Fails {
    fn unavailable() -> Self;
    fn fatal() -> Self;
}

impl Fails for StoreError {
    fn unavailable() -> Self {
        Self::new(StoreErrorKind::Unavailable)
    }

    fn fatal() -> Self {
        Self::new(StoreErrorKind::Backend)
    }
}

impl Fails for JournalError {
    fn unavailable() -> Self {
        Self::new(JournalErrorKind::Unavailable)
    }

    fn fatal() -> Self {
        Self::unavailable()
    }
}

/// The number in a channel's or a broadcast's name.
pub fn number(name: &str) -> usize {
    name[1..].parse().expect("a letter and a number")
}

fn of_audience(to: &Audience) -> usize {
    match to {
        Audience::Channel(name) => number(name.as_str()),
        _ => usize::MAX,
    }
}

impl Shaky {
    pub fn new(
        inner: Arc<dyn Journal>,
        record: Arc<Record>,
        plan: Arc<Plan>,
        broken: Option<Broken>,
    ) -> Arc<Self> {
        let calm = std::sync::atomic::AtomicBool::new(false);
        Arc::new(Self { inner, record, plan, broken, calls: AtomicUsize::new(0), calm })
    }

    fn is(&self, broken: Broken) -> bool {
        self.broken == Some(broken)
    }

    async fn call<T, E: Fails>(&self, call: impl Future<Output = Result<T, E>> + Send) -> Result<T, E> {
        self.record.steps.point().await;
        let number = self.calls.fetch_add(1, Ordering::SeqCst);
        let age = Instant::now() - self.record.start;
        let quiet = self.calm.load(Ordering::SeqCst);
        if !quiet && self.plan.away.as_ref().is_some_and(|away| away.contains(&age)) {
            self.record.facts().fault("store away");
            return Err(E::unavailable());
        }
        if !quiet && self.plan.fatal == Some(number) {
            self.record.facts().fault("store failed for good");
            return Err(E::fatal());
        }
        let fault = self.plan.fault(number).filter(|_| !quiet);
        let result = match fault {
            None => call.await,
            Some(Fault::NotDone) => {
                self.record.facts().fault("call not done");
                return Err(E::unavailable());
            }
            Some(Fault::AnswerLost) => {
                drop(call.await);
                let mut facts = self.record.facts();
                facts.fault("answer lost");
                facts.lost_answers += 1;
                return Err(E::unavailable());
            }
            Some(Fault::Slow(time)) => {
                self.record.facts().fault("slow call");
                sleep(time / 2).await;
                let result = call.await;
                sleep(time / 2).await;
                result
            }
        };
        self.record.steps.point().await;
        result
    }

    /// Removals that came into effect, and what they must not have removed.
    fn removed(&self, broadcast: usize, changes: &[(EntryRef, Change)]) {
        let mut facts = self.record.facts();
        for (reference, _) in changes.iter().filter(|(_, change)| *change == Change::Remove) {
            facts.removal(broadcast, *reference, &self.plan.withholding);
        }
    }

    /// Applies changes as they should be, or not.
    async fn change(&self, changes: &[(EntryRef, Change)]) -> Result<Vec<bool>, StoreError> {
        let removes = changes.iter().any(|(_, change)| *change == Change::Remove);
        if self.is(Broken::DropsChanges) && removes {
            return Ok(vec![true; changes.len()]);
        }
        let done = self.inner.apply(changes).await?;
        if self.is(Broken::RemovesMore) && removes {
            let other = self
                .record
                .facts()
                .rows
                .iter()
                .map(|(id, (_, version))| (*id, *version))
                .min_by_key(|row| row.0);
            if let Some((id, version)) = other {
                self.inner.apply(&[(EntryRef { id, version }, Change::Remove)]).await?;
            }
        }
        Ok(done)
    }

    fn read(&self, broadcast: usize, range: &Range, page: &Page) {
        let mut facts = self.record.facts();
        let entries: Vec<_> = page.entries.iter().map(|entry| facts.knows(entry)).collect();
        let (now, window, count) = (Instant::now(), self.plan.limits.window, entries.len());
        facts.reads.push(Read { broadcast, entries });
        let lease = facts.leases.iter_mut().rev().find(|lease| {
            lease.range.as_ref() == Some(range)
                && lease.broadcast == broadcast
                && !lease.over
                && lease.until > now
        });
        let Some(lease) = lease else { return };
        lease.uncommitted += count;
        let uncommitted = lease.uncommitted;
        facts.check(uncommitted <= window, Rule::Window, || {
            format!("a lease has {uncommitted} entries that no checkpoint covers, not {window}")
        });
    }

    fn leased(&self, lease: &Lease, term: Duration, retries: NonZeroU16) {
        let mut facts = self.record.facts();
        let now = Instant::now();
        let (range, due) = match &lease.work {
            Work::Range { range, .. } => (Some(*range), Vec::new()),
            Work::Retries(due) => (None, due.iter().map(|due| *due.retry.as_bytes()).collect()),
            other => panic!("{other:?}"),
        };
        if let Work::Retries(due) = &lease.work {
            due.iter().filter_map(|due| due.entry.as_ref()).for_each(|entry| {
                facts.knows(entry);
            });
        }
        let mine: HashSet<_> = due.iter().copied().collect();
        let broadcast = number(lease.broadcast.id.as_str());
        let twice = facts.leases.iter().any(|other| {
            let live = !other.over && other.until > now + self.plan.slack() && other.broadcast == broadcast;
            let same = range.is_some() && other.range == range;
            live && (same || other.retries.iter().any(|retry| mine.contains(retry)))
        });
        facts.check(!twice, Rule::Leases, || format!("somebody has it already: {:?}", lease.work));
        let most = usize::from(retries.get());
        facts.check(due.len() <= most, Rule::Window, || format!("{} retries at once, not {most}", due.len()));
        let (token, until) = (lease.token.as_bytes().to_vec(), now + term);
        facts.leases.push(Leased {
            token,
            broadcast,
            range,
            retries: due,
            until,
            uncommitted: 0,
            over: false,
        });
    }

    async fn store(&self, token: &LeaseToken, mut checkpoint: Checkpoint) -> Result<State, JournalError> {
        if self.is(Broken::CountsTwice) {
            checkpoint.counts.extend(checkpoint.counts.clone());
        }
        if self.is(Broken::LosesCheckpoints) && checkpoint.number == 2 && !checkpoint.done {
            return Ok(State::Running(Control::default()));
        }
        let (changes, number) = (checkpoint.changes.clone(), checkpoint.number);
        let (read, ends) = (checkpoint.read, checkpoint.ends_lease());
        let settled = checkpoint.settled.iter().map(|settled| settled.retry);
        let left: HashSet<_> =
            settled.chain(checkpoint.deferred.iter().map(|deferred| deferred.retry)).collect();
        let term = checkpoint.extend;
        let broadcast = self.lease_of(token, |lease| lease.broadcast);
        let state = self.inner.checkpoint(token, checkpoint).await?;
        let news = self.record.facts().stored.insert((token.as_bytes().to_vec(), number));
        if news && state != State::Aborted {
            self.removed(broadcast, &changes);
        }
        self.lease_of(token, |lease| {
            lease.until = Instant::now() + term;
            lease.over |= ends || !matches!(state, State::Running(_));
            if news {
                lease.uncommitted = lease.uncommitted.saturating_sub(usize::try_from(read).expect("small"));
            }
            // What is deferred again is anybody's.
            lease.retries.retain(|retry| !left.contains(&RetryId::from_bytes(*retry)));
        });
        Ok(self.told(state))
    }

    fn lease_of<T>(&self, token: &LeaseToken, with: impl FnOnce(&mut Leased) -> T) -> T {
        let mut facts = self.record.facts();
        let lease = facts.leases.iter_mut().find(|lease| lease.token == token.as_bytes());
        with(lease.expect("it was given out here"))
    }

    fn told(&self, state: State) -> State {
        match state {
            State::Running(control) => State::Running(self.controlled(control)),
            other => other,
        }
    }

    fn controlled(&self, mut control: Control) -> Control {
        if self.is(Broken::IgnoresRates) {
            control.per_minute = None;
        }
        control
    }

    /// What a worker is told of its lease.
    fn lend(&self, mut lease: Lease) -> Lease {
        lease.control = self.controlled(lease.control);
        if self.is(Broken::GivesMoreTime) {
            lease.send_within_left += Duration::from_secs(3600);
        }
        if let (true, Work::Range { after, .. }) = (self.is(Broken::ForgetsPositions), &mut lease.work) {
            *after = None;
        }
        if let Work::Retries(due) = &mut lease.work {
            for due in due {
                if self.is(Broken::ForgetsTries) {
                    (due.tried.failures, due.tried.attempts) = (0, due.tried.attempts.min(1));
                }
                if self.is(Broken::ForgetsLifetimes) {
                    due.ttl_left = lease.broadcast.message.ttl().as_duration();
                }
            }
        }
        lease
    }

    fn begun(facts: &mut Facts, broadcast: &NewBroadcast) {
        let (number, now) = (number(broadcast.id.as_str()), Instant::now());
        facts.begun.entry(number).or_insert(now);
        if broadcast.control.paused {
            facts.pauses.push((number, now, now));
        }
    }
}

#[async_trait]
impl SubscriptionStore for Shaky {
    async fn put(&self, entries: &[NewEntry]) -> Result<Vec<Put>, StoreError> {
        self.call(self.inner.put(entries)).await
    }

    async fn replace(&self, user: &UserId, old: &SubscriptionId, new: &NewEntry) -> Result<Put, StoreError> {
        self.call(self.inner.replace(user, old, new)).await
    }

    async fn apply(&self, changes: &[(EntryRef, Change)]) -> Result<Vec<bool>, StoreError> {
        let apply = async {
            let done = self.change(changes).await?;
            let devices = self.record.facts().devices.clone();
            for (reference, _) in changes.iter().filter(|(_, change)| *change == Change::Remove) {
                // Whose answer it was is told by the device: no other broadcast asks for it in vain.
                let device = devices.get(reference);
                let asked = device.and_then(|device| {
                    let facts = self.record.facts();
                    let gone = |end: super::record::End| end.is_gone();
                    let mut requests = facts.requests.iter().filter(|request| request.device == *device);
                    requests
                        .find(|request| request.end.is_some_and(|(_, end)| gone(end)))
                        .map(|found| found.broadcast)
                });
                self.removed(asked.unwrap_or(usize::MAX), &[(*reference, Change::Remove)]);
            }
            Ok(done)
        };
        self.call(apply).await
    }

    async fn subscriptions(&self, user: &UserId) -> Result<Vec<Entry>, StoreError> {
        self.call(self.inner.subscriptions(user)).await
    }

    async fn join(&self, channel: &ChannelName, users: &[UserId]) -> Result<(), StoreError> {
        self.call(self.inner.join(channel, users)).await
    }

    async fn leave(&self, channel: &ChannelName, users: &[UserId]) -> Result<(), StoreError> {
        self.call(self.inner.leave(channel, users)).await
    }

    async fn channels(&self, user: &UserId) -> Result<Vec<ChannelName>, StoreError> {
        self.call(self.inner.channels(user)).await
    }

    async fn page(
        &self,
        to: &Audience,
        range: &Range,
        after: Option<&Position>,
        limit: NonZeroU16,
    ) -> Result<Page, StoreError> {
        let limit = if self.is(Broken::ReadsMore) {
            limit.saturating_mul(NonZeroU16::new(3).expect("3"))
        } else {
            limit
        };
        let mut page = self.call(self.inner.page(to, range, after, limit)).await?;
        let twice = page.entries.first().cloned().filter(|_| self.is(Broken::YieldsTwice));
        page.entries.extend(twice);
        if self.is(Broken::SkipsOne) {
            page.entries.pop();
        }
        self.read(of_audience(to), range, &page);
        Ok(page)
    }

    async fn split(&self, to: &Audience, parts: NonZeroU16) -> Result<Vec<Range>, StoreError> {
        self.call(self.inner.split(to, parts)).await
    }

    async fn needing_renewal(&self, after: Option<&Position>, limit: NonZeroU16) -> Result<Page, StoreError> {
        self.call(self.inner.needing_renewal(after, limit)).await
    }

    async fn unseen(
        &self,
        for_at_least: Duration,
        after: Option<&Position>,
        limit: NonZeroU16,
    ) -> Result<UnseenPage, StoreError> {
        self.call(self.inner.unseen(for_at_least, after, limit)).await
    }

    async fn remove_channel(&self, channel: &ChannelName) -> Result<(), StoreError> {
        self.call(self.inner.remove_channel(channel)).await
    }

    async fn forget(&self, user: &UserId) -> Result<(), StoreError> {
        self.call(self.inner.forget(user)).await
    }

    async fn check(&self) -> Result<(), StoreError> {
        self.call(self.inner.check()).await
    }

    async fn count(&self, to: &Audience) -> Result<Count, StoreError> {
        self.call(self.inner.count(to)).await
    }
}

#[async_trait]
impl Journal for Shaky {
    async fn begin(&self, broadcast: &NewBroadcast, ranges: &[Range]) -> Result<Begun, JournalError> {
        let begin = async {
            let begun = self.inner.begin(broadcast, ranges).await?;
            Self::begun(&mut self.record.facts(), broadcast);
            Ok(begun)
        };
        self.call(begin).await
    }

    async fn lease(
        &self,
        worker: &WorkerId,
        term: Duration,
        retries: NonZeroU16,
    ) -> Result<Option<Lease>, JournalError> {
        if self.is(Broken::HidesWork) {
            return self.call(async { Ok(None) }).await;
        }
        let lease = async {
            let lease = self.inner.lease(worker, term, retries).await?;
            if let Some(lease) = &lease {
                self.leased(lease, term, retries);
                if self.is(Broken::LendsTwice) {
                    self.leased(lease, term, retries);
                }
            }
            Ok::<_, JournalError>(lease)
        };
        Ok(self.call(lease).await?.map(|lease| self.lend(lease)))
    }

    async fn checkpoint(&self, lease: &LeaseToken, checkpoint: Checkpoint) -> Result<State, JournalError> {
        self.call(self.store(lease, checkpoint)).await
    }

    async fn release(&self, lease: &LeaseToken) -> Result<(), JournalError> {
        let release = async {
            self.inner.release(lease).await?;
            self.lease_of(lease, |lease| lease.over = true);
            Ok(())
        };
        self.call(release).await
    }

    async fn abort(&self, id: &BroadcastId) -> Result<Report, JournalError> {
        let abort = async {
            let report = self.inner.abort(id).await?;
            self.record.facts().aborted.entry(number(id.as_str())).or_insert_with(Instant::now);
            Ok(report)
        };
        self.call(abort).await
    }

    async fn summary(&self, id: &BroadcastId) -> Result<Option<Summary>, JournalError> {
        self.call(self.inner.summary(id)).await
    }

    async fn failures(
        &self,
        id: &BroadcastId,
        after: Option<FailureId>,
        limit: NonZeroU16,
    ) -> Result<FailurePage, JournalError> {
        self.call(self.inner.failures(id, after, limit)).await
    }

    async fn totals(&self, channel: &ChannelName) -> Result<Totals, JournalError> {
        self.call(self.inner.totals(channel)).await
    }

    async fn recent(
        &self,
        after: Option<&BroadcastId>,
        limit: NonZeroU16,
    ) -> Result<Vec<Summary>, JournalError> {
        self.call(self.inner.recent(after, limit)).await
    }

    async fn control(&self, id: &BroadcastId, control: Control) -> Result<(), JournalError> {
        if control.paused && self.is(Broken::IgnoresPauses) {
            return Ok(());
        }
        self.call(self.inner.control(id, control)).await
    }

    async fn unfinished(
        &self,
        after: Option<&BroadcastId>,
        limit: NonZeroU16,
    ) -> Result<Vec<BroadcastId>, JournalError> {
        self.call(self.inner.unfinished(after, limit)).await
    }

    async fn purge(&self, older_than: Duration) -> Result<u64, JournalError> {
        self.call(self.inner.purge(older_than)).await
    }

    async fn wait(&self, at_most: Duration) {
        self.record.steps.point().await;
        self.inner.wait(at_most).await;
    }
}
