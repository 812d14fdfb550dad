//! A node of this release beside one of the next, which has migrated the tables.

use std::error::Error as _;
use std::sync::Arc;

use tokio_postgres::Client;
use webpush_channels::store::StoreErrorKind;
use webpush_channels::store::journal::Journal as _;
use webpush_channels::{BroadcastState, OutcomeKind};

use crate::nodes::{HOST, Store, enqueue, finish, nodes, report, worker};
use crate::support::{Double, answer, at, broadcast, members, news, status};

const MEMBERS: u64 = 40;
const TABLES: [&str; 11] = [
    "users",
    "subscriptions",
    "former_ids",
    "channels",
    "members",
    "broadcasts",
    "ranges",
    "retries",
    "leases",
    "failures",
    "totals",
];

/// What the next release may do: columns that need not be given, and tables.
async fn migrate(client: &Client) {
    for (number, table) in TABLES.iter().enumerate() {
        let column = if number % 2 == 0 { "TEXT" } else { "BIGINT NOT NULL DEFAULT 7" };
        client
            .batch_execute(&format!("ALTER TABLE webpush_channels.{table} ADD later {column}"))
            .await
            .unwrap();
    }
    client.batch_execute("CREATE TABLE webpush_channels.later (number BIGINT)").await.unwrap();
    set(client, "schema", schema(client).await + 1).await;
}

async fn schema(client: &Client) -> i64 {
    let sql = "SELECT value FROM webpush_channels.meta WHERE name = 'schema'";
    client.query_one(sql, &[]).await.unwrap().get::<_, String>(0).parse().unwrap()
}

async fn set(client: &Client, name: &str, value: i64) {
    let sql = "UPDATE webpush_channels.meta SET value = $2 WHERE name = $1";
    assert_eq!(client.execute(sql, &[&name, &value.to_string()]).await.unwrap(), 1);
}

/// A whole broadcast, with a retry and a failure.
async fn whole(store: &Store) {
    let id = enqueue(store, broadcast()).await;
    let transport = Double::new(|seen, nth| match seen.uri.rsplit_once('/').unwrap().1 {
        "1" if nth == 1 => answer(503, &[("retry-after", "1")], ""),
        "2" => status(400),
        _ => status(201),
    });
    finish(&[worker(store, &transport, 8).build()]).await;
    let last = report(store, &id).await;
    assert_eq!((last.state, last.read, last.pending), (BroadcastState::Finished, MEMBERS, 0), "{last}");
    assert_eq!((last.counts[OutcomeKind::Accepted], last.failures.len()), (MEMBERS - 1, 1), "{last}");
    assert_eq!((transport.seen().len() as u64, last.attempts), (MEMBERS + 1, MEMBERS + 1), "{last}");
}

#[tokio::test]
async fn tables_of_the_next_release_are_used_as_before() {
    let (database, [running]) = nodes(40).await;
    let client = database.client().await;
    // Its connections have prepared all statements when the tables change under them.
    whole(&running).await;
    migrate(&client).await;
    whole(&running).await;
    let started = Arc::new(database.store().await);
    members(Arc::clone(&started), at(HOST, 40)).await;
    whole(&started).await;
    assert_eq!(started.totals(&news()).await.unwrap().broadcasts, 3);
}

#[tokio::test]
async fn tables_of_the_last_release_are_brought_up_to_date_beside_one_of_its_nodes() {
    let (database, [running]) = nodes(40).await;
    let client = database.client().await;
    client.batch_execute("ALTER TABLE webpush_channels.broadcasts DROP COLUMN fallback").await.unwrap();
    set(&client, "schema", 1).await;
    let started = Arc::new(database.store().await);
    assert_eq!(schema(&client).await, 2);
    members(Arc::clone(&started), at(HOST, 40)).await;
    whole(&started).await;
    whole(&running).await;
}

#[tokio::test]
async fn tables_that_need_a_later_release_are_refused_with_both_numbers() {
    let (database, []) = nodes(0).await;
    drop(database.store().await);
    let client = database.client().await;
    migrate(&client).await;
    let needed = schema(&client).await;
    set(&client, "min_reader", needed).await;
    let error = database.builder().connect().await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Backend);
    let said = error.source().unwrap().to_string();
    assert!(said.contains(&format!("version {needed}")), "{said}");
    assert!(said.contains(&format!("knows {}", needed - 1)), "{said}");
    assert_eq!(schema(&client).await, needed, "nothing is changed");
}
