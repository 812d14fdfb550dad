//! What `SqliteStore` makes of files that it cannot use, or cannot use now.

#![cfg(feature = "sqlite")]
#![allow(clippy::unwrap_used, reason = "in a test, a panic is the message")]

#[path = "support/temp.rs"]
mod temp;

use std::error::Error as _;
use std::fs;
use std::num::NonZeroU16;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::Connection;
use temp::TempDir;
use webpush_channels::store::journal::{Begun, Journal as _, NewBroadcast, WorkerId};
use webpush_channels::store::{
    Audience, NewEntry, Put, SqliteFileError, SqliteStore, StoreError, StoreErrorKind, SubscriptionStore,
};
use webpush_channels::{
    AuthSecret, BroadcastId, ChannelName, Message, Payload, PublicKey, Subscription, SubscriptionKeys, Ttl,
    UserId,
};

const P256DH: &str =
    "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4";

fn user(name: &str) -> UserId {
    UserId::new(name).unwrap()
}

fn new(owner: &str, endpoint: u32) -> NewEntry {
    let key = PublicKey::from_base64url(P256DH).unwrap();
    let keys = SubscriptionKeys::new(key, AuthSecret::from_bytes([1; 16]));
    // As long as those of some push services.
    let endpoint = format!("https://push.example.net/{endpoint}/{}", "x".repeat(400)).parse().unwrap();
    NewEntry::new(user(owner), Subscription::new(endpoint, keys))
}

/// A file with a store in it that has one subscription.
async fn made(dir: &TempDir) -> PathBuf {
    let path = dir.join("store.sqlite");
    let store = SqliteStore::open(&path).await.unwrap();
    store.put(&[new("ann", 1)]).await.unwrap();
    store.close().await.unwrap();
    path
}

fn sql(path: &Path, sql: &str) {
    Connection::open(path).unwrap().execute_batch(sql).unwrap();
}

async fn refused(path: &Path) -> StoreError {
    SqliteStore::open(path).await.expect_err("the file cannot be used")
}

async fn refused_with(path: &Path, expected: SqliteFileError) {
    let error = refused(path).await;
    assert_eq!(error.source().unwrap().downcast_ref(), Some(&expected), "{error:?}");
    assert!(!error.is_retryable());
}

fn advice(error: &StoreError) -> String {
    error.source().expect("there is a cause").to_string()
}

#[tokio::test]
async fn a_database_in_memory_is_refused() {
    for path in [":memory:", ""] {
        assert_eq!(refused(Path::new(path)).await.kind(), StoreErrorKind::Invalid);
        refused_with(Path::new(path), SqliteFileError::InMemory).await;
    }
}

#[tokio::test]
async fn a_path_that_cannot_be_opened_is_refused() {
    let dir = TempDir::new();
    for path in [dir.path().to_owned(), dir.join("no/such/directory")] {
        let error = refused(&path).await;
        assert_eq!(error.kind(), StoreErrorKind::Backend);
        assert!(advice(&error).contains("look at its path"), "{error:?}");
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "nothing was made");
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused_and_kept() {
    let dir = TempDir::new();
    let (path, text) = (dir.join("notes.txt"), "Not a database. ".repeat(100));
    fs::write(&path, &text).unwrap();
    let error = refused(&path).await;
    assert_eq!(error.kind(), StoreErrorKind::Backend);
    assert!(advice(&error).contains("not a database"), "{error:?}");
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
}

/// Endpoints and keys are in it (S-14).
#[cfg(unix)]
#[tokio::test]
async fn a_new_file_is_its_owners_alone_and_one_that_is_there_keeps_its_mode() {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    let dir = TempDir::new();
    let (linked, shared) = (dir.join("elsewhere.sqlite"), dir.join("shared.sqlite"));
    symlink("elsewhere.sqlite", dir.join("link")).unwrap();
    fs::write(&shared, "").unwrap();
    fs::set_permissions(&shared, fs::Permissions::from_mode(0o660)).unwrap();
    for (open, file, mode) in [
        (dir.join("new.sqlite"), dir.join("new.sqlite"), 0o600),
        (dir.join("link"), linked, 0o600),
        (shared.clone(), shared, 0o660),
    ] {
        let store = SqliteStore::open(&open).await.unwrap();
        assert_eq!(store.put(&[new("ann", 1)]).await.unwrap(), [Put::New]);
        for end in ["", "-wal", "-shm"] {
            let file = format!("{}{end}", file.display());
            assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, mode, "{file}");
        }
        store.close().await.unwrap();
    }
}

#[tokio::test]
async fn an_empty_file_is_taken() {
    let dir = TempDir::new();
    let path = dir.join("empty");
    fs::write(&path, "").unwrap();
    let store = SqliteStore::open(&path).await.unwrap();
    assert_eq!(store.put(&[new("ann", 1)]).await.unwrap(), [Put::New]);
}

#[tokio::test]
async fn a_database_of_another_program_is_refused_and_kept() {
    let marks = ["PRAGMA application_id = 7", "PRAGMA user_version = 1", "CREATE TABLE meta (name, value)"];
    for mark in marks {
        let dir = TempDir::new();
        let path = dir.join("other.sqlite");
        sql(&path, mark);
        let before = fs::read(&path).unwrap();
        refused_with(&path, SqliteFileError::Foreign).await;
        assert_eq!(fs::read(&path).unwrap(), before, "{mark}");
    }
}

#[tokio::test]
async fn a_cut_database_is_refused() {
    let dir = TempDir::new();
    let path = made(&dir).await;
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    let error = refused(&path).await;
    assert_eq!(error.kind(), StoreErrorKind::Backend);
    assert!(advice(&error).contains("damaged"), "{error:?}");
}

#[tokio::test]
async fn a_database_for_later_programs_is_refused_with_both_numbers() {
    let dir = TempDir::new();
    let path = made(&dir).await;
    sql(&path, "UPDATE meta SET value = 9 WHERE name = 'schema'; PRAGMA user_version = 9");
    // One that only has more columns is used as it is.
    sql(&path, "ALTER TABLE subscriptions ADD COLUMN later TEXT");
    let store = SqliteStore::open(&path).await.unwrap();
    assert_eq!(store.put(&[new("ann", 2)]).await.unwrap(), [Put::New]);
    assert_eq!(store.subscriptions(&user("ann")).await.unwrap().len(), 2);
    store.close().await.unwrap();

    sql(&path, "UPDATE meta SET value = 8 WHERE name = 'min_reader'");
    refused_with(&path, SqliteFileError::Newer { needed: 8, known: 2 }).await;
    let text = advice(&refused(&path).await);
    assert!(text.contains("schema 8") && text.contains("knows 2"), "{text}");
}

#[tokio::test]
async fn a_database_of_an_earlier_program_is_brought_up_to_date() {
    let dir = TempDir::new();
    let path = made(&dir).await;
    sql(
        &path,
        "ALTER TABLE broadcasts DROP COLUMN fallback; UPDATE meta SET value = 1 WHERE name = 'schema'",
    );
    sql(&path, "PRAGMA user_version = 1");
    let store = SqliteStore::open(&path).await.unwrap();
    assert_eq!(store.subscriptions(&user("ann")).await.unwrap().len(), 1);
    let payload = |text: &'static str| Payload::new(text).unwrap();
    let message = Message::new(payload("long"), Ttl::hours(1)).with_fallback(payload("short"));
    let new = NewBroadcast::new(
        BroadcastId::new("b").unwrap(),
        Audience::User(user("ann")),
        message.clone(),
        Duration::from_secs(60),
    );
    let ranges = store.split(&new.audience, NonZeroU16::MIN).await.unwrap();
    assert_eq!(store.begin(&new, &ranges).await.unwrap(), Begun::Created);
    let lease = store.lease(&WorkerId::random(), Duration::from_secs(9), NonZeroU16::MIN).await.unwrap();
    assert_eq!(lease.unwrap().broadcast.message, message);
    store.close().await.unwrap();
}

#[tokio::test]
async fn an_incomplete_database_is_refused() {
    for damage in ["DELETE FROM meta WHERE name = 'schema'", "UPDATE meta SET value = 'x' WHERE name = 'tag'"]
    {
        let dir = TempDir::new();
        let path = made(&dir).await;
        sql(&path, damage);
        let error = refused(&path).await;
        assert_eq!(error.kind(), StoreErrorKind::Backend, "{damage}");
    }
    let dir = TempDir::new();
    let path = made(&dir).await;
    sql(&path, "DELETE FROM meta WHERE name = 'tag'");
    refused_with(&path, SqliteFileError::Incomplete).await;
}

#[tokio::test]
async fn a_database_that_is_held_is_unavailable_and_works_again() {
    let dir = TempDir::new();
    let path = made(&dir).await;
    let builder = SqliteStore::builder(&path).busy_timeout(Duration::from_millis(10));
    let store = builder.clone().open().await.unwrap();
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let results = [
        store.put(&[new("ann", 2)]).await.map(drop),
        store.join(&ChannelName::new("news").unwrap(), &[user("ann")]).await,
        store.forget(&user("ann")).await,
        store.check().await,
        builder.open().await.map(drop),
    ];
    for result in results {
        let error = result.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Unavailable);
        assert!(advice(&error).contains("another process"), "{error:?}");
    }
    // Reading goes on.
    assert_eq!(store.subscriptions(&user("ann")).await.unwrap().len(), 1);

    other.execute_batch("ROLLBACK").unwrap();
    assert_eq!(store.put(&[new("ann", 2)]).await.unwrap(), [Put::New]);
    store.check().await.unwrap();
}

#[tokio::test]
async fn a_full_disk_is_unavailable_and_damages_nothing() {
    let dir = TempDir::new();
    let path = dir.join("store.sqlite");
    let small = SqliteStore::builder(&path).max_size_mb(1).open().await.unwrap();
    let (mut stored, mut number) = (0, 0);
    let error = loop {
        let batch: Vec<_> = (0..100).map(|i| new(&format!("u{}", number + i), number + i)).collect();
        match small.put(&batch).await {
            Ok(_) => stored += 100,
            Err(error) => break error,
        }
        number += 100;
        assert!(number < 10_000, "a megabyte is full at some time");
    };
    assert!(error.is_retryable() && advice(&error).contains("free some space"), "{error:?}");
    assert!(stored > 100);
    // Nothing of the batch that did not fit is there, and all of the others.
    let last = |number: u32| user(&format!("u{number}"));
    assert_eq!(small.subscriptions(&last(stored)).await.unwrap().len(), 0);
    assert_eq!(small.subscriptions(&last(stored - 1)).await.unwrap().len(), 1);
    // What needs no room goes on, and room that is made is used.
    for number in 0..200 {
        small.forget(&last(number)).await.unwrap();
    }
    assert_eq!(small.put(&[new("ann", 20_000)]).await.unwrap(), [Put::New]);
    small.close().await.unwrap();

    let check = Connection::open(&path).unwrap();
    let result: String = check.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(result, "ok");
    let large = SqliteStore::open(&path).await.unwrap();
    let again: Vec<_> = (0..100).map(|i| new(&format!("u{}", stored + i), stored + i)).collect();
    assert_eq!(large.put(&again).await.unwrap(), vec![Put::New; 100]);
}

#[tokio::test]
async fn a_file_that_was_exchanged_is_noticed_by_the_check() {
    let dir = TempDir::new();
    let path = made(&dir).await;
    let store = SqliteStore::open(&path).await.unwrap();
    store.check().await.unwrap();
    sql(&path, "UPDATE meta SET value = x'0000000000000000' WHERE name = 'tag'");
    let error = store.check().await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Backend);
}

#[tokio::test]
async fn nothing_of_a_store_names_what_it_keeps() {
    let dir = TempDir::new();
    let path = made(&dir).await;
    let store = SqliteStore::open(&path).await.unwrap();
    let text = format!("{store:?} {:?}", SqliteStore::builder(&path));
    assert!(text.contains("store.sqlite") && !text.contains("push.example.net"), "{text}");
    // A broken index makes SQLite name what it was about to insert twice.
    sql(&path, "UPDATE subscriptions SET id = zeroblob(32)");
    sql(&path, "CREATE UNIQUE INDEX one_user ON subscriptions (endpoint)");
    let error = store.put(&[new("ann", 1)]).await.unwrap_err();
    let mut text = format!("{error:?} {error}");
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text} {error:?} {error}");
        source = error.source();
    }
    assert!(text.contains("UNIQUE") && !text.contains("push.example.net"), "{text}");
}
