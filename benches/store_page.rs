//! What paging through a channel costs, by the size of the channel, and what writing costs.
//!
//! Pages of 1000 entries, two subscriptions a user, endpoints of 190 octets. The time of a page
//! holds the copies that it gives out and their release.

use std::hint::black_box;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use tokio::runtime::{Builder, Runtime};
use webpush_channels::store::{
    Audience, Change, EntryRef, MemoryStore, NewEntry, Position, Range, SubscriptionStore,
};
use webpush_channels::{AuthSecret, ChannelName, PublicKey, Subscription, SubscriptionKeys, UserId};

const PAGE: NonZeroU16 = NonZeroU16::new(1000).expect("not zero");
const P256DH: &str =
    "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4";

fn runtime() -> Runtime {
    Builder::new_current_thread().build().expect("a runtime without I/O always starts")
}

fn entries(from: u32, count: u32) -> Vec<NewEntry> {
    let p256dh = PublicKey::from_base64url(P256DH).expect("the key is valid");
    let entry = |i: u32| {
        let endpoint = format!("https://fcm.googleapis.com/fcm/send/{i:0154}").parse().expect("it is valid");
        let keys = SubscriptionKeys::new(p256dh.clone(), AuthSecret::from_bytes([7; 16]));
        NewEntry::new(user(i / 2), Subscription::new(endpoint, keys))
    };
    (from..from + count).map(entry).collect()
}

fn user(i: u32) -> UserId {
    UserId::new(format!("user-{i}")).expect("the name is valid")
}

/// A channel of this many subscriptions.
struct Filled {
    store: MemoryStore,
    to: Audience,
    range: Range,
    /// Before the first pages, in the middle and before the last ones.
    starts: [(&'static str, Option<Position>); 3],
}

async fn fill(count: u32) -> Filled {
    let (store, channel) = (MemoryStore::new(), ChannelName::new("news").expect("the name is valid"));
    for from in (0..count).step_by(1000) {
        store.put(&entries(from, 1000.min(count - from))).await.expect("put");
        let users: Vec<UserId> = (from / 2..(from + 1000).min(count).div_ceil(2)).map(user).collect();
        store.join(&channel, &users).await.expect("join");
    }
    let to = Audience::Channel(channel);
    let range = store.split(&to, NonZeroU16::MIN).await.expect("split")[0];
    let mut positions = vec![None];
    while let Some(next) =
        store.page(&to, &range, positions[positions.len() - 1].as_ref(), PAGE).await.expect("page").next
    {
        positions.push(Some(next));
    }
    let last = positions.len().saturating_sub(102);
    let starts = [("first", positions[0]), ("middle", positions[last / 2]), ("last", positions[last])];
    Filled { store, to, range, starts }
}

fn paging(c: &mut Criterion) {
    let runtime = runtime();
    // Cargo's test mode runs everything once: a million would only be waited for.
    let test = std::env::args().any(|arg| arg == "--test");
    let mut group = c.benchmark_group("store_page/memory");
    group.throughput(Throughput::Elements(PAGE.get().into()));
    for count in [1_000, 100_000, 1_000_000].into_iter().filter(|count| !test || *count < 1_000_000) {
        let filled = runtime.block_on(fill(count));
        for (part, start) in filled.starts {
            // A hundred pages in turn, so that they do not stay in the processor's cache.
            let (mut after, mut read) = (start, 0);
            group.bench_function(BenchmarkId::new(part, count), |b| {
                b.iter(|| {
                    let page = filled.store.page(&filled.to, &filled.range, after.as_ref(), PAGE);
                    let page = runtime.block_on(page).expect("page");
                    read += 1;
                    let again = read % 100 == 0 || page.next.is_none();
                    after = if again { start } else { page.next };
                    black_box(page.entries.len())
                });
            });
        }
    }
}

fn writing(c: &mut Criterion) {
    let runtime = runtime();
    let mut group = c.benchmark_group("store_write/memory");
    group.throughput(Throughput::Elements(1000));
    let batch = entries(0, 1000);
    group.bench_function("put new", |b| {
        b.iter_batched_ref(
            MemoryStore::new,
            |store| runtime.block_on(store.put(&batch)),
            BatchSize::LargeInput,
        );
    });
    let full = || {
        let store = MemoryStore::new();
        runtime.block_on(store.put(&batch)).expect("put");
        store
    };
    group.bench_function("put same", |b| {
        b.iter_batched_ref(full, |store| runtime.block_on(store.put(&batch)), BatchSize::LargeInput);
    });
    let reference = |new: &NewEntry| EntryRef { id: new.subscription.id(), version: new.version() };
    let removals: Arc<[_]> = batch.iter().map(|new| (reference(new), Change::Remove)).collect();
    group.bench_function("apply remove", |b| {
        b.iter_batched_ref(full, |store| runtime.block_on(store.apply(&removals)), BatchSize::LargeInput);
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20).warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    targets = paging, writing
}
criterion_main!(benches);
