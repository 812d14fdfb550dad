//! What signing costs: once per origin and slot, and per message from the cache.

use std::hint::black_box;
use std::num::NonZeroUsize;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use webpush_channels::engine::vapid::{TopicInput, Vapid, VapidKey};
use webpush_channels::{CollapseKey, Endpoint, SubscriptionId};

fn vapid() -> Vapid {
    let key = VapidKey::from_base64url("ya-p2EW6dRZrXCFXZ7HWk05Qw9s26JsSe4piKxIPZyE").expect("a key");
    Vapid::new(key, "mailto:push@example.com".parse().expect("a contact"))
}

fn endpoint(url: &str) -> Endpoint {
    url.parse().expect("an endpoint")
}

fn authorization(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("vapid");
    group.throughput(Throughput::Elements(1));

    // With room for one token, two origins in turn are always made anew.
    let forgetful = vapid().with_cache_capacity(NonZeroUsize::MIN);
    let [first, second] =
        ["https://a.example.net/p", "https://b.example.net/p"].map(|e| endpoint(e).origin());
    let mut turn = false;
    group.bench_function("sign", |bencher| {
        bencher.iter(|| {
            turn = !turn;
            forgetful.authorization(if turn { &first } else { &second }).expect("at hand")
        });
    });

    let keeping = vapid();
    group.bench_function("cached", |bencher| {
        bencher.iter(|| keeping.authorization(black_box(&first)).expect("at hand"));
    });

    let id = SubscriptionId::of(&endpoint("https://a.example.net/p"));
    let key = CollapseKey::new("inbox").expect("a key");
    group.bench_function("topic", |bencher| {
        bencher.iter(|| keeping.topic(black_box(&id), TopicInput::Collapse(&key)));
    });
    group.finish();
}

criterion_group!(benches, authorization);
criterion_main!(benches);
