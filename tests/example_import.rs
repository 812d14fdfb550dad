//! The example `import`, run in this process on a table as another library keeps it.

#![allow(clippy::unwrap_used, reason = "a test may")]

use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use webpush_channels::store::{Audience, Coding, SqliteStore, SubscriptionStore};
use webpush_channels::testing::UserAgent;
use webpush_channels::{ChannelName, UserId};

#[allow(dead_code, unreachable_pub, reason = "its main is not called")]
#[path = "../examples/import/main.rs"]
mod import;

/// A directory of one test, with a file of somebody else's.
struct Fixture(PathBuf);

impl Fixture {
    fn new(test: &str) -> Self {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("import-{test}"));
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).unwrap();
        Self(dir)
    }

    fn other(&self, sql: &str) {
        rusqlite::Connection::open(self.0.join("other.db")).unwrap().execute_batch(sql).unwrap();
    }

    async fn import(&self, more: &[&str]) -> Result<import::Imported, String> {
        let url = format!("sqlite:{}", self.0.join("push.db").display());
        let other = self.0.join("other.db");
        let given = ["--database-url", &url, "--from-sqlite", other.to_str().unwrap()];
        let args: Vec<_> = [&given, more].concat().iter().map(OsString::from).collect();
        let options = import::parse(args).map_err(|error| error.to_string())?;
        import::import(&options).await.map_err(|error| error.to_string())
    }

    async fn store(&self) -> SqliteStore {
        SqliteStore::open(self.0.join("push.db")).await.unwrap()
    }
}

/// The values of a row: endpoint, public key and auth of a user agent.
fn keys(seed: u64) -> (String, String) {
    let keys = UserAgent::seeded(seed).keys().clone();
    (keys.p256dh().to_base64url(), keys.auth().to_base64url())
}

/// As `laravel-notification-channels/webpush` makes it.
fn laravel_table() -> String {
    let mut sql = String::from(
        "CREATE TABLE push_subscriptions (id INTEGER PRIMARY KEY, subscribable_type TEXT, subscribable_id INTEGER,
             endpoint TEXT, public_key TEXT, auth_token TEXT, content_encoding TEXT, created_at TEXT);",
    );
    let mut row = |user: &str, endpoint: &str, (key, auth): (String, String), coding: &str| {
        let values = format!("'App\\User', {user}, '{endpoint}', '{key}', '{auth}', {coding}, '2024-01-01'");
        writeln!(sql, "INSERT INTO push_subscriptions VALUES (NULL, {values});").unwrap();
    };
    row("17", "https://push.example.net/p/1", keys(1), "'aes128gcm'");
    row("17", "https://push.example.net/p/2", keys(2), "NULL");
    // With the standard alphabet, as `btoa` writes it.
    let (key, auth) = keys(3);
    let standard = |text: String| text.replace('-', "+").replace('_', "/");
    row("18", "https://push.example.net/p/3", (standard(key), format!("{}==", standard(auth))), "'aesgcm'");
    row("18", "https://169.254.169.254/p/4", keys(4), "NULL");
    row("18", "https://push.example.net/p/5", (String::new(), String::new()), "NULL");
    row("NULL", "https://push.example.net/p/6", keys(6), "NULL");
    row("19", "https://push.example.net/p/7", keys(7), "'rot13'");
    sql
}

#[tokio::test]
async fn a_table_of_another_library_is_taken_over_without_its_bad_rows() {
    let fixture = Fixture::new("laravel");
    fixture.other(&laravel_table());
    let imported = fixture.import(&["--table", "push_subscriptions", "--channel", "news"]).await.unwrap();
    assert_eq!((imported.rows, imported.new, imported.known, imported.bad), (7, 3, 0, 4));

    let store = fixture.store().await;
    assert_eq!(store.subscriptions(&UserId::new("17").unwrap()).await.unwrap().len(), 2);
    let entries = store.subscriptions(&UserId::new("18").unwrap()).await.unwrap();
    assert_eq!(entries.len(), 1);
    assert_eq!(
        (entries[0].subscription.keys(), entries[0].coding),
        (&UserAgent::seeded(3).keys(), Coding::AesGcm)
    );
    let news = Audience::Channel(ChannelName::new("news").unwrap());
    assert_eq!(store.count(&news).await.unwrap().subscriptions, 3);
}

#[tokio::test]
async fn importing_again_changes_nothing() {
    let fixture = Fixture::new("again");
    fixture.other(&laravel_table());
    fixture.import(&["--table", "push_subscriptions"]).await.unwrap();
    let imported = fixture.import(&["--table", "push_subscriptions"]).await.unwrap();
    assert_eq!((imported.new, imported.known, imported.bad), (0, 3, 4));
}

#[tokio::test]
async fn other_names_of_columns_can_be_given() {
    let fixture = Fixture::new("names");
    let (key, auth) = keys(1);
    fixture.other(&format!(
        "CREATE TABLE \"odd \"\"name\" (who TEXT, url TEXT, k TEXT, a TEXT);
         INSERT INTO \"odd \"\"name\" VALUES ('alice', 'https://push.example.net/p/1', '{key}', '{auth}');"
    ));
    let names = ["user=who", "endpoint=url", "p256dh=k", "auth=a"];
    let columns = names.iter().flat_map(|name| ["--column", name]);
    let args: Vec<_> = ["--table", "odd \"name"].into_iter().chain(columns).collect();
    let imported = fixture.import(&args).await.unwrap();
    assert_eq!((imported.rows, imported.new), (1, 1));
    assert!(fixture.import(&["--table", "x", "--column", "owner=who"]).await.unwrap_err().contains("owner"));
}

#[tokio::test]
async fn a_table_that_is_not_there_is_an_error() {
    let fixture = Fixture::new("none");
    fixture.other("CREATE TABLE other (x);");
    assert!(fixture.import(&["--table", "push_subscriptions"]).await.is_err());
    assert!(fixture.import(&[]).await.unwrap_err().contains("usage"));
}
