//! What a checkpoint costs, beside the messages that it stands for.

use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Runtime;
use webpush_channels::channel::{DurableChannel, Publication};
use webpush_channels::store::journal::{
    Checkpoint, Deferred, FailedDelivery, Journal, Lease, RetryId, State, Tried, Work, WorkerId,
};
use webpush_channels::store::{Audience, Change, Entry, Page};
use webpush_channels::{Counts, Failure, OriginLabel, OriginReport, OutcomeKind, Vendor};

use super::engine::Engine;
use super::table::{Row, Samples};
use super::{Sizes, channel, floor, message, usage};

const PAGE: NonZeroU16 = NonZeroU16::new(1000).expect("not zero");
const TERM: Duration = Duration::from_secs(3600);
/// Of the thousand entries of a checkpoint: one in a hundred fails and is changed, one in two
/// hundred is deferred.
const FAILED: usize = 10;
const DEFERRED: usize = 5;

/// A thousand entries each; the share of what encrypting the same thousand costs, and where there is
/// a server, who bears it.
pub(crate) fn measure(
    runtime: &Runtime,
    engine: &Engine,
    store: &Arc<dyn Journal>,
    sizes: Sizes,
) -> Vec<Row> {
    let channel = DurableChannel::new(Arc::clone(store)).with_ranges(NonZeroU16::MIN);
    let to = Audience::Channel(channel::name());
    let enqueued = runtime
        .block_on(channel.enqueue(Publication::new(to.clone(), channel::broadcast())))
        .expect("it is stored");
    let worker = WorkerId::random();
    let lease = runtime
        .block_on(store.lease(&worker, TERM, NonZeroU16::MIN))
        .expect("a lease")
        .expect("there is work");
    let page = page(runtime, store, &lease, &to);
    let checkpoints: Vec<_> =
        (1..=sizes.checkpoints).map(|number| checkpoint(&worker, number, &page)).collect();
    let cost = engine.cost(|| {
        for checkpoint in checkpoints {
            let state = runtime.block_on(store.checkpoint(&lease.token, checkpoint)).expect("it is stored");
            assert!(matches!(state, State::Running(_)));
        }
    });
    runtime.block_on(store.abort(&enqueued.id)).expect("it is there");
    let each = |cost| usage::micros(cost, sizes.checkpoints * usize::from(PAGE.get()));
    let floor = message::floor(sizes.messages, floor::aws_lc);
    let mut rows = vec![Row::ratio(
        "a checkpoint of 1000 entries, for each entry",
        &Samples(vec![each(cost.total())]),
        "a message on aws-lc-rs",
        &Samples(vec![floor]),
        // 2 % of a push, which with its request is 1.24 times a message (the floors of `budgets`).
        0.0248,
    )];
    if let Engine::Postgres { .. } = engine {
        rows.push(Row::told("of it this process", "-".into(), each(cost.client), " us"));
        rows.push(Row::told("of it the server", "-".into(), each(cost.server), " us"));
    }
    rows
}

fn page(runtime: &Runtime, store: &Arc<dyn Journal>, lease: &Lease, to: &Audience) -> Page {
    let Work::Range { range, after } = &lease.work else { panic!("the work is a range") };
    runtime.block_on(store.page(to, range, after.as_ref(), PAGE)).expect("a page")
}

fn checkpoint(worker: &WorkerId, number: usize, page: &Page) -> Checkpoint {
    let label = OriginLabel::Vendor(Vendor::Fcm);
    let mut counts = Counts::default();
    let accepted = page.entries.len() - FAILED - DEFERRED;
    counts.add(OutcomeKind::Accepted, accepted as u64);
    counts.add(OutcomeKind::TooLarge, FAILED as u64);
    let mut checkpoint = Checkpoint::new(number as u64, TERM);
    checkpoint.position = page.next;
    checkpoint.read = page.entries.len() as u64;
    checkpoint.attempts = checkpoint.read;
    checkpoint.counts = vec![OriginReport::new(label.clone(), counts)];
    let offset = number * (FAILED + DEFERRED) % (page.entries.len() - FAILED - DEFERRED);
    let (failed, deferred) = page.entries[offset..offset + FAILED + DEFERRED].split_at(FAILED);
    checkpoint.changes = failed.iter().map(|it| (it.reference(), Change::LimitPayload(3000))).collect();
    checkpoint.failures = failed.iter().map(|it| failure(it, &label)).collect();
    let retry = |(n, it): (usize, &Entry)| {
        let id = RetryId::of(worker, (number * DEFERRED + n) as u64);
        Deferred::new(id, it.user.clone(), it.reference(), label.clone(), Tried::new(1, 1, false), TERM, TERM)
    };
    checkpoint.deferred = deferred.iter().enumerate().map(retry).collect();
    checkpoint
}

fn failure(entry: &Entry, label: &OriginLabel) -> FailedDelivery {
    let detail = Some("status 413, payload too large".to_owned());
    let id = entry.subscription.id();
    let failure = Failure::new(id, label.clone(), OutcomeKind::TooLarge, detail, 1);
    FailedDelivery::new(entry.user.clone(), failure)
}
