//! Giving leases back while the journal is away.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[allow(unused_imports, reason = "a part of the tests that use it")]
#[path = "support/durable.rs"]
mod durable;
mod support;

use std::time::Duration;

use durable::{builder, enqueue, one, report, worker};
use support::{Double, at, broadcast, status};
use tokio::time::{Instant, sleep, timeout};
use webpush_channels::store::StoreErrorKind;
use webpush_channels::{BroadcastState, OutcomeKind};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn a_range_that_cannot_be_read_is_given_back_after_an_outage() {
    let transport = Double::accepting();
    let journal = durable::journal(at("push.example.net", 20)).await;
    let id = enqueue(&journal, broadcast()).await;
    // Reading is given up after three seconds, in the middle of the outage.
    *journal.page_kind.lock().unwrap() = Some(StoreErrorKind::Unavailable);
    journal.away(Instant::now() + SECOND, 5 * SECOND);
    let worker = worker(&journal, &transport, 8);
    let back = async {
        sleep(6 * SECOND).await;
        *journal.page_kind.lock().unwrap() = None;
    };
    // Before the term of the lease has passed.
    let (done, ()) = tokio::join!(timeout(20 * SECOND, worker.run_until_idle()), back);
    done.expect("nobody waits for the end of a term").unwrap();
    let report = report(&journal, &id).await;
    one(&report, OutcomeKind::Accepted);
    assert_eq!((report.state, report.read, report.takeovers), (BroadcastState::Finished, 20, 0), "{report}");
}

#[tokio::test(start_paused = true)]
async fn a_worker_ends_in_time_although_the_journal_is_away() {
    let transport = Double::slow(|_, _| (Duration::from_millis(100), status(201)));
    let journal = durable::journal(at("push.example.net", 400)).await;
    enqueue(&journal, broadcast()).await;
    let worker = builder(&journal, &transport, 40).term(600 * SECOND).grace(2 * SECOND).build();
    journal.away(Instant::now() + SECOND / 2, 10_000 * SECOND);
    let start = Instant::now();
    worker.run(sleep(SECOND)).await.unwrap();
    assert!(start.elapsed() <= 7 * SECOND, "{:?}", start.elapsed());
}
