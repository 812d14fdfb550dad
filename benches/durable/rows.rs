//! Writing and reading subscriptions.

use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;
use webpush_channels::store::journal::Journal;
use webpush_channels::store::{Audience, NewEntry, Put};
use webpush_channels::{AuthSecret, PublicKey, Subscription, SubscriptionKeys, UserId};

use super::engine::Engine;
use super::table::{self, Row};
use super::{Sizes, channel, floor, usage};

const BATCH: usize = 1000;
const PAGE: NonZeroU16 = NonZeroU16::new(1000).expect("not zero");
/// Pages at the beginning and at the end that are compared.
const PART: usize = 100;
/// Phone and laptop.
const DEVICES: usize = 2;

/// Puts everybody, then renews some with new keys.
pub(crate) fn write(runtime: &Runtime, engine: &Engine, store: &Arc<dyn Journal>, sizes: Sizes) -> [Row; 2] {
    let new = put(runtime, engine, store, sizes.subscriptions, sizes.subscriptions, Put::New);
    let renewed = put(runtime, engine, store, sizes.upserts, sizes.subscriptions, Put::Renewed);
    [
        Row::plain("a new row, 1000 a batch", new.elapsed(), new.cpu, 50.0, " us"),
        Row::plain("an upsert, 1000 a batch", renewed.elapsed(), renewed.cpu, 100.0, " us"),
    ]
}

struct Cost {
    /// Microseconds a row.
    cpu: f64,
    wall: f64,
}

impl Cost {
    fn elapsed(&self) -> String {
        format!("{:.1} us elapsed", self.wall)
    }
}

/// Only the puts are measured, not what makes their arguments.
fn put(
    runtime: &Runtime,
    engine: &Engine,
    store: &Arc<dyn Journal>,
    count: usize,
    of: usize,
    expected: Put,
) -> Cost {
    let (mut cpu, mut wall) = (Duration::ZERO, Duration::ZERO);
    let batches = count.div_ceil(BATCH);
    // Spread over the whole channel.
    let step = (of.div_ceil(BATCH) / batches).max(1);
    for batch in (0..batches).map(|batch| batch * step) {
        let auth = if expected == Put::New { floor::AUTH } else { [9; 16] };
        let numbers = batch * BATCH..((batch + 1) * BATCH).min(of);
        let entries: Vec<_> = numbers.map(|n| entry(n, auth)).collect();
        let mut puts = Vec::new();
        let cost = engine.cost(|| {
            let began = now();
            puts = runtime.block_on(store.put(&entries)).expect("the store takes them");
            wall += began.elapsed();
        });
        cpu += cost.total();
        assert!(puts.iter().all(|put| *put == expected), "{puts:?}");
        if expected == Put::New {
            let mut users: Vec<_> = entries.into_iter().map(|entry| entry.user).collect();
            users.dedup();
            runtime.block_on(store.join(&channel::name(), &users)).expect("the store takes them");
        }
    }
    Cost { cpu: usage::micros(cpu, count), wall: usage::micros(wall, count) }
}

fn entry(n: usize, auth: [u8; 16]) -> NewEntry {
    let user = UserId::new(format!("user-{}", n / DEVICES)).expect("the name is valid");
    let endpoint = format!("https://push.example.net/p/{n:0154}").parse().expect("an endpoint");
    let key = PublicKey::from_bytes(&floor::P256DH).expect("a public key");
    NewEntry::new(user, Subscription::new(endpoint, SubscriptionKeys::new(key, AuthSecret::from_bytes(auth))))
}

/// Pages through the channel, three times.
pub(crate) fn read(runtime: &Runtime, store: &Arc<dyn Journal>, sizes: Sizes) -> [Row; 2] {
    let scans: Vec<_> = (0..3).map(|_| scan(runtime, store, sizes.subscriptions)).collect();
    let median = |part: fn(&Scan) -> f64| table::median(scans.iter().map(part).collect());
    let (first, last) = (median(|it| it.first), median(|it| it.last));
    [
        Row::plain("a row of a page", "-".into(), median(|it| it.row), 5.0, " us"),
        Row::ratio(
            "a page at the end of the channel",
            &table::Samples(vec![last]),
            "at its beginning",
            &table::Samples(vec![first]),
            1.5,
        ),
    ]
}

struct Scan {
    row: f64,
    first: f64,
    last: f64,
}

fn scan(runtime: &Runtime, store: &Arc<dyn Journal>, count: usize) -> Scan {
    let to = Audience::Channel(channel::name());
    let range = runtime.block_on(store.split(&to, NonZeroU16::MIN)).expect("it splits")[0];
    let (mut after, mut read, mut pages) = (None, 0, Vec::new());
    let row = usage::micros_each(count, || {
        loop {
            let began = now();
            let page = runtime.block_on(store.page(&to, &range, after.as_ref(), PAGE)).expect("a page");
            read += page.entries.len();
            after = page.next;
            pages.push(usage::micros(began.elapsed(), 1));
            if after.is_none() {
                break;
            }
        }
    });
    assert_eq!(read, count);
    let part = PART.min(pages.len() / 2).max(1);
    // The last page is short: it does not count.
    let end = pages.len().saturating_sub(1).max(part);
    let (first, last) = (pages[..part].to_vec(), pages[end - part..end].to_vec());
    Scan { row, first: table::median(first), last: table::median(last) }
}

#[allow(clippy::disallowed_methods, reason = "a benchmark reads the real clock")]
pub(crate) fn now() -> Instant {
    Instant::now()
}
