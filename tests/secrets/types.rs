//! Every public type that holds something secret, or could.

use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode};
use webpush_channels::channel::{Broadcast, Channel as _, Channels, Controls, Progress, Publication};
use webpush_channels::engine::encryption::{AwsLc, Encoded, Encryption, Encryptor as _, Lane, Plaintext};
use webpush_channels::engine::request::{Body, PushRequest};
use webpush_channels::engine::response::{Verdict, classify};
use webpush_channels::engine::vapid::{Keyring, TopicInput, TopicKey, Vapid, VapidKey};
use webpush_channels::sender::Sender;
use webpush_channels::store::{
    Audience, Change, Entry, MemoryStore, NewEntry, SubscriptionStore as _, Unseen, UnseenPage,
};
#[cfg(feature = "postgres")]
use webpush_channels::store::{PostgresStore, PostgresStoreBuilder};
use webpush_channels::testing::vapid::{parse_authorization, verify};
use webpush_channels::testing::{Answer, PushService, StubReply, StubRequest, StubTransport};
use webpush_channels::transport::HyperTransport;
use webpush_channels::{
    AddressPolicy, Clock as _, Endpoint, EndpointPolicy, Failure, LastFailure, OriginLabel, Outcome, Padding,
    ReceiptUrl, Refusal, Report, SkipReason, SubscriptionId, Ttl,
};

use crate::journal::format_journal;
use crate::needles::Shown;
#[cfg(feature = "postgres")]
use crate::world::DATABASE_PASSWORD;
use crate::world::{ORIGIN, PATH, PLAINTEXT, TOPIC_KEY, World, broadcast, clock, user};

pub(crate) async fn format_all(world: &World, shown: &mut Shown<'_>) {
    values(world, shown);
    vapid(world, shown);
    engine(world, shown);
    responses(world, shown);
    outcomes(world, shown);
    store(world, shown).await;
    format_journal(world, shown).await;
    over_a_stub(world, shown).await;
    over_sockets(world, shown).await;
}

fn values(world: &World, shown: &mut Shown<'_>) {
    let subscription = &world.subscription;
    shown.debug(subscription);
    shown.debug(&subscription.id());
    shown.display(&subscription.id());
    shown.debug(subscription.endpoint());
    shown.debug(&subscription.endpoint().origin());
    shown.display(&subscription.endpoint().origin());
    shown.debug(&subscription.endpoint().vendor());
    shown.debug(subscription.keys());
    shown.debug(subscription.keys().p256dh());
    shown.debug(subscription.keys().auth());
    shown.debug(&world.payload);
    shown.debug(&world.collapse);
    shown.debug(&world.message());
    shown.debug(&world.agent);
    let secret = PATH.to_owned();
    shown.debug(&EndpointPolicy::custom(move |host| host.contains(&secret)));
    shown.debug(EndpointPolicy::public_internet().addresses());
}

fn vapid(world: &World, shown: &mut Shown<'_>) {
    let key = &world.vapid_key;
    shown.debug(key);
    shown.debug(&key.id());
    shown.display(&key.id());
    for text in [key.to_pkcs8_pem(), key.to_sec1_pem(), key.to_base64url(), key.to_jwk()] {
        shown.debug(&text);
    }
    for octets in [key.to_pkcs8_der(), key.to_sec1_der()] {
        shown.debug(&octets);
    }
    shown.debug(&world.vapid);
    shown.debug(&Keyring::new(world.vapid.clone()));
    shown.debug(&TopicKey::from_bytes(TOPIC_KEY));
    let elsewhere = Vapid::with_signer(key.clone(), world.vapid.contact().clone()).with_clock(clock());
    shown.debug(&elsewhere);
    let other = VapidKey::from_scalar(&[3; 32]).unwrap();
    let keyring =
        Keyring::new(Vapid::new(other, world.vapid.contact().clone())).with_older(elsewhere.clone());
    shown.debug(&keyring);
    shown.debug(&keyring.advice(Some(key.id())));
    shown.debug(&keyring.with_retired(key.id()).unwrap());
    shown.failure(elsewhere.authorization(&world.subscription.endpoint().origin()));
    shown.debug(world.vapid.contact());
    shown.display(world.vapid.contact());
    let origin = world.subscription.endpoint().origin();
    let token = world.vapid.authorization(&origin).unwrap();
    shown.debug(&token);
    shown.debug(&token.header);
    shown.debug(&world.vapid.renew_after(&origin, token.generation));
    shown.debug(&world.topics);
    shown.debug(&world.topics[0].to_header_value());
    shown.debug(&TopicInput::Collapse(&world.collapse));
    let credentials = parse_authorization(token.header.to_str().unwrap()).unwrap();
    shown.debug(&credentials);
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    shown.debug(&verify(&credentials, &origin, now).unwrap());
}

fn engine(world: &World, shown: &mut Shown<'_>) {
    let keys = world.subscription.keys();
    let plaintext = Plaintext::new(&world.payload, Padding::default(), 3993).unwrap();
    shown.debug(&plaintext);
    shown.debug(&Encryption::fastest());
    let mut lanes = [Lane::new(keys)];
    shown.debug(&lanes[0]);
    AwsLc::new().encrypt_batch(&plaintext, &mut lanes);
    shown.debug(&lanes[0]);
    // As if nothing had been encrypted: the worst body there is.
    let octets = Bytes::from_static(PLAINTEXT.as_bytes());
    let legacy = Encoded::AesGcm { salt: *keys.auth().as_bytes(), dh: *keys.p256dh().as_bytes() };
    shown.debug(&legacy);
    for encoded in [Encoded::Aes128Gcm, legacy] {
        let body = Body::encrypted(encoded, octets.clone());
        shown.debug(&body);
        let token = world.vapid.authorization(&world.subscription.endpoint().origin()).unwrap().header;
        // The caller may hand over plain values; the request marks them itself.
        let plain = |value: &HeaderValue| HeaderValue::from_bytes(value.as_bytes()).unwrap();
        let request = PushRequest::new(world.subscription.endpoint(), Ttl::hours(1), plain(&token))
            .with_topic(plain(&world.topics[0].to_header_value()))
            .with_receipts(Some(&world.receipt_url))
            .with_body(body);
        shown.debug(&request);
        let request = request.into_http();
        for name in ["authorization", "topic", "link"] {
            shown.debug(&request.headers()[name]);
        }
    }
}

/// What push services are known to quote, and what they might.
fn quotes(world: &World) -> Vec<String> {
    let endpoint = world.subscription.endpoint().as_str();
    let token = world.token();
    vec![
        format!("push subscription has unsubscribed or expired {endpoint}"),
        format!("Invalid path: {PATH}."),
        format!("No such resource '{}'", &PATH[10..40]),
        format!("unknown token {}", &PATH[PATH.find('=').unwrap() + 1..]),
        format!("bad authorization: vapid t={token}, k=x"),
        format!(r#"{{"code":404,"errno":102,"error":"Not Found","message":"no {PATH}"}}"#),
        format!(r#"{{"reason":"no such device {endpoint}"}}"#),
        format!(r#"{{"error":{{"code":404,"message":"no {endpoint}","status":"{PATH}"}}}}"#),
        format!("<html><head><title>404 {PATH}</title></head><body>{endpoint}</body></html>"),
        format!("see {}", world.message_url.as_str()),
    ]
}

fn responses(world: &World, shown: &mut Shown<'_>) {
    shown.debug(&world.accepted);
    shown.debug(&world.accepted.verdict);
    let hosts = [
        "push.example.net",
        "updates.push.services.mozilla.com",
        "fcm.googleapis.com",
        "web.push.apple.com",
        "db5p.notify.windows.com",
    ];
    for host in hosts {
        let endpoint: Endpoint = format!("https://{host}{PATH}").parse().unwrap();
        for quote in quotes(world) {
            for status in [308, 400, 401, 403, 404, 410, 413, 429, 500, 507] {
                let quoted = quote.replace("push.example.net", host);
                let response = Response::builder()
                    .status(status)
                    .header("location", PATH)
                    .header("x-wns-error-description", &quoted)
                    .header("x-wns-status", PATH)
                    .body(Bytes::from(quoted))
                    .unwrap();
                let classified = classify(&endpoint, Ttl::ZERO, &response, SystemTime::UNIX_EPOCH);
                shown.debug(&classified);
                shown.display(&classified.detail);
            }
        }
    }
}

fn outcomes(world: &World, shown: &mut Shown<'_>) {
    shown.debug(&world.message_url);
    shown.debug(&world.receipt_url);
    let message_url = Some(world.message_url.clone());
    let receipt_url: Option<ReceiptUrl> = Some(world.receipt_url.clone());
    let location = Some(world.subscription.endpoint().clone());
    shown.debug(&Verdict::Moved { location: location.clone(), permanent: true });
    for outcome in [
        Outcome::Accepted { message_url, granted_ttl: Some(Ttl::ZERO), receipt_url },
        Outcome::Moved { location, permanent: true },
        Outcome::GaveUp { last: LastFailure::Status(500) },
        Outcome::Refused(Refusal::Address),
        Outcome::Skipped(SkipReason::Expired),
    ] {
        shown.debug(&outcome);
        shown.display(&outcome.kind());
    }
    shown.display(&LastFailure::Engine);
}

async fn store(world: &World, shown: &mut Shown<'_>) {
    let new = NewEntry::new(user(), world.subscription.clone()).with_key(world.vapid_key.id());
    shown.debug(&new);
    shown.debug(&new.version());
    let store = MemoryStore::new();
    shown.debug(&store.put(&[new]).await.unwrap());
    shown.debug(&store);
    shown.debug(&MemoryStore::builder());
    #[cfg(feature = "postgres")]
    postgres(shown).await;
    let entries: Vec<Entry> = store.subscriptions(&user()).await.unwrap();
    shown.debug(&entries);
    shown.debug(&entries[0].reference());
    shown.debug(&(entries[0].reference(), Change::UseKey(world.vapid_key.id())));
    let audience = Audience::User(user());
    let range = store.split(&audience, NonZeroU16::MIN).await.unwrap().remove(0);
    let page = store.page(&audience, &range, None, NonZeroU16::MIN).await.unwrap();
    shown.debug(&page);
    shown.debug(&range);
    shown.debug(&store.count(&audience).await.unwrap());
}

/// Nobody listens on port 1, and `none` is no port.
#[cfg(feature = "postgres")]
async fn postgres(shown: &mut Shown<'_>) {
    for port in ["1", "none"] {
        let url = format!("postgres://push:{DATABASE_PASSWORD}@127.0.0.1:{port}/push");
        let builder: PostgresStoreBuilder = PostgresStore::builder().url(url);
        shown.debug(&builder);
        shown.error(&builder.connect().await.unwrap_err());
    }
}

async fn over_a_stub(world: &World, shown: &mut Shown<'_>) {
    let stub = StubTransport::new();
    let reply = StubReply::status(StatusCode::GONE);
    shown.debug(&reply);
    stub.script(world.subscription.endpoint(), [reply]);
    let sender = Sender::builder(world.vapid.clone(), stub.clone()).build();
    shown.debug(&stub);
    shown.debug(&sender.send(&world.subscription, &world.message()).await);
    let requests: Vec<StubRequest> = stub.requests();
    assert_eq!(requests.len(), 1);
    shown.debug(&requests);
    shown.debug(&stub);
    shown.debug(&sender);
}

/// What a broadcast leaves behind, and what its parts print while they hold connections.
async fn over_sockets(world: &World, shown: &mut Shown<'_>) {
    let service = PushService::builder().clock(clock()).tls(true).start().await.unwrap();
    let subscription = service.subscribe(&world.agent);
    let root = service.ca_pem().unwrap().as_bytes();
    let builder = HyperTransport::builder().address_policy(AddressPolicy::loopback_for_tests());
    let builder = builder.extra_root_pem(root).unwrap();
    shown.debug(&builder);
    let transport = builder.build().unwrap();
    let builder =
        Sender::builder(world.vapid.clone(), transport.clone()).policy(EndpointPolicy::loopback_for_tests());
    let builder = builder.clock(webpush_channels::SystemClock::default());
    shown.debug(&builder);
    let sender = builder.build();
    shown.debug(&sender);
    let quote = format!("no {PATH}, {}", world.token());
    service.script(&subscription, [refusal(&quote)]);
    shown.debug(&sender.send(&subscription, &world.message()).await);

    let store = Arc::new(MemoryStore::new());
    let builder = Channels::builder(Arc::clone(&store), sender);
    shown.debug(&builder);
    let channels = builder.build();
    channels.subscribe(&user(), subscription.clone(), None).await.unwrap();
    let page: UnseenPage = store.unseen(Duration::ZERO, None, NonZeroU16::MIN).await.unwrap();
    let unseen: &Unseen = &page.entries[0];
    shown.debug(&unseen);
    shown.debug(&page);
    shown.debug(&channels);
    shown.debug(&channels.channel(&"news".parse().unwrap()).name());
    shown.debug(&channels.channel(&"news".parse().unwrap()));
    let (progress, controls) = (Progress::default(), Controls::default());
    let payload = world.payload.clone();
    let tailored = Broadcast::new(world.message().with_fallback(world.payload.clone()))
        .with_id(broadcast())
        .with_progress(&progress)
        .with_controls(&controls)
        .with_payloads(move |_| Some(payload.clone()))
        .with_filter(|_| true)
        .except(SubscriptionId::from_bytes([7; 32]));
    let publication = Publication::new(Audience::User(user()), tailored);
    shown.debug(&publication);
    shown.debug(publication.broadcast());
    service.script(&subscription, [refusal(&quote)]);
    let report = channels.publish(publication.clone()).await.unwrap();
    assert_eq!((report.read, report.failures.len()), (1, 1), "{report}");
    report_of(&report, shown);
    let mut deliveries = channels.deliveries(publication);
    while let Some(delivery) = futures_util::StreamExt::next(&mut deliveries).await {
        shown.debug(&delivery.unwrap());
    }
    shown.debug(&(progress.snapshot(), progress, controls));
    shown.debug(&transport);
    let received = service.received(&subscription);
    assert_eq!(received.len(), 1, "{:?}", service.violations());
    shown.debug(&received);
    shown.debug(&service);
    shown.debug(&service.counters());
    let _ = webpush_channels::SystemClock::default().now();
}

fn report_of(report: &Report, shown: &mut Shown<'_>) {
    shown.debug(report);
    shown.display(report);
    shown.text("JSON", &serde_json::to_string(report).unwrap());
    let failure: &Failure = &report.failures[0];
    shown.debug(failure);
    let label: &OriginLabel = &failure.origin;
    shown.display(label);
    assert!(label.to_string().starts_with("https://127.0.0.1") || label.to_string() == ORIGIN);
}

fn refusal(quote: &str) -> Answer {
    let mut response = Response::new(Bytes::from(quote.to_owned()));
    *response.status_mut() = StatusCode::BAD_REQUEST;
    Answer::Response(response)
}
