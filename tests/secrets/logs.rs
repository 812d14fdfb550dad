//! Everything that is logged while broadcasts fail, by this crate and by what it stands on.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use http::{Response, StatusCode};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::FmtSpan;
use webpush_channels::channel::{Broadcast, Channels, DurableChannel, Publication, Worker};
use webpush_channels::sender::{RetryPolicy, Sender};
use webpush_channels::store::{Audience, MemoryStore};
use webpush_channels::testing::{Answer, PushService};
use webpush_channels::transport::HyperTransport;
use webpush_channels::{AddressPolicy, EndpointPolicy, Outcome, Subscription};

use crate::needles::Needles;
use crate::world::{World, broadcast, clock, user};

/// All lines, as written.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        let octets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8(octets.clone()).expect("the subscriber writes text")
    }
}

impl io::Write for Log {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(octets);
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn nothing_that_is_logged_shows_a_secret() {
    let log = Log::default();
    // For all threads: those that encrypt and resolve log too.
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        // So that the fields are shown of spans in which nothing happens, too.
        .with_span_events(FmtSpan::NEW | FmtSpan::CLOSE)
        .with_ansi(false)
        .with_writer(log.clone())
        .try_init()
        .expect("no other test of this binary installs one");
    let world = World::new();
    let mut needles = world.needles();
    for (tls, http1) in [(true, false), (true, true), (false, false)] {
        publish(&world, tls, http1, &mut needles).await;
    }
    tracing::trace!("the end of the log");

    let log = log.text();
    let events = [
        "broadcast ended",
        "a lease is done",
        "settled",
        "TRACE h2::",
        "DEBUG webpush_channels::",
        "the end of the log",
    ];
    let spans = ["broadcast{", "lease{", "page{", "batch{", "checkpoint{", "delivery{"];
    for line in events.into_iter().chain(spans) {
        assert!(log.contains(line), "{line:?} is not logged");
    }
    assert!(!log.contains(user().as_str()), "a user is named");
    let leaks: Vec<_> = log
        .lines()
        .filter_map(|line| {
            let found = needles.found_in(line);
            (!found.is_empty()).then(|| format!("{found:?}: {line}"))
        })
        .collect();
    assert!(
        leaks.is_empty(),
        "{} lines, among them:\n{}",
        leaks.len(),
        leaks[..leaks.len().min(20)].join("\n")
    );
}

/// One broadcast to push services of which each fails in another way, and one that accepts.
async fn publish(world: &World, tls: bool, http1: bool, needles: &mut Needles) {
    let mut services = Vec::new();
    for answer in answers(world) {
        let service = PushService::builder().clock(clock()).tls(tls).http1_only(http1).start().await.unwrap();
        let subscription = service.subscribe(&world.agent);
        needles.text("an endpoint", path(&subscription));
        service.script(&subscription, [answer.clone(), answer]);
        services.push((service, subscription));
    }
    let store = Arc::new(MemoryStore::new());
    let channels = channels(world, &store, services.iter().filter_map(|(service, _)| service.ca_pem()));
    // Nothing listens at the last.
    let nowhere = world.agent.subscribe(format!("http://127.0.0.1:9{}", crate::world::PATH).parse().unwrap());
    for subscription in services.iter().map(|(_, subscription)| subscription).chain([&nowhere]) {
        channels.subscribe(&user(), subscription.clone(), None).await.unwrap();
    }
    let audience = Audience::User(user());
    let publication =
        Publication::new(audience.clone(), Broadcast::new(world.message()).with_id(broadcast()));
    let mut deliveries = channels.deliveries(publication);
    let mut kinds = Vec::new();
    while let Some(delivery) = deliveries.next().await {
        let delivery = delivery.unwrap();
        if let Outcome::Accepted { message_url: Some(url), .. } = &delivery.outcome {
            let origin = delivery.entry.subscription.endpoint().origin();
            needles.text("a message URL", url.as_str().strip_prefix(origin.as_str()).unwrap());
        }
        kinds.push(delivery.outcome.kind());
    }
    assert_eq!(kinds.len(), services.len() + 1);
    kinds.sort();
    kinds.dedup();
    assert!(kinds.len() > 6, "{kinds:?}");
    for (service, subscription) in &services {
        for received in service.received(subscription) {
            needles.text("a topic", received.topic().unwrap());
            let token = received.headers()["authorization"].to_str().unwrap();
            needles.text("a token", token.split_once(',').unwrap().0.strip_prefix("vapid t=").unwrap());
        }
    }
    channels.publish(Publication::new(audience.clone(), world.message())).await.unwrap();
    // The same by a worker, which tells of leases.
    let durable = DurableChannel::new(Arc::clone(&store));
    durable.enqueue(Publication::new(audience, world.message())).await.unwrap();
    Worker::builder(channels, store).build().run_until_idle().await.unwrap();
}

fn channels<'a>(world: &World, store: &Arc<MemoryStore>, roots: impl Iterator<Item = &'a str>) -> Channels {
    let mut transport = HyperTransport::builder()
        .address_policy(AddressPolicy::loopback_for_tests())
        .http2_prior_knowledge(true)
        .connect_timeout(Duration::from_secs(5))
        .total_timeout(Duration::from_secs(1));
    for root in roots {
        transport = transport.extra_root_pem(root.as_bytes()).unwrap();
    }
    let retry = RetryPolicy::default()
        .with_attempts(2)
        .with_backoff(Duration::from_millis(1), Duration::from_millis(2))
        .with_max_retry_after(Duration::from_millis(5));
    let sender = Sender::builder(world.vapid.clone(), transport.build().unwrap())
        .policy(EndpointPolicy::loopback_for_tests())
        .retry(retry)
        .seed(1);
    Channels::new(Arc::clone(store), sender.build())
}

fn answers(world: &World) -> Vec<Answer> {
    let quote = |status: StatusCode| {
        let quote = format!("no {} for {}", world.subscription.endpoint().as_str(), world.token());
        let mut response = Response::new(Bytes::from(quote));
        *response.status_mut() = status;
        Answer::Response(response)
    };
    vec![
        Answer::Normal,
        Answer::gone_410(),
        quote(StatusCode::NOT_FOUND),
        quote(StatusCode::BAD_REQUEST),
        quote(StatusCode::TOO_MANY_REQUESTS),
        quote(StatusCode::SERVICE_UNAVAILABLE),
        Answer::redirect(world.subscription.endpoint().as_str()),
        Answer::AcceptAndCut,
        Answer::Goaway,
        Answer::Hang,
        Answer::HugeBody(1 << 20),
        Answer::HugeHeaders(1 << 20),
        Answer::RefuseStream,
        Answer::ResetStream,
        quote(StatusCode::FORBIDDEN),
    ]
}

fn path(subscription: &Subscription) -> &str {
    let endpoint = subscription.endpoint();
    endpoint.as_str().strip_prefix(endpoint.origin().as_str()).unwrap()
}
