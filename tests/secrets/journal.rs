//! What a journal takes and gives.

use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use webpush_channels::store::journal::{
    Begun, Checkpoint, Control, Deferred, Due, FailureId, FailurePage, JournalError, JournalErrorKind, Lease,
    LeaseToken, NewBroadcast, RetryId, State, Summary, Totals, Work, WorkerId,
};
use webpush_channels::store::{Audience, Change, MemoryStore, NewEntry, StoreError, SubscriptionStore as _};
use webpush_channels::testing::store_suite::{CASES, Case, Probe};
use webpush_channels::{Failure, OriginLabel, OutcomeKind, Report};

use crate::needles::Shown;
use crate::world::{World, broadcast, user};

const TERM: Duration = Duration::from_secs(30);

pub(crate) async fn format_journal(world: &World, shown: &mut Shown<'_>) {
    let (store, to) = (MemoryStore::new(), Audience::User(user()));
    store.put(&[NewEntry::new(user(), world.subscription.clone())]).await.unwrap();
    let entry = store.subscriptions(&user()).await.unwrap().remove(0);
    let range = store.split(&to, NonZeroU16::MIN).await.unwrap()[0];
    let (worker, reference) = (WorkerId::random(), entry.reference());
    let retry = RetryId::of(&worker, 7);

    let new = Arc::new(NewBroadcast::new(broadcast(), to.clone(), world.message(), TERM));
    shown.debug(&new);
    let due = Due::new(retry, Some(entry), 1, TERM);
    shown.debug(&due);
    let token = LeaseToken::encode(*b"journal\0", [1, 2]);
    for work in [Work::Range { range, after: None }, Work::Retries(vec![due])] {
        shown.debug(&Lease::new(token, Arc::clone(&new), TERM, TERM, work));
    }

    let origin = OriginLabel::Origin(world.subscription.endpoint().origin());
    let failure = Failure::new(reference.id, origin, OutcomeKind::Gone, None, 1);
    let mut checkpoint = Checkpoint::new(TERM);
    checkpoint.changes.push((reference, Change::Remove));
    checkpoint.deferred.push(Deferred::new(retry, user(), reference, 1, TERM, TERM));
    checkpoint.failures.push(failure.clone());
    shown.debug(&checkpoint);
    shown.debug(&FailurePage::new(vec![failure], Some(FailureId::from_u64(1))));
    shown.debug(&Summary::new(broadcast(), to, TERM, Report::default()));
    shown.debug(&(Begun::Created, State::Running(Control::default()), Totals::default()));
    let case: Case = CASES[0];
    shown.debug(&(case, Probe::default()));

    let store = StoreError::from(LeaseToken::from_bytes(&[0; 20]).unwrap_err());
    shown.error(&JournalError::from(store));
    shown.error(&JournalError::new(JournalErrorKind::Conflict));
}
