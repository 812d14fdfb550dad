//! Nodes: stores of their own over one database, and workers over them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{join_all, try_join_all};
use tokio::time::{sleep, timeout};
use webpush_channels::channel::{Broadcast, Channels, DurableChannel, Publication, Worker, WorkerBuilder};
use webpush_channels::sender::SenderBuilder;
use webpush_channels::store::journal::Journal as _;
use webpush_channels::store::{Audience, PostgresStore};
use webpush_channels::{BroadcastId, OutcomeKind, Report};

use crate::postgres::Database;
use crate::support::{Double, at, limits, members, news, sender};

pub const HOST: &str = "push.example.net";
/// Nothing here takes this long, unless it is broken.
const PATIENCE: Duration = Duration::from_secs(60);

pub type Store = Arc<PostgresStore>;

/// So many stores, each with connections of its own, over a new database with so many members.
pub async fn nodes<const N: usize>(subscriptions: usize) -> (Database, [Store; N]) {
    let database = Database::new().await;
    let stores = join_all((0..N).map(|_| database.store())).await;
    let stores: Vec<Store> = stores.into_iter().map(Arc::new).collect();
    if subscriptions > 0 {
        members(Arc::clone(&stores[0]), at(HOST, subscriptions)).await;
    }
    (database, stores.try_into().unwrap())
}

pub fn worker(store: &Store, transport: &Double, window: usize) -> WorkerBuilder {
    worker_of(store, sender(transport), window)
}

pub fn worker_of(store: &Store, sender: SenderBuilder, window: usize) -> WorkerBuilder {
    let hub =
        Channels::builder(Arc::clone(store), sender.build()).limits(limits().with_window(window)).build();
    Worker::builder(hub, Arc::clone(store)).leases(2.try_into().unwrap())
}

pub fn publication(broadcast: impl Into<Broadcast>) -> Publication {
    Publication::new(Audience::Channel(news()), broadcast)
}

pub async fn enqueue(store: &Store, broadcast: impl Into<Broadcast>) -> BroadcastId {
    DurableChannel::new(Arc::clone(store)).enqueue(publication(broadcast)).await.unwrap().id
}

/// How a broadcast stands; its counts always add up.
pub async fn report(store: &Store, id: &BroadcastId) -> Report {
    let report = store.report(id).await.unwrap().unwrap();
    assert_eq!(report.counts.total() + report.pending, report.read, "{report}");
    report
}

/// Works until nothing is left. No worker may fail.
pub async fn finish(workers: &[Worker]) {
    let idle = try_join_all(workers.iter().map(Worker::run_until_idle));
    timeout(PATIENCE, idle).await.expect("they come to an end").unwrap();
}

/// Waits until it is so.
pub async fn until(what: &str, mut so: impl AsyncFnMut() -> bool) {
    let wait = async {
        while !so().await {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("{what} does not come"));
}

/// Works until it is so, then stops gracefully.
pub async fn work_until(worker: &Worker, what: &str, so: impl AsyncFnMut() -> bool + Send) {
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let work = worker.run(async { stopped.await.unwrap_or_default() });
    let wait = async {
        until(what, so).await;
        stop.send(()).unwrap();
    };
    let (ended, ()) = tokio::join!(work, wait);
    ended.unwrap();
}

/// How often each subscription was sent to, by all nodes together.
pub fn times(transports: &[Double]) -> BTreeMap<String, usize> {
    let mut times = BTreeMap::new();
    for seen in transports.iter().flat_map(Double::seen) {
        *times.entry(seen.uri).or_default() += 1;
    }
    times
}

/// Every one of so many was sent to, exactly once, and accepted it.
pub fn each_once(report: &Report, transports: &[Double], subscriptions: usize) {
    assert_eq!((report.read, report.pending), (subscriptions as u64, 0), "{report}");
    assert_eq!(report.counts[OutcomeKind::Accepted], subscriptions as u64, "{report}");
    assert_eq!((report.repeats, report.takeovers), (0, 0), "{report}");
    let times = times(transports);
    assert_eq!(times.len(), subscriptions);
    assert!(times.values().all(|times| *times == 1), "{times:?}");
}
