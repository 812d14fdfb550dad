//! One id that is published from two nodes at once, and a user who is forgotten on another node.

use std::sync::Arc;

use webpush_channels::channel::{Broadcast, DurableChannel, EnqueueError, Enqueued};
use webpush_channels::store::SubscriptionStore as _;
use webpush_channels::store::journal::{Begun, JournalErrorKind};
use webpush_channels::{BroadcastId, BroadcastState, Message, OutcomeKind, Payload, Ttl};

use crate::nodes::{Store, enqueue, finish, nodes, publication, report, times, until, worker};
use crate::support::{Double, answer, broadcast, message, status, user};

const ROUNDS: usize = 24;

async fn both(
    (one, other): (&Store, &Store),
    broadcasts: [Broadcast; 2],
) -> [Result<Enqueued, EnqueueError>; 2] {
    let [first, second] = broadcasts.map(publication);
    let (one, other) = (DurableChannel::new(Arc::clone(one)), DurableChannel::new(Arc::clone(other)));
    let (first, second) = tokio::join!(one.enqueue(first), other.enqueue(second));
    [first, second]
}

#[tokio::test]
async fn one_id_from_two_nodes_at_once_is_one_broadcast() {
    let (_database, [one, other]) = nodes(3).await;
    for round in 0..ROUNDS {
        let id = BroadcastId::new(format!("round-{round}")).unwrap();
        let broadcast = broadcast().with_id(id.clone());
        let mut begun = both((&one, &other), [broadcast.clone(), broadcast]).await.map(|enqueued| {
            let enqueued = enqueued.unwrap();
            assert_eq!(enqueued.id, id);
            enqueued.begun
        });
        begun.sort_by_key(|begun| *begun == Begun::Known);
        assert_eq!(begun, [Begun::Created, Begun::Known], "round {round}");
    }
    let transports = [Double::accepting(), Double::accepting()];
    finish(&[worker(&one, &transports[0], 8).build(), worker(&other, &transports[1], 8).build()]).await;
    let times = times(&transports);
    assert_eq!(times.len(), 3);
    assert!(times.values().all(|times| *times == ROUNDS), "{times:?}");
}

#[tokio::test]
async fn one_id_for_two_messages_at_once_is_a_conflict_for_one() {
    let (_database, [one, other]) = nodes(1).await;
    let another = Message::new(Payload::new("bye").unwrap(), Ttl::hours(1));
    for round in 0..ROUNDS {
        let id = BroadcastId::new(format!("round-{round}")).unwrap();
        let messages = [message(), another.clone()];
        let results = both((&one, &other), messages.map(|of| Broadcast::new(of).with_id(id.clone()))).await;
        let (done, refused): (Vec<_>, Vec<_>) = results.into_iter().partition(Result::is_ok);
        assert_eq!((done.len(), refused.len()), (1, 1), "round {round}");
        let error = refused.into_iter().next().unwrap().unwrap_err();
        assert_eq!(error.kind(), JournalErrorKind::Conflict);
        assert!(!error.is_retryable());
    }
}

#[tokio::test]
async fn forgetting_a_user_settles_what_was_deferred_of_it() {
    let (_database, [one, other]) = nodes(8).await;
    let id = enqueue(&one, broadcast()).await;
    let transport = Double::new(|seen, _| {
        let busy = seen.uri.ends_with("/p/2") || seen.uri.ends_with("/p/5");
        if busy { answer(503, &[("retry-after", "600")], "") } else { status(201) }
    });
    let worker = [worker(&one, &transport, 4).build()];
    let forget = async {
        until("two deferrals", async || {
            let report = report(&other, &id).await;
            (report.read, report.pending) == (8, 2)
        })
        .await;
        other.forget(&user(2)).await.unwrap();
        let left = report(&one, &id).await;
        assert_eq!((left.state, left.pending), (BroadcastState::Running, 1), "{left}");
        other.forget(&user(5)).await.unwrap();
    };
    tokio::join!(finish(&worker), forget);
    let last = report(&one, &id).await;
    assert_eq!((last.state, last.read), (BroadcastState::Finished, 8), "{last}");
    assert_eq!(last.counts[OutcomeKind::Skipped], 2, "{last}");
    assert_eq!(last.counts[OutcomeKind::Accepted], 6, "{last}");
    assert_eq!(transport.seen().len(), 8, "nothing is sent to who is forgotten");
}
