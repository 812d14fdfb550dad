//! Workers over a journal that can fail, with paused time.

#![allow(dead_code, unreachable_pub, clippy::unwrap_used, reason = "a part of the tests that use it")]

#[path = "faulty.rs"]
pub mod faulty;

use std::collections::BTreeMap;
use std::sync::Arc;

use webpush_channels::channel::{Broadcast, Channels, DurableChannel, Publication, Worker, WorkerBuilder};
use webpush_channels::store::Audience;
use webpush_channels::store::journal::Journal;
use webpush_channels::{BroadcastId, OutcomeKind, Report};

use self::faulty::Faulty;
use crate::support::{Double, limits, news, sender, store};

pub fn builder(journal: &Arc<Faulty>, transport: &Double, window: usize) -> WorkerBuilder {
    let hub = Channels::builder(Arc::clone(&journal.store), sender(transport).build())
        .limits(limits().with_window(window))
        .build();
    Worker::builder(hub, Arc::clone(journal))
}

pub fn worker(journal: &Arc<Faulty>, transport: &Double, window: usize) -> Worker {
    builder(journal, transport, window).build()
}

pub async fn enqueue(journal: &Arc<Faulty>, broadcast: impl Into<Broadcast>) -> BroadcastId {
    let publication = Publication::new(Audience::Channel(news()), broadcast);
    DurableChannel::new(Arc::clone(journal)).enqueue(publication).await.unwrap().id
}

pub async fn report(journal: &Arc<Faulty>, id: &BroadcastId) -> Report {
    let report = journal.report(id).await.unwrap().unwrap();
    assert_eq!(report.counts.total() + report.pending, report.read, "{report}");
    let by_origin: u64 = report.origins.iter().map(|origin| origin.counts.total()).sum();
    assert_eq!(by_origin, report.counts.total(), "{report}");
    report
}

/// Enqueues and works until it is finished.
pub async fn run(
    journal: &Arc<Faulty>,
    transport: &Double,
    window: usize,
    broadcast: impl Into<Broadcast>,
) -> Report {
    let id = enqueue(journal, broadcast).await;
    worker(journal, transport, window).run_until_idle().await.unwrap();
    let report = report(journal, &id).await;
    assert_eq!(report.pending, 0, "{report}");
    report
}

pub async fn journal(urls: impl IntoIterator<Item = String>) -> Arc<Faulty> {
    Faulty::new(store(urls).await)
}

pub fn one(report: &Report, kind: OutcomeKind) {
    assert_eq!(report.counts[kind], report.read, "{report}");
}

/// How often each URI was asked.
pub fn times(transport: &Double) -> BTreeMap<String, usize> {
    let mut times = BTreeMap::new();
    for seen in transport.seen() {
        *times.entry(seen.uri).or_default() += 1;
    }
    times
}
