//! A message to a channel of 2000 subscriptions, from the store to the report.
//!
//! `stub` answers at once and without sockets: with the null encryptor that is what this crate
//! adds to encryption and HTTP. `loopback` is a push service in this process, so that its work is
//! in the figure too. Times here are elapsed times; `cargo bench --bench budgets` counts CPU time.

mod support {
    pub(crate) mod channel;
    pub(crate) mod null;
}

use std::sync::Arc;
use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use tokio::runtime::{Builder, Runtime};
use webpush_channels::channel::{Channels, Limits};
use webpush_channels::engine::encryption::{AwsLc, Encryptor, RustCrypto};
use webpush_channels::store::MemoryStore;
use webpush_channels::testing::{PushService, StubTransport, UserAgent};
use webpush_channels::transport::HyperTransport;
use webpush_channels::{AddressPolicy, EndpointPolicy, Subscription};

use self::support::channel;
use self::support::null::Null;

fn size() -> usize {
    // Criterion's test mode runs everything once: more would only be waited for.
    let given = |name| std::env::args().any(|argument| argument == name);
    if given("--bench") && !given("--test") { 2000 } else { 100 }
}

fn runtime() -> Runtime {
    Builder::new_multi_thread().enable_all().build().expect("a runtime")
}

fn stub(criterion: &mut Criterion) {
    let runtime = runtime();
    let mut group = group(criterion, "broadcast/stub");
    let subscription = |n| {
        let endpoint = format!("https://push.example.net/p/{n:0154}").parse().expect("an endpoint");
        UserAgent::seeded(1).subscribe(endpoint)
    };
    let store = filled(&runtime, subscription);
    let channels = |encryptor: Arc<dyn Encryptor>| {
        let stub = StubTransport::forgetful();
        channel::channels(
            Arc::clone(&store),
            stub,
            encryptor,
            EndpointPolicy::public_internet(),
            Limits::default(),
        )
    };
    bench(&mut group, "null", &runtime, &channels(Arc::new(Null)));
    bench(&mut group, "aws-lc-rs", &runtime, &channels(Arc::new(AwsLc::new())));
    bench(&mut group, "rustcrypto", &runtime, &channels(Arc::new(RustCrypto::new())));
    group.finish();
}

fn loopback(criterion: &mut Criterion) {
    let runtime = runtime();
    let mut group = group(criterion, "broadcast/loopback");
    for (name, tls) in [("cleartext", false), ("TLS", true)] {
        let service = PushService::builder().tls(tls).decrypt(false).keep_payloads(false);
        let service = runtime.block_on(service.start()).expect("a port of the loopback");
        let store = filled(&runtime, |_| service.subscribe(&UserAgent::seeded(1)));
        let mut transport = HyperTransport::builder()
            .address_policy(AddressPolicy::loopback_for_tests())
            .http2_prior_knowledge(!tls);
        if let Some(ca) = service.ca_pem() {
            transport = transport.extra_root_pem(ca.as_bytes()).expect("a certificate");
        }
        let transport = transport.build().expect("TLS can be set up");
        let channels = channel::channels(
            store,
            transport,
            AwsLc::new(),
            EndpointPolicy::loopback_for_tests(),
            Limits::default(),
        );
        bench(&mut group, name, &runtime, &channels);
        assert!(service.violations().is_empty(), "{:?}", service.violations());
    }
    group.finish();
}

fn group<'a>(criterion: &'a mut Criterion, name: &str) -> BenchmarkGroup<'a, WallTime> {
    let mut group = criterion.benchmark_group(name);
    group.throughput(Throughput::Elements(size() as u64));
    group
}

fn filled(runtime: &Runtime, subscription: impl FnMut(usize) -> Subscription) -> Arc<MemoryStore> {
    let store = Arc::new(MemoryStore::new());
    runtime.block_on(channel::fill(&store, size(), subscription));
    store
}

fn bench(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, runtime: &Runtime, channels: &Channels) {
    group.bench_function(name, |bencher| {
        bencher.to_async(runtime).iter(|| channel::publish(channels, size()));
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20).measurement_time(Duration::from_secs(5));
    targets = stub, loopback
}
criterion_main!(benches);
