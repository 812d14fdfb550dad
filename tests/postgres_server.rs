//! What `PostgresStore` says of servers that are wrong, gone, or used in other ways.

#![cfg(feature = "postgres")]
#![allow(clippy::unwrap_used, reason = "in a test, a panic is the message")]

#[path = "support/postgres.rs"]
mod postgres;
#[path = "support/proxy.rs"]
mod proxy;

use std::error::Error;
use std::fmt::Write as _;
use std::time::Duration;

use webpush_channels::UserId;
use webpush_channels::store::{PostgresStore, StoreError, StoreErrorKind, SubscriptionStore};

use self::postgres::{AUTHORITY, Database, SERVER, port, variable, with_database, with_option};
use self::proxy::Proxy;

/// All that an error says, also to a debugger.
fn said(error: &StoreError) -> String {
    let mut text = format!("{error} {error:?}");
    let mut cause = error.source();
    while let Some(error) = cause {
        write!(text, " {error} {error:?}").unwrap();
        cause = error.source();
    }
    text
}

async fn refused(url: &str) -> (StoreErrorKind, String) {
    let error = PostgresStore::connect(url).await.unwrap_err();
    (error.kind(), said(&error))
}

#[tokio::test]
async fn what_stays_wrong_says_what_to_do() {
    let server = variable(SERVER);
    let (kind, said) = refused("postgres://alice:hunter2@host:port/db").await;
    assert!(kind == StoreErrorKind::Backend && said.contains("write postgres://"), "{said}");
    assert!(!said.contains("hunter2") && !said.contains("alice"), "{said}");

    let (kind, said) = refused(&with_database(&server, "no_such_database")).await;
    assert!(kind == StoreErrorKind::Backend && said.contains("create the database"), "{said}");

    let config: tokio_postgres::Config = server.parse().unwrap();
    let password = std::str::from_utf8(config.get_password().unwrap()).unwrap().to_owned();
    let (kind, said) = refused(&server.replace(&password, "hunter2")).await;
    assert!(kind == StoreErrorKind::Backend && said.contains("check user and password"), "{said}");
    assert!(!said.contains("hunter2"), "{said}");

    let error = PostgresStore::builder().connect().await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Backend);
    assert!(self::said(&error).contains("call `url` or `pool`"));
}

#[tokio::test]
async fn a_server_that_is_not_there_may_come_back() {
    let proxy = Proxy::new(port(&variable(SERVER))).await;
    let gone = proxy.url(&variable(SERVER));
    proxy.stop().await;
    assert_eq!(refused(&gone).await.0, StoreErrorKind::Unavailable);
}

#[tokio::test]
async fn a_store_survives_its_server_going_away() {
    let database = Database::new().await;
    let mut proxy = Proxy::new(port(database.url())).await;
    let store = database.builder().url(proxy.url(database.url())).connect().await.unwrap();
    let ann = UserId::new("ann").unwrap();
    for _ in 0..2 {
        store.check().await.unwrap();
        proxy.stop().await;
        for _ in 0..3 {
            let error = store.subscriptions(&ann).await.unwrap_err();
            assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{}", said(&error));
        }
        proxy.start();
        assert!(store.subscriptions(&ann).await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_terminated_connection_is_replaced() {
    let database = Database::new().await;
    let store = database.builder().max_connections(1).connect().await.unwrap();
    let terminate = "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity \
        WHERE datname = current_database() AND application_name = 'webpush-channels'";
    let ended: i64 = database.client().await.query_one(terminate, &[]).await.unwrap().get(0);
    assert_eq!(ended, 1);
    // The connection may be found closed before it is used, or after.
    if let Err(error) = store.check().await {
        assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{}", said(&error));
    }
    store.check().await.unwrap();
}

#[tokio::test]
async fn a_connection_that_does_not_become_free_is_not_waited_for_long() {
    let database = Database::new().await;
    let builder = database.builder().max_connections(1).connect_timeout(Duration::from_millis(200));
    let store = builder.connect().await.unwrap();
    let client = database.client().await;
    client.batch_execute("BEGIN; LOCK TABLE webpush_channels.meta IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let error = tokio::select! {
        biased;
        first = store.check() => panic!("it waits for the lock: {first:?}"),
        second = store.check() => second.unwrap_err(),
    };
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    assert!(said(&error).contains("no database connection became free"));
}

#[tokio::test]
async fn tls_verifies_the_server() {
    let database = Database::new().await;
    let required = with_option(database.url(), "sslmode=require");
    for url in [required.clone(), with_option(database.url(), "sslmode=prefer")] {
        let (kind, said) = refused(&url).await;
        assert!(kind == StoreErrorKind::Backend && said.contains("extra_root_pem"), "{said}");
    }
    let pem = std::fs::read(variable(AUTHORITY)).unwrap();
    let store = database.builder().url(&required).extra_root_pem(pem.clone()).connect().await.unwrap();
    store.check().await.unwrap();
    let encrypted = "SELECT count(*), count(*) FILTER (WHERE ssl) FROM pg_stat_ssl JOIN pg_stat_activity \
        USING (pid) WHERE datname = current_database() AND application_name = 'webpush-channels'";
    let row = database.client().await.query_one(encrypted, &[]).await.unwrap();
    assert_eq!((row.get::<_, i64>(0), row.get::<_, i64>(1)), (1, 1));

    // The right authority, another name.
    let other = required.replace("@127.0.0.1:", "@db.example.net:") + "&hostaddr=127.0.0.1";
    let error = PostgresStore::builder().url(other).extra_root_pem(pem).connect().await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Backend);
    assert!(said(&error).contains("not valid for name"), "{}", said(&error));
    let error = PostgresStore::builder().url(required).extra_root_pem("no certificate").connect().await;
    assert!(said(&error.unwrap_err()).contains("PEM"));
}

#[tokio::test]
async fn later_tables_are_used_if_they_allow_it() {
    let database = Database::new().await;
    drop(database.store().await);
    let client = database.client().await;
    let set = "UPDATE webpush_channels.meta SET value = $2 WHERE name = $1";
    client.execute(set, &[&"schema", &"7"]).await.unwrap();
    database.store().await.check().await.unwrap();

    client.execute(set, &[&"min_reader", &"7"]).await.unwrap();
    let error = database.builder().connect().await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Backend);
    assert!(said(&error).contains("update it"), "{}", said(&error));

    client.execute(set, &[&"min_reader", &"1"]).await.unwrap();
    for damaged in ["0", "x"] {
        client.execute(set, &[&"schema", &damaged]).await.unwrap();
        let error = database.builder().connect().await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Backend);
        assert!(said(&error).contains("meta"), "{}", said(&error));
    }
}

#[tokio::test]
async fn missing_tables_are_no_passing_trouble() {
    let database = Database::new().await;
    let store = database.store().await;
    let client = database.client().await;
    client.batch_execute("DROP SCHEMA webpush_channels CASCADE").await.unwrap();
    let error = store.check().await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Backend);
    assert!(said(&error).contains("restore them"), "{}", said(&error));
}

#[tokio::test]
async fn an_application_may_bring_its_pool() {
    let database = Database::new().await;
    let config: tokio_postgres::Config = database.url().parse().unwrap();
    let manager = deadpool_postgres::Manager::new(config, tokio_postgres::NoTls);
    let pool = deadpool_postgres::Pool::builder(manager).max_size(2).build().unwrap();
    let store = PostgresStore::builder().pool(pool.clone()).connect().await.unwrap();
    store.check().await.unwrap();
    pool.close();
    let error = store.check().await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Backend);
    assert!(said(&error).contains("closed"), "{}", said(&error));
}

#[tokio::test]
async fn nothing_that_is_shown_holds_the_password() {
    let database = Database::new().await;
    let config: tokio_postgres::Config = database.url().parse().unwrap();
    let password = std::str::from_utf8(config.get_password().unwrap()).unwrap().to_owned();
    let shown = format!("{:?} {:?}", database.builder(), database.store().await);
    assert!(!shown.contains(&password) && !shown.contains("127.0.0.1"), "{shown}");
}
