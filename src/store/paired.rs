//! A store and a journal in different places, as one.

mod subscriptions;

use std::collections::HashMap;
use std::num::{NonZeroU16, NonZeroUsize};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use lru::LruCache;

use super::journal::{
    Begun, Checkpoint, Control, Due, FailureId, FailurePage, Journal, JournalError, Lease, LeaseToken,
    NewBroadcast, State, Summary, Totals, Work, WorkerId,
};
use super::{Change, Entry, EntryRef, Range, StoreError, SubscriptionStore};
use crate::{BroadcastId, ChannelName, Report, UserId};

/// A [`Journal`] whose subscriptions are in a store of their own: durable broadcasts for those who
/// keep their users' subscriptions in their own database, behind their own [`SubscriptionStore`].
///
/// Subscriptions and memberships are `S`'s, broadcasts `J`'s; the subscriptions that `J` could keep
/// are not used. Of each checkpoint the changes are applied to `S` first, then the rest is stored in
/// `J`. To hand out retries it reads each of their users from `S`, one query each.
///
/// # What it cannot promise
///
/// One storage commits what belongs together in one transaction; two do not. Nothing is lost and
/// nobody is left out, but when a process ends, or `J` fails, between the two steps of a
/// checkpoint:
///
/// * A dead subscription is removed but not counted as pruned. Where the same process sends the
///   checkpoint again it is counted. When `S` fails in the middle of its step, what it removed
///   before is not counted.
/// * What was learned of an entry (its key, a limit, that it needs renewal) is kept, but the entry
///   itself may be sent to again, as everything since the last stored checkpoint.
/// * The lease may pass to another worker between the two steps; then the changes of a refused
///   checkpoint are done. They rest on answers of the push service and on the version of the
///   entry, so that they are right nevertheless.
///
/// [`forget`](SubscriptionStore::forget) is two steps, `S` first: repeat it when it fails.
/// [`check`](SubscriptionStore::check) asks both.
///
/// ```
/// use webpush_channels::store::journal::{Begun, Journal, NewBroadcast};
/// use webpush_channels::store::{Audience, MemoryStore, Paired, SubscriptionStore};
/// use webpush_channels::{BroadcastId, ChannelName, Message, Payload, Ttl};
/// # use std::num::NonZeroU16;
/// # use std::time::Duration;
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let (mine, journal) = (MemoryStore::new(), MemoryStore::new());
/// let both = Paired::new(mine, journal);
///
/// let to = Audience::Channel(ChannelName::new("news")?);
/// let ranges = both.split(&to, NonZeroU16::MIN).await?;
/// let message = Message::new(Payload::new("It is raining")?, Ttl::hours(4));
/// let broadcast = NewBroadcast::new(BroadcastId::new("rain")?, to, message, Duration::from_secs(3600));
/// assert_eq!(both.begin(&broadcast, &ranges).await?, Begun::Created);
/// assert!(both.journal().report(&broadcast.id).await?.is_some());
/// assert!(both.store().report(&broadcast.id).await?.is_none());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Paired<S, J> {
    store: S,
    journal: J,
    /// What checkpoints removed that are not stored yet: their numbers and how many, by lease.
    removed: Mutex<LruCache<LeaseToken, (u64, u64)>>,
}

/// Only leases whose checkpoints fail now need a place.
const MAX_LEASES: NonZeroUsize = NonZeroUsize::new(1024).expect("not zero");

/// How long the changes of one checkpoint may take, at least.
const CHANGE_TERM: Duration = Duration::from_secs(30);

impl<S: SubscriptionStore, J: Journal> Paired<S, J> {
    /// The subscriptions of one, the broadcasts of the other.
    #[must_use]
    pub fn new(store: S, journal: J) -> Self {
        Self { store, journal, removed: Mutex::new(LruCache::new(MAX_LEASES)) }
    }

    /// Where the subscriptions are.
    pub const fn store(&self) -> &S {
        &self.store
    }

    /// Where the broadcasts are.
    pub const fn journal(&self) -> &J {
        &self.journal
    }

    /// Applies changes; says how many entries this checkpoint removed, in this try and in former
    /// ones.
    async fn change(
        &self,
        lease: &LeaseToken,
        number: u64,
        changes: &[(EntryRef, Change)],
    ) -> Result<u64, StoreError> {
        let done = changes.iter().zip(self.store.apply(changes).await?);
        let removals = done.filter(|((_, change), done)| *done && matches!(change, Change::Remove));
        let mut pruned = removals.count() as u64;
        let mut removed = self.removed();
        if let Some((_, before)) = removed.get(lease).filter(|(of, _)| *of == number) {
            pruned += before;
        }
        if pruned > 0 {
            removed.put(*lease, (number, pruned));
        }
        Ok(pruned)
    }

    fn removed(&self) -> MutexGuard<'_, LruCache<LeaseToken, (u64, u64)>> {
        self.removed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the entries of retries as they are now.
    async fn read_entries(&self, due: &mut [Due]) -> Result<(), StoreError> {
        let mut of_users: HashMap<UserId, Vec<Entry>> = HashMap::new();
        for due in due {
            if !of_users.contains_key(&due.user) {
                let entries = self.store.subscriptions(&due.user).await?;
                of_users.insert(due.user.clone(), entries);
            }
            let mut entries = of_users[&due.user].iter();
            due.entry = entries.find(|entry| entry.subscription.id() == due.subscription).cloned();
        }
        Ok(())
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: SubscriptionStore, J: Journal> Journal for Paired<S, J> {
    async fn begin(&self, broadcast: &NewBroadcast, ranges: &[Range]) -> Result<Begun, JournalError> {
        self.journal.begin(broadcast, ranges).await
    }

    async fn lease(
        &self,
        worker: &WorkerId,
        term: Duration,
        retries: NonZeroU16,
    ) -> Result<Option<Lease>, JournalError> {
        let Some(mut lease) = self.journal.lease(worker, term, retries).await? else { return Ok(None) };
        if let Work::Retries(due) = &mut lease.work
            && let Err(error) = self.read_entries(due).await
        {
            // Where that fails too, its term passes.
            let _ = self.journal.release(&lease.token).await;
            return Err(error.into());
        }
        Ok(Some(lease))
    }

    async fn checkpoint(
        &self,
        lease: &LeaseToken,
        mut checkpoint: Checkpoint,
    ) -> Result<State, JournalError> {
        if !checkpoint.changes.is_empty() {
            // Number 0 stores nothing: it asks whether the lease is still held, before anything is
            // changed under it, and may renew it. A last checkpoint may have a term of zero.
            let asked = Checkpoint::new(0, checkpoint.extend.max(CHANGE_TERM));
            let state = self.journal.checkpoint(lease, asked).await?;
            if !matches!(state, State::Running(_)) {
                return Ok(state);
            }
            let changes = std::mem::take(&mut checkpoint.changes);
            checkpoint.pruned += self.change(lease, checkpoint.number, &changes).await?;
        }
        let stored = self.journal.checkpoint(lease, checkpoint).await;
        if !stored.as_ref().is_err_and(JournalError::is_retryable) {
            self.removed().pop(lease);
        }
        stored
    }

    async fn release(&self, lease: &LeaseToken) -> Result<(), JournalError> {
        self.journal.release(lease).await
    }

    async fn abort(&self, id: &BroadcastId) -> Result<Report, JournalError> {
        self.journal.abort(id).await
    }

    async fn summary(&self, id: &BroadcastId) -> Result<Option<Summary>, JournalError> {
        self.journal.summary(id).await
    }

    async fn report(&self, id: &BroadcastId) -> Result<Option<Report>, JournalError> {
        self.journal.report(id).await
    }

    async fn failures(
        &self,
        id: &BroadcastId,
        after: Option<FailureId>,
        limit: NonZeroU16,
    ) -> Result<FailurePage, JournalError> {
        self.journal.failures(id, after, limit).await
    }

    async fn totals(&self, channel: &ChannelName) -> Result<Totals, JournalError> {
        self.journal.totals(channel).await
    }

    async fn recent(
        &self,
        after: Option<&BroadcastId>,
        limit: NonZeroU16,
    ) -> Result<Vec<Summary>, JournalError> {
        self.journal.recent(after, limit).await
    }

    async fn control(&self, id: &BroadcastId, control: Control) -> Result<(), JournalError> {
        self.journal.control(id, control).await
    }

    async fn unfinished(
        &self,
        after: Option<&BroadcastId>,
        limit: NonZeroU16,
    ) -> Result<Vec<BroadcastId>, JournalError> {
        self.journal.unfinished(after, limit).await
    }

    async fn purge(&self, older_than: Duration) -> Result<u64, JournalError> {
        self.journal.purge(older_than).await
    }

    async fn wait(&self, at_most: Duration) {
        self.journal.wait(at_most).await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    static_assertions::assert_impl_all!(Paired<Arc<dyn SubscriptionStore>, Box<dyn Journal>>: Journal);
}
