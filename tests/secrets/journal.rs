//! What a journal takes and gives.

use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use webpush_channels::channel::{
    Broadcast, Channels, DurableChannel, EnqueueError, Enqueued, Publication, Worker, WorkerBuilder,
};
use webpush_channels::sender::Sender;
use webpush_channels::store::journal::{
    Begun, Checkpoint, Control, Deferred, Due, FailedDelivery, FailureId, FailurePage, JournalError,
    JournalErrorKind, Lease, LeaseToken, NewBroadcast, RetryId, SettledRetry, State, Summary, Totals, Tried,
    Work, WorkerId,
};
use webpush_channels::store::{
    Audience, Change, MemoryStore, NewEntry, Paired, StoreError, SubscriptionStore as _,
};
use webpush_channels::testing::StubTransport;
use webpush_channels::testing::journal_suite;
use webpush_channels::testing::store_suite::{CASES, Case, Probe};
use webpush_channels::{Failure, Message, OriginLabel, OutcomeKind, Payload, Report, Ttl};

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
    let origin = OriginLabel::Origin(world.subscription.endpoint().origin());
    let tried = Tried::new(1, 1, true);
    let due = Due::new(retry, user(), reference.id, origin.clone(), Some(entry), tried, TERM);
    shown.debug(&due);
    let token = LeaseToken::encode(*b"journal\0", [1, 2]);
    for work in [Work::Range { range, after: None }, Work::Retries(vec![due])] {
        shown.debug(&Lease::new(token, Arc::clone(&new), TERM, TERM, Control::default(), work));
    }

    let failure = Failure::new(reference.id, origin.clone(), OutcomeKind::Gone, None, 1);
    let failed = FailedDelivery::new(user(), failure.clone());
    let mut checkpoint = Checkpoint::new(1, TERM);
    checkpoint.changes.push((reference, Change::Remove));
    checkpoint.deferred.push(Deferred::new(retry, user(), reference, origin.clone(), tried, TERM, TERM));
    checkpoint.settled.push(SettledRetry::new(retry, origin, OutcomeKind::Gone, Some(failed.clone())));
    checkpoint.failures.push(failed);
    shown.debug(&checkpoint);
    shown.debug(&FailurePage::new(vec![failure], Some(FailureId::from_u64(1))));
    shown.debug(&Summary::new(broadcast(), to, SystemTime::UNIX_EPOCH, TERM, Report::default()));
    shown.debug(&(Begun::Created, State::Running(Control::default()), Totals::default()));
    let case: Case = CASES[0];
    shown.debug(&(case, Probe::default()));
    shown.debug(&(journal_suite::CASES[0], journal_suite::Probe::default()));

    shown.debug(&Paired::new(store, MemoryStore::new()));
    format_worker(world, shown).await;

    let store = StoreError::from(LeaseToken::from_bytes(&[0; 20]).unwrap_err());
    shown.error(&JournalError::from(store));
    shown.error(&JournalError::new(JournalErrorKind::Conflict));
}

/// A durable channel whose broadcast was sent, and who sent it.
async fn format_worker(world: &World, shown: &mut Shown<'_>) {
    let store = Arc::new(MemoryStore::new());
    store.put(&[NewEntry::new(user(), world.subscription.clone())]).await.unwrap();
    let durable = DurableChannel::new(Arc::clone(&store));
    let publication =
        |message| Publication::new(Audience::User(user()), Broadcast::new(message).with_id(broadcast()));
    let enqueued: Enqueued = durable.enqueue(publication(world.message())).await.unwrap();
    shown.debug(&(&durable, &enqueued));
    let other = Message::new(Payload::new("another").unwrap(), Ttl::hours(1));
    let conflict: EnqueueError = durable.enqueue(publication(other)).await.unwrap_err();
    shown.error(&conflict);
    let payload = world.payload.clone();
    let tailored = Broadcast::new(world.message()).with_payloads(move |_| Some(payload.clone()));
    let unstorable = durable.enqueue(Publication::new(Audience::User(user()), tailored)).await.unwrap_err();
    shown.error(&unstorable);
    let sender = Sender::builder(world.vapid.clone(), StubTransport::new()).build();
    let channels = Channels::new(Arc::clone(&store), sender);
    let builder: WorkerBuilder = Worker::builder(channels, store);
    shown.debug(&builder);
    let worker: Worker = builder.build();
    worker.run_until_idle().await.unwrap();
    shown.debug(&worker);
    shown.debug(&durable);
}
