//! The same in real time, with several threads: over memory, and over a file of SQLite.

use std::future::pending;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;
use tokio::time::{sleep, timeout};
use webpush_channels::channel::Worker;
use webpush_channels::store::journal::Journal;
use webpush_channels::store::{MemoryStore, SqliteStore};

use super::consistency;
use super::direct::{self, World, quiet};
use super::durable::{Deeds, enqueue};
use super::plan::{Plan, rng};
use super::temp::TempDir;
use super::{checks, members, seeds};

const LEASES: NonZeroUsize = NonZeroUsize::new(2).unwrap();
const TERM: Duration = Duration::from_secs(1);

fn run<T>(case: impl Future<Output = T>) -> T {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(2).enable_time().build().unwrap().block_on(case)
}

fn holds(world: &World, seed: u64) {
    let violations = world.violations();
    assert!(violations.is_empty(), "seed {seed}: {violations:#?}, {:#?}", world.plan);
}

#[test]
fn broadcasts_on_several_threads_keep_their_promises() {
    for seed in seeds(12) {
        let world = run(direct::case(Plan::draw(seed).quick(), None));
        holds(&world, seed);
    }
}

/// One worker vanishes, one is told to stop, and another does the rest.
async fn share(seed: u64, store: Arc<dyn Journal>) -> World {
    let world = World::over(store, Plan::draw(seed).quick(), None, None).await;
    let stable = members::stable(&world.inner, &world.plan).await;
    let rng = &mut rng((seed, "threads"));
    enqueue(world.clone(), 0, None, Duration::ZERO, rng.u16(1..6)).await;
    let vanishes = Worker::builder(world.hub(0), Arc::clone(&world.store)).term(TERM).leases(LEASES).build();
    let stops = Worker::builder(world.hub(1), Arc::clone(&world.store)).term(TERM).leases(LEASES).build();
    let times = (Duration::from_millis(rng.u64(1..150)), Duration::from_millis(rng.u64(1..400)));
    let (_, stopped) = tokio::join!(timeout(times.0, vanishes.run(pending())), stops.run(sleep(times.1)));
    stopped.unwrap();
    quiet(&world, Some(0)).await;
    quiet(&world, Some(1)).await;
    let rest = Worker::builder(world.hub(2), Arc::clone(&world.store)).term(TERM).build();
    timeout(Duration::from_secs(120), rest.run_until_idle()).await.expect("it ends").unwrap();
    quiet(&world, None).await;
    let deeds = Deeds { crashes: true, ..Deeds::default() };
    checks::durable(&world, 0, deeds, &stable).await;
    checks::always(&world);
    members::check_rows(&world.inner, &world.plan, &world.record).await;
    world
}

#[test]
fn workers_on_several_threads_keep_their_promises() {
    for seed in seeds(4) {
        let world = run(share(seed, Arc::new(MemoryStore::new())));
        holds(&world, seed);
    }
}

#[test]
fn workers_over_a_file_keep_their_promises() {
    for seed in seeds(4) {
        let dir = TempDir::new();
        let world = run(async {
            let store = SqliteStore::open(dir.join("file")).await.unwrap();
            share(seed, Arc::new(store)).await
        });
        holds(&world, seed);
        drop(world);
        consistency::check(&Connection::open(dir.join("file")).unwrap());
    }
}
