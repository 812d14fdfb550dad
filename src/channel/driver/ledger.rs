//! What is done under a lease, until a checkpoint takes it.
//!
//! Positions are opaque, so the position moves by whole pages: those at the head whose entries are
//! all settled or deferred. Nothing of a later page goes into a checkpoint before its page is
//! among them, because whoever takes the lease over reads that page again.

mod account;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use self::account::Account;
pub(super) use self::account::Row;
use super::super::tally::ByOrigin;
use super::super::{Delivery, RemovalHook};
use super::book::{Book, Slip};
use crate::store::journal::{Checkpoint, Due, FailedDelivery, RetryId, SettledRetry, WorkerId};
use crate::store::{Change, Position};
use crate::{Failure, Origin, OriginLabel, OutcomeKind, UserId};

/// An answer this close to the moment when another worker may have the entry is left to that one:
/// the checkpoint that carries it could be too late.
const MARGIN: Duration = Duration::from_secs(5);

/// The retries of a worker, numbered over all its leases.
#[derive(Debug)]
pub(in crate::channel) struct Retries {
    worker: WorkerId,
    next: AtomicU64,
}

impl Retries {
    pub(in crate::channel) const fn new(worker: WorkerId) -> Self {
        Self { worker, next: AtomicU64::new(0) }
    }

    fn next(&self) -> RetryId {
        RetryId::of(&self.worker, self.next.fetch_add(1, Ordering::Relaxed))
    }
}

/// The books of one lease.
#[derive(Debug)]
pub(super) struct Ledger {
    retries: Arc<Retries>,
    /// The lifetime of a message that was not tried yet.
    ttl: Duration,
    pages: VecDeque<LedgerPage>,
    /// The number of the first of these pages.
    first: u64,
    /// What belongs to no page that is still open: retries, and answers that came late.
    loose: Account,
    /// Entries that no checkpoint was answered for.
    uncommitted: usize,
    /// All outcomes of the lease, for the hook.
    counts: ByOrigin,
}

#[derive(Debug)]
struct LedgerPage {
    /// Where it ends; none where the range does.
    end: Option<Position>,
    entries: usize,
    /// Those that are neither settled nor deferred.
    open: usize,
    account: Account,
}

impl Ledger {
    pub(super) fn new(retries: Arc<Retries>, ttl: Duration) -> Self {
        Self {
            retries,
            ttl,
            pages: VecDeque::new(),
            first: 0,
            loose: Account::default(),
            uncommitted: 0,
            counts: ByOrigin::default(),
        }
    }

    /// One more page was read. Returns its number.
    pub(super) fn open(&mut self, entries: usize, end: Option<Position>) -> u64 {
        let number = self.first + self.pages.len() as u64;
        self.uncommitted += entries;
        self.pages.push_back(LedgerPage { end, entries, open: entries, account: Account::default() });
        number
    }

    /// Entries that were read and are in no checkpoint that was answered.
    pub(super) const fn uncommitted(&self) -> usize {
        self.uncommitted
    }

    /// A checkpoint that covered so many entries was answered.
    pub(super) const fn committed(&mut self, entries: usize) {
        self.uncommitted -= entries;
    }

    /// Whether a checkpoint now would hold anything.
    pub(super) fn has_news(&self) -> bool {
        !self.loose.is_empty() || self.pages.front().is_some_and(|page| page.open == 0 && page.end.is_some())
    }

    /// Moves what may be committed into a checkpoint: everything at the `end` of a range, else
    /// what has a position. Returns how many entries that covers.
    pub(super) fn take(
        &mut self,
        checkpoint: &mut Checkpoint,
        end: bool,
        hook: Option<&dyn RemovalHook>,
        now: Instant,
    ) -> usize {
        let mut account = std::mem::take(&mut self.loose);
        let mut entries = 0;
        while self.pages.front().is_some_and(|page| page.open == 0 && (end || page.end.is_some())) {
            let Some(page) = self.pages.pop_front() else { break };
            self.first += 1;
            entries += page.entries;
            checkpoint.position = page.end.or(checkpoint.position);
            account.merge(page.account);
        }
        checkpoint.read = entries as u64;
        account.write(checkpoint, self.ttl, hook, &self.counts, now);
        entries
    }

    /// A retry has its outcome, and its entry is not there any more.
    pub(super) fn settle_removed(&mut self, due: Due, outcome: OutcomeKind) {
        let Due { retry, user, subscription, origin, tried, .. } = due;
        let failure = Failure::new(subscription, origin.clone(), outcome, None, tried.attempts);
        let failure = FailedDelivery::new(user, failure);
        self.loose.settled.push(SettledRetry::new(retry, origin, outcome, Some(failure)));
    }

    /// Writes an entry down that is to be tried later.
    pub(super) fn defer(&mut self, slip: &mut Slip, row: Row, now: Instant) {
        let known = slip.retry;
        let retry = known.unwrap_or_else(|| self.retries.next());
        slip.retry = Some(retry);
        let handed_on = slip.handed_on;
        let page = self.page(*slip);
        let Some(page) = page else {
            // It may be another worker's already, and be settled by it.
            if self.loose.deferred.contains_key(&retry) || !is_gone(handed_on, now) {
                self.loose.deferred.insert(retry, row);
            }
            return;
        };
        if known.is_none() {
            page.open -= 1;
        }
        page.account.deferred.insert(retry, row);
    }

    fn page(&mut self, slip: Slip) -> Option<&mut LedgerPage> {
        let index = slip.page?.checked_sub(self.first)?;
        self.pages.get_mut(usize::try_from(index).ok()?)
    }

    /// Counts the outcome of an entry of a page that no checkpoint took yet.
    fn settle_in_page(page: &mut LedgerPage, slip: Slip, label: OriginLabel, settled: Outcoming) {
        match slip.retry {
            Some(retry) => drop(page.account.deferred.remove(&retry)),
            None => page.open -= 1,
        }
        page.account.counts.entry(label).or_default().add(settled.kind, 1);
        page.account.failures.extend(settled.failure);
    }
}

/// An outcome, and the failure that is listed for it.
struct Outcoming {
    kind: OutcomeKind,
    failure: Option<FailedDelivery>,
}

impl Book for Ledger {
    fn attempt(&mut self, slip: Slip, repeat: bool) {
        let account = match self.page(slip) {
            Some(page) => &mut page.account,
            None => &mut self.loose,
        };
        account.attempts += 1;
        account.repeats += u64::from(repeat);
    }

    fn settle(&mut self, slip: Slip, delivery: Delivery, origin: &Origin, changes: [Option<Change>; 2]) {
        let vendor = delivery.entry.subscription.endpoint().vendor();
        let settled = Outcoming { kind: delivery.outcome.kind(), failure: None };
        let label = self.counts.add(vendor, origin, settled.kind);
        let settled = Outcoming { failure: failure(&delivery, &label), ..settled };
        if let Some(page) = self.page(slip) {
            page.account.change(&delivery.entry, origin, changes);
            return Self::settle_in_page(page, slip, label, settled);
        }
        self.loose.change(&delivery.entry, origin, changes);
        let Some(retry) = slip.retry else { return };
        if self.loose.deferred.remove(&retry).is_some() || !is_gone(slip.handed_on, Instant::now()) {
            self.loose.settled.push(SettledRetry::new(retry, label, settled.kind, settled.failure));
        }
    }

    fn ledger(&mut self) -> Option<&mut Ledger> {
        Some(self)
    }
}

/// Whether an entry may be another worker's by the time that a checkpoint could say something of
/// it. Then it is left alone: what both would say of it would count twice.
fn is_gone(handed_on: Option<Instant>, now: Instant) -> bool {
    handed_on.is_some_and(|at| now + MARGIN >= at)
}

fn failure(delivery: &Delivery, label: &OriginLabel) -> Option<FailedDelivery> {
    if delivery.outcome.is_accepted() {
        return None;
    }
    let detail = delivery.detail.as_ref().map(ToString::to_string);
    let id = delivery.entry.subscription.id();
    let kind = delivery.outcome.kind();
    let user: UserId = delivery.entry.user.clone();
    Some(FailedDelivery::new(user, Failure::new(id, label.clone(), kind, detail, delivery.attempts)))
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::store::journal::Tried;
    use crate::store::{Entry, NewEntry};
    use crate::{AuthSecret, Outcome, PublicKey, Subscription, SubscriptionKeys, Vendor};

    const SECOND: Duration = Duration::from_secs(1);
    const P256DH: &str =
        "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4";

    fn entry(n: u64) -> Entry {
        let auth = AuthSecret::from_bytes([1; 16]);
        let keys = SubscriptionKeys::new(PublicKey::from_base64url(P256DH).unwrap(), auth);
        let endpoint = format!("https://push.example.net/{n}").parse().unwrap();
        let new = NewEntry::new(UserId::new("ann").unwrap(), Subscription::new(endpoint, keys));
        Entry::first(&new, SystemTime::UNIX_EPOCH)
    }

    fn ledger() -> Ledger {
        Ledger::new(Arc::new(Retries::new(WorkerId::random())), 3600 * SECOND)
    }

    fn end(n: u64) -> Position {
        Position::encode(*b"ledger\0\0", [n, n])
    }

    fn slip(page: u64) -> Slip {
        Slip { page: Some(page), ..Slip::default() }
    }

    fn settle(ledger: &mut Ledger, slip: Slip, outcome: Outcome) {
        let change = matches!(outcome, Outcome::Gone).then_some(Change::Remove);
        let delivery = Delivery::new(entry(1), outcome, None, 1, Duration::ZERO);
        let origin = delivery.entry.subscription.endpoint().origin();
        ledger.settle(slip, delivery, &origin, [None, change]);
    }

    fn defer(ledger: &mut Ledger, slip: &mut Slip, after: Duration, now: Instant) {
        ledger.defer(slip, Row::new(&entry(2), Tried::new(1, 1, true), now + after, None), now);
    }

    fn take(ledger: &mut Ledger, end: bool) -> Checkpoint {
        let mut checkpoint = Checkpoint::new(1, SECOND);
        let covers = ledger.take(&mut checkpoint, end, None, Instant::now());
        assert_eq!(covers as u64, checkpoint.read);
        checkpoint
    }

    fn counted(checkpoint: &Checkpoint) -> u64 {
        checkpoint.counts.iter().map(|origin| origin.counts.total()).sum()
    }

    #[tokio::test(start_paused = true)]
    async fn the_position_moves_by_whole_pages_from_the_head() {
        let mut ledger = ledger();
        for page in 0..3 {
            assert_eq!(ledger.open(1, Some(end(page))), page);
        }
        ledger.attempt(slip(1), false);
        settle(&mut ledger, slip(1), Outcome::Gone);
        assert!(!ledger.has_news(), "the page before it is open");
        let nothing = take(&mut ledger, false);
        assert_eq!((nothing.position, nothing.read, nothing.attempts, counted(&nothing)), (None, 0, 0, 0));
        assert!(nothing.changes.is_empty() && nothing.failures.is_empty());
        settle(&mut ledger, slip(0), Outcome::AcceptedDropped);
        let two = take(&mut ledger, false);
        assert_eq!((two.position, two.read, two.attempts, counted(&two)), (Some(end(1)), 2, 1, 2));
        assert_eq!((two.changes.len(), two.failures.len(), ledger.uncommitted()), (1, 2, 3));
        ledger.committed(2);
        settle(&mut ledger, slip(2), Outcome::Expired);
        assert_eq!((ledger.uncommitted(), take(&mut ledger, false).position), (1, Some(end(2))));
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_page_waits_for_the_end() {
        let mut ledger = ledger();
        ledger.open(1, None);
        settle(&mut ledger, slip(0), Outcome::Expired);
        assert!(!ledger.has_news());
        assert_eq!(take(&mut ledger, false).read, 0);
        let last = take(&mut ledger, true);
        assert_eq!((last.position, last.read, counted(&last)), (None, 1, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_comes_before_the_checkpoint_takes_the_place_of_its_deferral() {
        let (mut ledger, now) = (ledger(), Instant::now());
        ledger.open(2, Some(end(0)));
        let (mut deferred, mut other) = (slip(0), slip(0));
        defer(&mut ledger, &mut deferred, 35 * SECOND, now);
        defer(&mut ledger, &mut other, SECOND / 10, now);
        settle(&mut ledger, deferred, Outcome::Unexpected);
        let taken = take(&mut ledger, false);
        assert_eq!((taken.read, counted(&taken), taken.settled.len()), (2, 1, 0));
        assert_eq!(taken.deferred.len(), 1);
        assert_eq!((taken.deferred[0].retry, taken.deferred[0].after), (other.retry.unwrap(), SECOND / 10));
        assert_eq!(taken.deferred[0].ttl_left, 3600 * SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_comes_after_the_checkpoint_settles_the_retry_while_it_is_ours() {
        for (late, settled) in [(20, 1), (31, 0), (40, 0)] {
            let mut ledger = ledger();
            ledger.open(1, Some(end(0)));
            let mut slip = slip(0);
            defer(&mut ledger, &mut slip, 35 * SECOND, Instant::now());
            slip.handed_on = Some(Instant::now() + 35 * SECOND);
            assert_eq!(take(&mut ledger, false).deferred.len(), 1);
            tokio::time::advance(late * SECOND).await;
            let mut again = slip;
            settle(&mut ledger, slip, Outcome::Gone);
            let taken = take(&mut ledger, false);
            assert_eq!((taken.settled.len(), counted(&taken), taken.read), (settled, 0, 0), "{late}");
            assert_eq!(taken.changes.len(), 1, "a removal is compare-and-set: it may come twice");
            let after = Instant::now();
            defer(&mut ledger, &mut again, SECOND, after);
            assert_eq!(take(&mut ledger, false).deferred.len(), settled, "{late}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_retry_is_settled_or_deferred_again_under_its_id() {
        let (mut ledger, now) = (ledger(), Instant::now());
        let retry = |n| RetryId::of(&WorkerId::from_bytes([7; 16]), n);
        let slip = |n| Slip { retry: Some(retry(n)), ..Slip::default() };
        settle(&mut ledger, slip(1), Outcome::Gone);
        defer(&mut ledger, &mut slip(2), SECOND, now);
        // Deferred without an answer, which then comes.
        defer(&mut ledger, &mut slip(3), SECOND, now);
        settle(&mut ledger, slip(3), Outcome::Expired);
        let (user, id) = (UserId::new("ann").unwrap(), entry(4).subscription.id());
        let fcm = OriginLabel::Vendor(Vendor::Fcm);
        let removed = Due::new(retry(4), user, id, fcm, None, Tried::default(), SECOND);
        ledger.settle_removed(removed, OutcomeKind::Skipped);
        let taken = take(&mut ledger, true);
        let settled: Vec<_> = taken.settled.iter().map(|settled| settled.retry).collect();
        assert_eq!(settled, [retry(1), retry(3), retry(4)]);
        assert_eq!(taken.deferred.iter().map(|deferred| deferred.retry).collect::<Vec<_>>(), [retry(2)]);
        assert!(taken.counts.is_empty() && taken.failures.is_empty(), "they stand in what was settled");
        assert_eq!(taken.settled.iter().filter(|settled| settled.failure.is_some()).count(), 3);
    }
}
