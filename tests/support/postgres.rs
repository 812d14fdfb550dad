//! A database of its own for each test, on the private server that `scripts/test` starts.

#![allow(dead_code, unreachable_pub, clippy::unwrap_used, reason = "a part of the tests that use it")]

use std::cell::RefCell;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio_postgres::{Client, Config, NoTls};
use webpush_channels::store::{PostgresStore, PostgresStoreBuilder};

/// The URL of a superuser on a private server.
pub const SERVER: &str = "WEBPUSH_CHANNELS_TEST_POSTGRES";
/// The file of the authority that the server's certificate is from.
pub const AUTHORITY: &str = "WEBPUSH_CHANNELS_TEST_POSTGRES_CA";

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A variable that `scripts/postgres` sets.
pub fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| {
        panic!("{name} is not set: run this test by scripts/test, or by scripts/postgres run --fast cargo test ...")
    })
}

/// A new database, dropped with this.
pub struct Database {
    server: String,
    name: String,
    url: String,
}

impl Database {
    pub async fn new() -> Self {
        Self::on(&variable(SERVER)).await
    }

    /// On the server of a superuser's URL.
    pub async fn on(server: &str) -> Self {
        let name = format!("test_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let client = client(server).await;
        // One whose process was killed may have left it behind.
        client.batch_execute(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await.unwrap();
        client.batch_execute(&format!("CREATE DATABASE {name}")).await.unwrap();
        let url = with_database(server, &name);
        Self { server: server.to_owned(), name, url }
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// Few connections: many tests share one server.
    pub fn builder(&self) -> PostgresStoreBuilder {
        PostgresStore::builder().url(&self.url).max_connections(4)
    }

    pub async fn store(&self) -> PostgresStore {
        self.builder().connect().await.unwrap()
    }

    /// For looking behind a store's back.
    pub async fn client(&self) -> Client {
        client(&self.url).await
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let (server, name) = (self.server.clone(), self.name.clone());
        // The runtime of the test may be ending: this has one of its own.
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let client = client(&server).await;
                client.batch_execute(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await.unwrap();
            });
        });
        assert!(dropped.join().is_ok() || std::thread::panicking(), "the database is dropped");
    }
}

thread_local! {
    /// Databases of this thread's test, dropped when the thread ends.
    static OURS: RefCell<Vec<Database>> = const { RefCell::new(Vec::new()) };
}

/// A store on a new database, which is dropped when the test ends: what a conformance suite takes.
pub async fn fresh() -> PostgresStore {
    fresh_with(|builder| builder).await
}

/// The same, built otherwise.
pub async fn fresh_with(build: impl FnOnce(PostgresStoreBuilder) -> PostgresStoreBuilder) -> PostgresStore {
    let database = Database::new().await;
    let store = build(database.builder()).connect().await.unwrap();
    OURS.with_borrow_mut(|ours| ours.push(database));
    store
}

/// A plain client.
pub async fn client(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// The same URL with another database.
pub fn with_database(url: &str, name: &str) -> String {
    let (before, options) = url.split_once('?').unwrap_or((url, ""));
    let (server, _) = before.rsplit_once('/').unwrap();
    format!("{server}/{name}?{options}")
}

/// The same URL with another option, for instance `sslmode`.
pub fn with_option(url: &str, option: &str) -> String {
    let (before, _) = url.split_once('?').unwrap_or((url, ""));
    format!("{before}?{option}")
}

/// Host and port of a URL.
pub fn port(url: &str) -> u16 {
    url.parse::<Config>().unwrap().get_ports()[0]
}
