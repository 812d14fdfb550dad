//! Waiting for work. The tests wait for real, though never as long as they would without a reason to
//! stop.

use std::time::Duration;

use webpush_channels::store::PostgresStore;
use webpush_channels::store::journal::Journal;

use super::kit::{deferred, done};
use super::postgres::Database;
use super::{begin, lease};

const LONG: Duration = Duration::from_secs(600);
/// Much less, and much more than any of this takes.
const PATIENCE: Duration = Duration::from_secs(120);

async fn ends(waiting: impl Future<Output = ()>) {
    tokio::time::timeout(PATIENCE, waiting).await.expect("there was a reason to stop waiting");
}

/// Waits until another node has begun a broadcast.
async fn until_begun(store: &PostgresStore, database: &Database) {
    let other = database.store().await;
    let waiting = async {
        while lease(store).await.is_none() {
            store.wait(LONG).await;
        }
    };
    let begun = async {
        // Let the waiting begin, and the listener listen.
        tokio::time::sleep(Duration::from_millis(300)).await;
        begin(&other, "a", 1).await;
    };
    ends(async {
        tokio::join!(waiting, begun);
    })
    .await;
}

#[tokio::test]
async fn another_nodes_broadcast_is_heard_of() {
    let database = Database::new().await;
    until_begun(&database.store().await, &database).await;
}

#[tokio::test]
async fn another_nodes_broadcast_is_found_without_listening() {
    let database = Database::new().await;
    let store = database.builder().listen(false).connect().await.unwrap();
    until_begun(&store, &database).await;
}

#[tokio::test]
async fn another_nodes_broadcast_is_found_where_listening_fails() {
    let database = Database::new().await;
    let manager = deadpool_postgres::Manager::new(database.url().parse().unwrap(), tokio_postgres::NoTls);
    let pool = deadpool_postgres::Pool::builder(manager).max_size(2).build().unwrap();
    // Nobody is at that port: port 1 is not given to programs that ask for any.
    let nowhere = "postgres://nobody@127.0.0.1:1/nothing";
    let store = PostgresStore::builder().url(nowhere).pool(pool).connect().await.unwrap();
    until_begun(&store, &database).await;
}

#[tokio::test]
async fn waiting_ends_when_a_retry_is_due() {
    let database = Database::new().await;
    let store = database.store().await;
    begin(&store, "a", 1).await;
    let range = lease(&store).await.unwrap();
    let mut last = done(1);
    (last.read, last.deferred) = (1, vec![deferred(1, 1, Duration::from_millis(1500))]);
    store.checkpoint(&range.token, last).await.unwrap();
    ends(async {
        while lease(&store).await.is_none() {
            store.wait(LONG).await;
        }
    })
    .await;
}

#[tokio::test]
async fn waiting_ends_when_a_term_has_passed() {
    let database = Database::new().await;
    let store = database.store().await;
    begin(&store, "a", 1).await;
    let short = Duration::from_millis(700);
    let worker = webpush_channels::store::journal::WorkerId::random();
    store.lease(&worker, short, super::kit::ONE).await.unwrap().unwrap();
    ends(async {
        while lease(&store).await.is_none() {
            store.wait(LONG).await;
        }
    })
    .await;
}

#[tokio::test]
async fn nobody_waits_longer_than_asked() {
    let database = Database::new().await;
    let store = database.store().await;
    ends(store.wait(Duration::ZERO)).await;
    ends(store.wait(Duration::from_millis(20))).await;
}
