//! A broadcast over real sockets, to push services that misbehave in every way.

#![allow(clippy::unwrap_used, reason = "a test may")]

use std::collections::HashMap;
use std::time::Duration;

use futures_util::StreamExt as _;
use webpush_channels::channel::{Broadcast, Channel, Channels};
use webpush_channels::engine::vapid::{Keyring, Vapid, VapidKey};
use webpush_channels::sender::{RetryPolicy, Sender};
use webpush_channels::store::{Audience, MemoryStore, NewEntry, SubscriptionStore};
use webpush_channels::testing::{Answer, ConnectionFault, PushService, PushServiceBuilder, UserAgent};
use webpush_channels::transport::HyperTransport;
use webpush_channels::{
    AddressPolicy, ChannelName, CollapseKey, EndpointPolicy, Message, OutcomeKind, Payload, Subscription,
    SubscriptionId, Ttl, UserId,
};

/// How the sender reaches the push service.
#[derive(Clone, Copy, Debug)]
enum Wire {
    Http1,
    Http2,
    Http1Tls,
    Http2Tls,
}

impl Wire {
    async fn service(self, builder: PushServiceBuilder) -> PushService {
        let tls = matches!(self, Self::Http1Tls | Self::Http2Tls);
        builder.tls(tls).http1_only(matches!(self, Self::Http1Tls)).start().await.unwrap()
    }

    fn transport(self, service: &PushService) -> HyperTransport {
        let builder = HyperTransport::builder()
            .address_policy(AddressPolicy::loopback_for_tests())
            .http2_prior_knowledge(matches!(self, Self::Http2))
            // Cutting a connection cuts every request on it: one each, so that each case stands alone.
            .max_streams_per_connection(1)
            .max_connections_per_origin(32)
            .connect_timeout(Duration::from_millis(500))
            .total_timeout(Duration::from_millis(1500));
        let builder = match service.ca_pem() {
            Some(ca) => builder.extra_root_pem(ca.as_bytes()).unwrap(),
            None => builder,
        };
        builder.build().unwrap()
    }
}

fn vapid(n: u8) -> Vapid {
    Vapid::new(VapidKey::from_scalar(&[n; 32]).unwrap(), "mailto:ops@example.org".parse().unwrap())
}

fn sender(keyring: impl Into<Keyring>, transport: HyperTransport) -> Sender {
    Sender::builder(keyring, transport)
        .policy(EndpointPolicy::loopback_for_tests())
        .retry(RetryPolicy::default().with_backoff(Duration::from_millis(20), Duration::from_millis(100)))
        .build()
}

async fn channel(sender: Sender, subscriptions: &[Subscription]) -> (Channels, impl Channel) {
    let channels = Channels::new(MemoryStore::new(), sender);
    let news = ChannelName::new("news").unwrap();
    let owner = |n: usize| UserId::new(format!("user-{}", n / 3)).unwrap();
    let entries: Vec<_> =
        subscriptions.iter().enumerate().map(|(n, s)| NewEntry::new(owner(n), s.clone())).collect();
    let users: Vec<_> = entries.iter().map(|entry| entry.user.clone()).collect();
    channels.store().put(&entries).await.unwrap();
    channels.store().join(&news, &users).await.unwrap();
    let channel = channels.channel(&news);
    (channels, channel)
}

fn message(text: &'static str) -> Message {
    Message::new(Payload::new(text).unwrap(), Ttl::hours(1))
}

/// Every misbehaviour that an answer can have, and what becomes of the message: without a collapse
/// key, and with one where that differs.
fn misbehaviours() -> Vec<(Answer, OutcomeKind, OutcomeKind)> {
    use OutcomeKind::{Accepted, Gone, Moved, TooLarge, Unconfirmed};
    let soon = Some(Duration::ZERO);
    vec![
        (Answer::Normal, Accepted, Accepted),
        (Answer::gone_404(), Gone, Gone),
        (Answer::gone_410(), Gone, Gone),
        (Answer::too_large(), TooLarge, TooLarge),
        (Answer::throttled(soon), Accepted, Accepted),
        (Answer::unavailable(soon), Accepted, Accepted),
        (Answer::server_error(), Accepted, Accepted),
        (Answer::redirect("http://169.254.169.254/"), Moved, Moved),
        (Answer::Hang, Unconfirmed, Accepted),
        (Answer::CutBeforeStatus, Unconfirmed, Accepted),
        (Answer::CutAfterHeaders, Accepted, Accepted),
        (Answer::Trickle { every: Duration::from_millis(100), octets: 1000 }, Accepted, Accepted),
        (Answer::HugeBody(50_000_000), Accepted, Accepted),
    ]
}

async fn every_misbehaviour_over(wire: Wire, collapse: bool) {
    let service = wire.service(PushService::builder()).await;
    let mut expected: HashMap<SubscriptionId, (String, OutcomeKind)> = HashMap::new();
    let mut subscriptions = Vec::new();
    for (n, (answer, plain, collapsing)) in misbehaviours().into_iter().enumerate() {
        let subscription = service.subscribe(&UserAgent::seeded(n as u64));
        let name = format!("{answer:?}");
        service.script(&subscription, [answer]);
        expected.insert(subscription.id(), (name, if collapse { collapsing } else { plain }));
        subscriptions.push(subscription);
    }
    let (channels, news) = channel(sender(vapid(1), wire.transport(&service)), &subscriptions).await;
    let mut message = message("hello");
    if collapse {
        message = message.with_collapse_key(CollapseKey::new("greeting").unwrap());
    }
    let deliveries: Vec<_> = news.deliveries(Broadcast::new(message)).collect().await;
    assert_eq!(deliveries.len(), expected.len());
    for delivery in deliveries {
        let delivery = delivery.unwrap();
        let (answer, outcome) = &expected[&delivery.entry.subscription.id()];
        assert_eq!(delivery.outcome.kind(), *outcome, "{wire:?} {answer}: {:?}", delivery.outcome);
    }
    let left = channels.store().count(&Audience::Channel(news.name().clone())).await.unwrap();
    assert_eq!(left.subscriptions, expected.len() as u64 - 2, "only the two that are gone were removed");
    let violations = service.violations();
    assert!(violations.is_empty(), "{violations:?}");
    assert_eq!(service.counters().undecryptable, 0);
}

#[tokio::test]
async fn every_misbehaviour_has_its_outcome_over_http1() {
    every_misbehaviour_over(Wire::Http1, true).await;
    every_misbehaviour_over(Wire::Http1, false).await;
}

#[tokio::test]
async fn every_misbehaviour_has_its_outcome_over_http2() {
    every_misbehaviour_over(Wire::Http2, true).await;
    every_misbehaviour_over(Wire::Http2, false).await;
}

#[tokio::test]
async fn every_misbehaviour_has_its_outcome_over_http1_and_tls() {
    every_misbehaviour_over(Wire::Http1Tls, true).await;
}

#[tokio::test]
async fn every_misbehaviour_has_its_outcome_over_http2_and_tls() {
    every_misbehaviour_over(Wire::Http2Tls, true).await;
}

/// Refused streams and GOAWAY prove that the request was not processed: it is repeated without a
/// collapse key, and arrives once.
#[tokio::test]
async fn what_http2_proves_unprocessed_is_repeated() {
    let service = Wire::Http2.service(PushService::builder()).await;
    let subscriptions: Vec<_> = (0..2).map(|n| service.subscribe(&UserAgent::seeded(n))).collect();
    service.script(&subscriptions[0], [Answer::RefuseStream]);
    let (_channels, news) =
        channel(sender(vapid(1), Wire::Http2.transport(&service)), &subscriptions[..1]).await;
    let report = news.publish(message("hello").into()).await.unwrap();
    assert_eq!((report.counts[OutcomeKind::Accepted], report.attempts), (1, 2), "{report}");
    assert_eq!(service.received(&subscriptions[0]).len(), 1);

    service.script(&subscriptions[1], [Answer::Goaway]);
    let (_channels, news) =
        channel(sender(vapid(1), Wire::Http2.transport(&service)), &subscriptions[1..]).await;
    let report = news.publish(message("hello").into()).await.unwrap();
    assert_eq!((report.counts[OutcomeKind::Accepted], report.attempts), (1, 2), "{report}");
    assert_eq!(service.received(&subscriptions[1]).len(), 1);
}

#[tokio::test]
async fn a_push_service_that_never_answers_does_not_slow_another() {
    let silent =
        Wire::Http2.service(PushService::builder().connection_fault(|_| ConnectionFault::Silence)).await;
    let sound = Wire::Http2.service(PushService::builder()).await;
    let agent = UserAgent::seeded(1);
    let mut subscriptions: Vec<_> = (0..300).map(|_| silent.subscribe(&agent)).collect();
    subscriptions.extend((0..2000).map(|_| sound.subscribe(&agent)));
    let (_channels, news) = channel(sender(vapid(1), Wire::Http2.transport(&sound)), &subscriptions).await;
    let report = news.publish(message("hello").into()).await.unwrap();
    assert_eq!(report.counts[OutcomeKind::Accepted], 2000, "{report}");
    assert_eq!(sound.counters().decrypted, 2000);
}

#[tokio::test]
async fn a_rotated_key_still_reaches_those_who_subscribed_with_the_old_one() {
    let service = Wire::Http2.service(PushService::builder()).await;
    let (old, new) = (VapidKey::from_scalar(&[2; 32]).unwrap(), vapid(1));
    let subscription = service.subscribe_bound(&UserAgent::seeded(1), old.public_key());
    let keyring = Keyring::new(new).with_older(vapid(2));
    let (channels, news) =
        channel(sender(keyring, Wire::Http2.transport(&service)), std::slice::from_ref(&subscription)).await;
    let report = news.publish(message("hello").into()).await.unwrap();
    assert_eq!((report.counts[OutcomeKind::Accepted], report.attempts), (1, 2), "{report}");
    let entry = &channels.store().subscriptions(&UserId::new("user-0").unwrap()).await.unwrap()[0];
    assert_eq!(entry.key, Some(old.id()), "the right key is remembered");
    let report = news.publish(message("hello").into()).await.unwrap();
    assert_eq!(report.attempts, 1);
    assert_eq!(service.received(&subscription).len(), 2);
}
