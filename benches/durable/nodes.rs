//! Three workers beside one, on one PostgreSQL, each with its own connections, its own sender and
//! 64 requests at a time to a push service that takes 50 ms.

use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::runtime::Builder;
use webpush_channels::channel::{Channels, DurableChannel, Publication, Worker};
use webpush_channels::engine::vapid::{Vapid, VapidKey};
use webpush_channels::sender::Sender;
use webpush_channels::store::journal::Journal;
use webpush_channels::store::{Audience, NewEntry, SubscriptionStore as _};
use webpush_channels::testing::{PushService, UserAgent};
use webpush_channels::transport::HyperTransport;
use webpush_channels::{AddressPolicy, ChannelName, EndpointPolicy, OutcomeKind, UserId};

use super::engine::Engine;
use super::rows::now;
use super::table::Row;
use super::{Sizes, channel};

const PER_ORIGIN: usize = 64;
/// Several for each of twelve leases, so that all end at about the same time.
const RANGES: NonZeroU16 = NonZeroU16::new(48).expect("not zero");
const LATENCY: Duration = Duration::from_millis(50);

pub(crate) fn measure(engine: &Engine, sizes: Sizes) -> Row {
    // The push service and three workers are more than one thread can do.
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    let (one, three) = runtime.block_on(async {
        let service =
            PushService::builder().tls(true).latency(LATENCY).keep_payloads(false).decrypt(false).start();
        let service = service.await.expect("the push service starts");
        let store = engine.open().await;
        let name = ChannelName::new("shared").expect("the name is valid");
        let agent = UserAgent::seeded(1);
        for from in (0..sizes.shared).step_by(1000) {
            let user = |n: usize| UserId::new(format!("shared-{n}")).expect("the name is valid");
            let users: Vec<_> = (from..sizes.shared.min(from + 1000)).map(user).collect();
            let entries: Vec<_> =
                users.iter().map(|user| NewEntry::new(user.clone(), service.subscribe(&agent))).collect();
            store.put(&entries).await.expect("the store takes them");
            store.join(&name, &users).await.expect("the store takes them");
        }
        // With TLS, so that it is HTTP/2: the 64 are not bounded by connections.
        let ca = service.ca_pem().expect("it has TLS");
        let one = share(engine, &name, ca, 1, sizes.shared).await;
        (one, share(engine, &name, ca, 3, sizes.shared).await)
    });
    Row::at_least(
        "three workers beside one, elapsed",
        format!("{one:.2} s (one worker)"),
        format!("{three:.2} s"),
        one / three,
        2.5,
    )
}

/// Seconds that so many workers need together.
async fn share(engine: &Engine, name: &ChannelName, ca: &str, workers: usize, count: usize) -> f64 {
    let mut nodes = Vec::new();
    for _ in 0..workers {
        let store = engine.open().await;
        let hub = Channels::new(Arc::clone(&store), sender(ca));
        nodes.push(Worker::builder(hub, store).build());
    }
    let journal: Arc<dyn Journal> = engine.open().await;
    let publication = Publication::new(Audience::Channel(name.clone()), channel::broadcast());
    let began = now();
    let enqueued = DurableChannel::new(Arc::clone(&journal))
        .with_ranges(RANGES)
        .enqueue(publication)
        .await
        .expect("it is stored");
    for done in join_all(nodes.iter().map(Worker::run_until_idle)).await {
        done.expect("the journal does not fail");
    }
    let elapsed = began.elapsed().as_secs_f64();
    let report = journal.report(&enqueued.id).await.expect("a report").expect("it is there");
    assert_eq!(report.counts[OutcomeKind::Accepted], count as u64, "{report}");
    elapsed
}

fn sender(ca: &str) -> Sender {
    let transport = HyperTransport::builder().address_policy(AddressPolicy::loopback_for_tests());
    let transport = transport.extra_root_pem(ca.as_bytes()).expect("the service's own").build();
    let key = VapidKey::generate().expect("the system has randomness");
    let vapid = Vapid::new(key, "mailto:ops@example.org".parse().expect("a contact"));
    Sender::builder(vapid, transport.expect("the transport is built"))
        .policy(EndpointPolicy::loopback_for_tests())
        .per_origin(PER_ORIGIN)
        .build()
}
