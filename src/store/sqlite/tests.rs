//! Transactions, as both halves of the store rely on them.

use std::pin::Pin;
use std::sync::mpsc;
use std::task::{Context, Poll, Waker};

use rusqlite::Connection;

use super::error::{Fault, SqlError};
use super::task::Durability::{self, Durable, Relaxed};
use super::*;
use crate::store::StoreErrorKind;
use crate::testing::ManualClock;

#[path = "../../../tests/support/temp.rs"]
mod temp;

use temp::TempDir;

/// Levels of `synchronous`.
const NORMAL: i64 = 1;
const FULL: i64 = 2;

type Answer = Pin<Box<dyn Future<Output = Result<i64, StoreError>>>>;

async fn open(dir: &TempDir) -> SqliteStore {
    let one = NonZeroU8::new(1).unwrap();
    let store = SqliteStore::builder(dir.join("store.sqlite")).readers(one).open().await.unwrap();
    store.db.write(Durable, |c| Ok(c.execute_batch("CREATE TABLE t (n)")?)).await.unwrap();
    store
}

/// Asks for a write while the writer is [held](hold), and does not wait for it.
fn ask(
    store: &SqliteStore,
    durability: Durability,
    run: impl FnOnce(&Connection) -> Result<i64, SqlError> + Send + 'static,
) -> Answer {
    let db = store.db.clone();
    let mut answer: Answer = Box::pin(async move { Ok(db.write(durability, run).await?) });
    assert!(matches!(answer.as_mut().poll(&mut Context::from_waker(Waker::noop())), Poll::Pending));
    answer
}

/// Keeps the writer busy until the sender is dropped: what is asked meanwhile is one group.
fn hold(store: &SqliteStore) -> (Answer, mpsc::Sender<()>) {
    let (release, held) = mpsc::channel::<()>();
    let (running, runs) = mpsc::channel();
    let answer = ask(store, Relaxed, move |_| {
        let _ = running.send(());
        let _ = held.recv();
        Ok(0)
    });
    // By then its group is complete.
    runs.recv().unwrap();
    (answer, release)
}

fn insert(c: &Connection, number: i64) -> Result<i64, SqlError> {
    c.execute("INSERT INTO t VALUES (?1)", [number])?;
    Ok(number)
}

fn sum(c: &Connection) -> Result<i64, SqlError> {
    Ok(c.query_row("SELECT coalesce(sum(n), 0) FROM t", [], |row| row.get(0))?)
}

fn synchronous(c: &Connection) -> Result<i64, SqlError> {
    Ok(c.pragma_query_value(None, "synchronous", |row| row.get(0))?)
}

#[tokio::test]
async fn what_waits_is_one_transaction() {
    let dir = TempDir::new();
    let store = open(&dir).await;
    let (held, release) = hold(&store);
    let first = ask(&store, Relaxed, |c| insert(c, 1));
    let path = dir.join("store.sqlite");
    let second = ask(&store, Relaxed, move |c| {
        let outside = sum(&Connection::open(path)?)?;
        Ok(10 * sum(c)? + outside)
    });
    drop(release);
    held.await.unwrap();
    assert_eq!(second.await.unwrap(), 10, "the first is there, and not yet for others");
    assert_eq!(first.await.unwrap(), 1);
    assert_eq!(store.db.read(sum).await.unwrap(), 1);
}

#[tokio::test]
async fn an_operation_that_fails_takes_no_other_with_it() {
    let dir = TempDir::new();
    let store = open(&dir).await;
    let (_held, release) = hold(&store);
    let before = ask(&store, Durable, |c| insert(c, 1));
    let failing = ask(&store, Durable, |c| {
        insert(c, 10)?;
        Err(StoreError::new(StoreErrorKind::Invalid).into())
    });
    let panicking = ask(&store, Durable, |c| {
        insert(c, 100)?;
        panic!("an operation that panics, on purpose")
    });
    let after = ask(&store, Durable, |c| insert(c, 1000));
    drop(release);
    assert_eq!((before.await.unwrap(), after.await.unwrap()), (1, 1000));
    assert_eq!(failing.await.unwrap_err().kind(), StoreErrorKind::Invalid);
    assert_eq!(panicking.await.unwrap_err().kind(), StoreErrorKind::Backend);
    assert_eq!(store.db.read(sum).await.unwrap(), 1001);

    // Alone, there is no other that would commit it.
    let alone = store.db.write(Durable, |c| {
        insert(c, 10)?;
        Err::<(), _>(Fault::Ended.into())
    });
    assert!(alone.await.is_err());
    let panicking = store.db.read(|_| -> Result<(), SqlError> { panic!("a read that panics, on purpose") });
    assert!(matches!(panicking.await, Err(SqlError::Fault(Fault::Panicked))));
    assert_eq!(store.db.read(sum).await.unwrap(), 1001);
}

#[tokio::test]
async fn a_transaction_that_is_lost_is_answered_to_all() {
    let dir = TempDir::new();
    let store = open(&dir).await;
    let (_held, release) = hold(&store);
    let before = ask(&store, Durable, |c| insert(c, 1));
    // As a full disk does.
    let failing = ask(&store, Durable, |c| {
        c.execute_batch("ROLLBACK")?;
        Err(StoreError::new(StoreErrorKind::Backend).into())
    });
    let after = ask(&store, Durable, |c| insert(c, 1000));
    drop(release);
    assert!(before.await.unwrap_err().is_retryable());
    assert_eq!(failing.await.unwrap_err().kind(), StoreErrorKind::Backend);
    assert!(after.await.unwrap_err().is_retryable());
    assert_eq!(store.db.write(Durable, |c| insert(c, 5)).await.unwrap(), 5);
    assert_eq!(store.db.read(sum).await.unwrap(), 5);
}

#[tokio::test]
async fn the_disk_is_waited_for_when_one_of_a_group_asks_for_it() {
    let dir = TempDir::new();
    let store = open(&dir).await;
    let level = async |durability| store.db.write(durability, synchronous).await.unwrap();
    assert_eq!((level(Durable).await, level(Relaxed).await, level(Durable).await), (FULL, NORMAL, FULL));
    let (_held, release) = hold(&store);
    let [relaxed, durable] = [Relaxed, Durable].map(|durability| ask(&store, durability, synchronous));
    drop(release);
    assert_eq!((relaxed.await.unwrap(), durable.await.unwrap()), (FULL, FULL));
    assert_eq!(level(Relaxed).await, NORMAL);
}

#[tokio::test]
async fn the_disk_is_waited_for_once_a_second_at_least() {
    let dir = TempDir::new();
    drop(open(&dir).await);
    let clock = Arc::new(ManualClock::at_unix(1_700_000_000));
    let store =
        SqliteStore::builder(dir.join("store.sqlite")).clock(Arc::clone(&clock)).open().await.unwrap();
    let write = async || {
        let level = store.db.write(Relaxed, |c| {
            insert(c, 1)?;
            synchronous(c)
        });
        level.await.unwrap()
    };
    let look = async || store.db.write(Relaxed, synchronous).await.unwrap();
    assert_eq!((write().await, write().await), (1, 1));
    clock.advance(Duration::from_millis(999));
    assert_eq!(write().await, 1);
    clock.advance(Duration::from_millis(1));
    assert_eq!((look().await, write().await, look().await), (2, 2, 1), "only what is written is kept");
    clock.advance(Duration::from_secs(60));
    assert_eq!((write().await, look().await), (1, 1));
    clock.set(std::time::SystemTime::UNIX_EPOCH);
    assert_eq!(write().await, 2);
}

#[tokio::test]
async fn what_nobody_waits_for_is_not_done() {
    let dir = TempDir::new();
    let store = open(&dir).await;
    let (_held, release) = hold(&store);
    drop(ask(&store, Durable, |c| insert(c, 1)));
    let kept = ask(&store, Durable, |c| insert(c, 10));
    drop(release);
    kept.await.unwrap();
    assert_eq!(store.db.read(sum).await.unwrap(), 10);
}

#[tokio::test]
async fn a_read_is_one_snapshot_and_cannot_write() {
    let dir = TempDir::new();
    let store = open(&dir).await;
    let path = dir.join("store.sqlite");
    let sums = store.db.read(move |c| {
        let before = sum(c)?;
        insert(&Connection::open(path)?, 7)?;
        Ok((before, sum(c)?))
    });
    assert_eq!(sums.await.unwrap(), (0, 0));
    assert_eq!(store.db.read(sum).await.unwrap(), 7);
    let error = StoreError::from(store.db.read(|c| insert(c, 1)).await.unwrap_err());
    assert_eq!(error.kind(), StoreErrorKind::Backend);
    assert_eq!(store.db.read(sum).await.unwrap(), 7);
}

#[tokio::test]
async fn pages_are_read_along_the_tables() {
    let dir = TempDir::new();
    let store = open(&dir).await;
    let plans = store.db.read(|c| {
        let queries = [scan::MEMBERS, scan::OF_USER, scan::NEEDING_RENEWAL, scan::UNSEEN_END, scan::UNSEEN];
        queries.into_iter().map(|sql| plan(c, sql)).collect::<Result<Vec<_>, _>>()
    });
    for plan in plans.await.unwrap() {
        assert!(!plan.contains("SCAN s") && !plan.contains("SCAN members"), "{plan}");
        assert!(!plan.contains("TEMP B-TREE") && !plan.contains("MATERIALIZE"), "{plan}");
    }
}

fn plan(c: &Connection, sql: &str) -> Result<String, SqlError> {
    let mut statement = c.prepare(&format!("EXPLAIN QUERY PLAN {sql}"))?;
    let mut rows = statement.raw_query();
    let mut plan = String::new();
    while let Some(row) = rows.next()? {
        plan = format!("{plan}{}\n", row.get::<_, String>(3)?);
    }
    Ok(plan)
}
