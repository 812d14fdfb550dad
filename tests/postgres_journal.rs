//! `PostgresStore` passes the journal suite, also where many workers meet.

#![cfg(feature = "postgres")]
#![allow(clippy::unwrap_used, reason = "in a test, a panic is the message")]

#[path = "support/consistent.rs"]
mod consistent;
#[path = "support/journal.rs"]
mod kit;
#[path = "support/pg_consistency.rs"]
mod pg_consistency;
#[path = "support/postgres.rs"]
mod postgres;

#[path = "postgres_journal/damage.rs"]
mod damage;
#[path = "postgres_journal/races.rs"]
mod races;
#[path = "postgres_journal/waiting.rs"]
mod waiting;

use async_trait::async_trait;
use webpush_channels::store::journal::{Journal, Lease, WorkerId};
use webpush_channels::store::{PostgresStore, Range, SubscriptionStore};
use webpush_channels::testing::journal_suite::JournalHarness;

use self::postgres::Database;

/// A store on a database of its own.
struct Harness {
    store: PostgresStore,
    database: Database,
}

impl Harness {
    async fn new() -> Self {
        let database = Database::new().await;
        Self { store: database.store().await, database }
    }
}

#[async_trait]
impl JournalHarness for Harness {
    fn journal(&self) -> &dyn Journal {
        &self.store
    }

    async fn another(&self) -> Box<dyn Journal> {
        Box::new(self.database.store().await)
    }

    async fn expire_leases(&self) {
        expire_leases(&self.database).await;
    }
}

async fn expire_leases(database: &Database) {
    let client = database.client().await;
    client.batch_execute("UPDATE webpush_channels.leases SET until = 0").await.unwrap();
}

/// Ranges that can be told apart: octets to a journal.
fn ranges(count: u64) -> Vec<Range> {
    (0..count).map(|number| Range::encode(*b"anything", [number])).collect()
}

async fn begin(store: &PostgresStore, name: &str, count: u64) {
    store.begin(&kit::broadcast(name), &ranges(count)).await.unwrap();
}

async fn lease(store: &PostgresStore) -> Option<Lease> {
    store.lease(&WorkerId::random(), kit::TERM, kit::BATCH).await.unwrap()
}

mod suite {
    use super::Harness;

    webpush_channels::journal_suite!(Harness::new().await);
}

#[tokio::test]
async fn a_journal_that_was_used_is_consistent() {
    use kit::{deferred, done, entry, user};
    let database = Database::new().await;
    let store = database.store().await;
    store.put(&[entry("ann", 1), entry("ben", 2)]).await.unwrap();
    store.join(&kit::news(), &[user("ann"), user("ben")]).await.unwrap();
    for name in ["ended", "running", "aborted"] {
        begin(&store, name, 2).await;
        let work = lease(&store).await.unwrap();
        let mut last = done(1);
        (last.read, last.deferred) = (2, vec![deferred(1, 1, kit::HOUR), deferred(2, 0, kit::HOUR)]);
        store.checkpoint(&work.token, last).await.unwrap();
    }
    store.abort(&kit::id("aborted")).await.unwrap();
    pg_consistency::check(&database.client().await).await;
    store.forget(&user("ann")).await.unwrap();
    let client = database.client().await;
    pg_consistency::check(&client).await;
    client.batch_execute("UPDATE webpush_channels.users SET subscriptions = 7").await.unwrap();
    let checked = tokio::spawn(async move { pg_consistency::check(&client).await });
    assert!(checked.await.unwrap_err().is_panic());
}
