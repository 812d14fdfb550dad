//! Everything at once, on several nodes: no transaction waits for another in a circle.

use std::time::Duration;

use webpush_channels::store::journal::Journal as _;
use webpush_channels::store::{NewEntry, SubscriptionStore as _};
use webpush_channels::{BroadcastState, OutcomeKind};

use crate::nodes::{HOST, Store, enqueue, finish, nodes, report, until, worker};
use crate::support::{Double, answer, broadcast, news, status, subscription, user};

const MEMBERS: usize = 300;

/// Some are gone, some are busy at first.
fn push_service() -> Double {
    Double::slow(|seen, nth| {
        let number: usize = seen.uri.rsplit_once('/').unwrap().1.parse().unwrap();
        let answer = match number {
            _ if number % 7 == 3 => status(410),
            _ if number % 5 == 1 && nth == 1 => answer(503, &[("retry-after", "1")], ""),
            _ => status(201),
        };
        (Duration::from_millis(5), answer)
    })
}

/// What an application does meanwhile, to the same rows: in batches of another order.
async fn serve(store: &Store, round: usize) {
    let entry = |n: usize| NewEntry::new(user(n), subscription(&format!("https://{HOST}/p/{n}")));
    let some: Vec<usize> = (0..40).map(|n| MEMBERS - 1 - (n * 13 + round * 29) % MEMBERS).collect();
    let users: Vec<_> = some.iter().map(|n| user(*n)).collect();
    store.put(&some.iter().map(|n| entry(*n)).collect::<Vec<_>>()).await.unwrap();
    store.leave(&news(), &users[..10]).await.unwrap();
    store.join(&news(), &users[5..]).await.unwrap();
    store.forget(&users[0]).await.unwrap();
    let old = subscription(&format!("https://{HOST}/p/{}", some[1])).id();
    let new = NewEntry::new(users[1].clone(), subscription(&format!("https://{HOST}/n/{}", MEMBERS + round)));
    store.replace(&users[1], &old, &new).await.unwrap();
}

const DEADLOCKS: &str = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
const OTHERS: &str = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() \
    AND backend_type = 'client backend'";

#[tokio::test]
async fn nodes_and_applications_never_wait_in_a_circle() {
    let (database, stores) = nodes::<4>(MEMBERS).await;
    let mut ids = Vec::new();
    for store in &stores[..3] {
        ids.push(enqueue(store, broadcast()).await);
    }
    let transport = push_service();
    let workers: Vec<_> = stores[..3]
        .iter()
        .map(|store| worker(store, &transport, 16).leases(4.try_into().unwrap()).build())
        .collect();
    let work = finish(&workers);
    let application = async {
        for round in 0.. {
            serve(&stores[3], round).await;
            if stores[3].unfinished(None, crate::support::PAGE).await.unwrap().is_empty() {
                return;
            }
        }
    };
    tokio::join!(work, application);
    let mut gone = 0;
    for id in &ids {
        let last = report(&stores[0], id).await;
        assert_eq!((last.state, last.pending, last.takeovers), (BroadcastState::Finished, 0, 0), "{last}");
        gone += last.counts[OutcomeKind::Gone];
    }
    assert!(gone > 0);
    let totals = stores[0].totals(&news()).await.unwrap();
    assert_eq!((totals.broadcasts, totals.counts[OutcomeKind::Gone]), (3, gone));
    // What connections have counted is known when they have ended.
    drop((workers, stores));
    let client = database.client().await;
    until("the end of all connections", async || {
        client.query_one(OTHERS, &[]).await.unwrap().get::<_, i64>(0) == 0
    })
    .await;
    assert_eq!(client.query_one(DEADLOCKS, &[]).await.unwrap().get::<_, i64>(0), 0);
}
