//! Stores against a model, under random operations that go on at the same time: whether there is an
//! order in which one after the other would have said the same (Wing and Gong's search), and of scans what
//! the contract promises while things change.
//!
//! `MODEL_SEED` and `MODEL_ROUNDS` choose another history, and a longer one. A seed chooses the
//! operations; how they meet is the machine's, except with the broken doubles, which are driven by one
//! thread.

#![cfg(all(feature = "sqlite", feature = "postgres"))]
#![allow(clippy::unwrap_used, reason = "in a test, a panic is the message")]

#[path = "../support/consistency.rs"]
mod consistency;
#[path = "../support/consistent.rs"]
mod consistent;
mod doubles;
mod journal;
mod linear;
mod model;
mod ops;
#[path = "../support/pg_consistency.rs"]
mod pg_consistency;
#[path = "../support/postgres.rs"]
mod postgres;
mod rounds;
mod scans;
#[path = "../support/temp.rs"]
mod temp;
mod universe;

use std::num::NonZeroU32;
use std::str::FromStr;
use std::sync::Arc;

use rusqlite::Connection;
use webpush_channels::store::journal::Journal;
use webpush_channels::store::{MemoryStore, SqliteStore, SubscriptionStore};

use self::doubles::{Flaw, Flawed};
use self::postgres::Database;
use self::rounds::{Run, Tally};
use self::temp::TempDir;

/// How many entries a user may have in those histories that have a limit. Those who stay have one.
const LIMIT: u32 = 2;

fn variable<T: FromStr>(name: &str) -> Option<T> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

/// Runs one history, or panics with what it takes to see it again.
async fn agree(handles: Vec<Arc<dyn SubscriptionStore>>, limit: Option<u32>, rounds: u64) -> Tally {
    let seed = variable("MODEL_SEED").unwrap_or(1);
    let rounds = variable("MODEL_ROUNDS").unwrap_or(rounds);
    let limit = limit.map(|limit| limit as usize);
    let run = async { Run::new(handles, limit, seed).await?.rounds(rounds).await };
    let tally = run.await.unwrap_or_else(|problem| panic!("MODEL_SEED={seed}: {problem}"));
    println!("seed {seed}, limit {limit:?}: {tally:?}");
    // A run in which no scan ended, or none had to find anything, would show nothing of them.
    assert!(tally.rounds == rounds && tally.certain > 0, "{tally:?}");
    tally
}

fn memory(limit: Option<u32>) -> MemoryStore {
    let builder = MemoryStore::builder();
    match limit {
        Some(limit) => builder.max_subscriptions_per_user(NonZeroU32::new(limit).unwrap()).build(),
        None => builder.build(),
    }
}

fn handle(store: impl SubscriptionStore) -> Arc<dyn SubscriptionStore> {
    Arc::new(store)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn memory_agrees() {
    for limit in [None, Some(LIMIT)] {
        agree(vec![handle(memory(limit))], limit, 2000).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sqlite_agrees_for_the_processes_of_one_file() {
    for limit in [None, Some(LIMIT)] {
        let dir = TempDir::new();
        let file = dir.join("store.sqlite");
        let mut handles = Vec::new();
        for _ in 0..3 {
            let mut builder = SqliteStore::builder(&file);
            if let Some(limit) = limit {
                builder = builder.max_subscriptions_per_user(NonZeroU32::new(limit).unwrap());
            }
            handles.push(handle(builder.open().await.unwrap()));
        }
        let tally = agree(handles, limit, 150).await;
        assert!(tally.met > tally.operations / 2, "they go on at the same time: {tally:?}");
        consistency::check(&Connection::open(&file).unwrap());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn postgres_agrees_for_two_nodes() {
    for limit in [None, Some(LIMIT)] {
        let database = Database::new().await;
        let mut handles = Vec::new();
        for _ in 0..2 {
            let mut builder = database.builder();
            if let Some(limit) = limit {
                builder = builder.max_subscriptions_per_user(NonZeroU32::new(limit).unwrap());
            }
            handles.push(handle(builder.connect().await.unwrap()));
        }
        let tally = agree(handles, limit, 150).await;
        assert!(tally.met > tally.operations / 2, "they go on at the same time: {tally:?}");
        pg_consistency::check(&database.client().await).await;
    }
}

/// What comes of a store with a flaw, on one thread: the same for the same seed, always.
async fn judged(flaw: Flaw, seed: u64, rounds: u64) -> Result<Tally, String> {
    let limit = seed.is_multiple_of(2).then_some(LIMIT);
    let racy = flaw == Flaw::CountThenPut;
    let inner = memory(limit.filter(|_| !racy));
    let limit = limit.map(|limit| limit as usize);
    let store = Flawed::new(inner, flaw, limit);
    Run::new(vec![handle(store)], limit, seed).await?.rounds(rounds).await
}

/// A model that finds nothing would agree with everything.
#[tokio::test]
async fn each_broken_store_is_found() {
    const SEEDS: u64 = 10;
    const ROUNDS: u64 = 60;
    for seed in 1..=SEEDS {
        let tally =
            judged(Flaw::None, seed, ROUNDS).await.unwrap_or_else(|problem| panic!("seed {seed}: {problem}"));
        assert!(tally.met > tally.operations / 2, "{tally:?}");
    }
    for flaw in Flaw::ALL {
        let mut found = None;
        for seed in 1..=SEEDS {
            found = judged(*flaw, seed, ROUNDS).await.err().map(|problem| (seed, problem));
            if found.is_some() {
                break;
            }
        }
        let (seed, problem) = found.unwrap_or_else(|| panic!("{flaw:?} was not found with {SEEDS} seeds"));
        println!("{flaw:?}: found with seed {seed}: {}", problem.lines().next().unwrap_or_default());
    }
}

/// Runs one history of leases, or panics with what it takes to see it again.
async fn agree_on_leases(handles: Vec<Arc<dyn Journal>>, rounds: u64) {
    let (seed, rounds) = (variable("MODEL_SEED").unwrap_or(1), variable("MODEL_ROUNDS").unwrap_or(rounds));
    let agreed = journal::agree(handles, journal::Flaw::None, seed, rounds).await;
    let agreed = agreed.unwrap_or_else(|problem| panic!("MODEL_SEED={seed}: {problem}"));
    println!("seed {seed}: {rounds} rounds, {agreed} leases, checkpoints and releases");
    assert!(agreed as u64 > rounds, "something was leased in each round");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn memory_fences() {
    agree_on_leases(vec![Arc::new(MemoryStore::new())], 1000).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sqlite_fences_the_processes_of_one_file() {
    let dir = TempDir::new();
    let file = dir.join("store.sqlite");
    let mut handles: Vec<Arc<dyn Journal>> = Vec::new();
    for _ in 0..2 {
        handles.push(Arc::new(SqliteStore::open(&file).await.unwrap()));
    }
    agree_on_leases(handles, 60).await;
    consistency::check(&Connection::open(&file).unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn postgres_fences_two_nodes() {
    let database = Database::new().await;
    let handles: Vec<Arc<dyn Journal>> =
        vec![Arc::new(database.store().await), Arc::new(database.store().await)];
    agree_on_leases(handles, 60).await;
    pg_consistency::check(&database.client().await).await;
}

#[tokio::test]
async fn each_broken_journal_is_found() {
    let memory = || -> Vec<Arc<dyn Journal>> { vec![Arc::new(MemoryStore::new())] };
    journal::agree(memory(), journal::Flaw::None, 1, 50).await.unwrap();
    for flaw in journal::Flaw::ALL {
        assert!(journal::agree(memory(), *flaw, 1, 50).await.is_err(), "{flaw:?} was not found");
    }
}
