//! Subscriptions that ask for the legacy coding, beside the others.

use webpush_channels::channel::{Broadcast, Channels};
use webpush_channels::engine::encryption::{Encoded, EncryptError, Encryptor, Plaintext};
use webpush_channels::sender::Sender;
use webpush_channels::store::{Coding, MemoryStore, NewEntry, SubscriptionStore as _};
use webpush_channels::testing::{StubReply, StubTransport, UserAgent};
use webpush_channels::{OutcomeKind, Payload, SubscriptionKeys};

use super::support::{self, Plain, limits, news, user};
use super::{counted, entry, message, octets, payload, publish};

const MEMBERS: usize = 40;

/// Every second one is an old browser.
async fn mixed() -> MemoryStore {
    let store = MemoryStore::new();
    for n in 0..MEMBERS {
        let agent = UserAgent::seeded(n as u64);
        let subscription = agent.subscribe(format!("https://push.example.net/p/{n}").parse().unwrap());
        let coding = [Coding::Aes128Gcm, Coding::AesGcm][n % 2];
        store.put(&[NewEntry::new(user(n), subscription).with_coding(coding)]).await.unwrap();
        store.join(&news(), &[user(n)]).await.unwrap();
    }
    store
}

/// What each browser got, in which coding.
fn received(transport: &StubTransport) -> Vec<(usize, String, Option<Vec<u8>>)> {
    let requests = transport.requests();
    let received = requests.iter().map(|request| {
        let request = request.get();
        let n: usize = request.uri().path().rsplit_once('/').unwrap().1.parse().unwrap();
        let coding = request.headers()["content-encoding"].to_str().unwrap().to_owned();
        let opened = UserAgent::seeded(n as u64).receive(request.headers(), request.body()).unwrap();
        (n, coding, opened)
    });
    received.collect()
}

#[tokio::test]
async fn one_broadcast_reaches_both_codings() {
    let transport = StubTransport::new();
    let sender = Sender::builder(support::vapid(1), transport.clone()).build();
    let hub = Channels::builder(mixed().await, sender).limits(limits()).build();
    counted(&publish(&hub, support::broadcast()).await, &[(OutcomeKind::Accepted, 40)]);
    let each = Broadcast::new(message(payload("-")))
        .with_payloads(|entry| Some(Payload::new(entry.user.as_str().to_owned()).unwrap()));
    counted(&publish(&hub, each).await, &[(OutcomeKind::Accepted, 40)]);
    let received = received(&transport);
    assert_eq!(received.len(), 2 * MEMBERS);
    for (at, (n, coding, opened)) in received.into_iter().enumerate() {
        assert_eq!(coding, ["aes128gcm", "aesgcm"][n % 2]);
        let expected = if at < MEMBERS { "hello".to_owned() } else { format!("user-{n}") };
        assert_eq!(opened.unwrap(), expected.as_bytes(), "{n}");
    }
}

/// 3980 octets fit RFC 8291; the encryptor of the legacy coding takes 3966.
#[tokio::test]
async fn each_coding_has_its_limit() {
    let transport = StubTransport::new();
    let sender = Sender::builder(support::vapid(1), transport.clone()).build();
    let hub = Channels::builder(mixed().await, sender).limits(limits()).build();
    let report = publish(&hub, message(octets(3980))).await;
    counted(&report, &[(OutcomeKind::Accepted, 20), (OutcomeKind::TooLarge, 20)]);
    let report = publish(&hub, message(octets(3980)).with_fallback(octets(9))).await;
    counted(&report, &[(OutcomeKind::Accepted, 40)]);
    for (n, _, opened) in &received(&transport)[20..] {
        assert_eq!(opened.as_ref().unwrap().len(), [3980, 9][n % 2]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_legacy_body_falls_back_and_is_remembered() {
    let transport = StubTransport::answering(|request| {
        let status = if request.body().len() > 2000 { 413 } else { 201 };
        StubReply::status(http::StatusCode::from_u16(status).unwrap())
    });
    let store = std::sync::Arc::new(mixed().await);
    let sender = Sender::builder(support::vapid(1), transport.clone()).build();
    let hub = Channels::builder(std::sync::Arc::clone(&store), sender.clone()).limits(limits()).build();
    let message = message(octets(2500)).with_fallback(octets(9));
    for attempts in [80, 40] {
        let report = publish(&hub, message.clone()).await;
        counted(&report, &[(OutcomeKind::Accepted, 40)]);
        assert_eq!(report.attempts, attempts);
    }
    // 2502 octets and their padding are 20 blocks of 128.
    assert_eq!(entry(&store, 1).await.payload_limit, Some(20 * 128 + 16 - 1));
    let sent = sender.send_to(&entry(&store, 1).await, &message).await;
    assert_eq!((sent.outcome.kind(), sent.attempts), (OutcomeKind::Accepted, 1));
    assert_eq!(received(&transport).last().unwrap().1, "aesgcm");
}

/// Says that it is another coding than it is.
#[derive(Debug)]
struct Own;

impl Encryptor for Own {
    fn max_plaintext_len(&self) -> usize {
        100
    }

    fn encrypt(
        &self,
        to: &SubscriptionKeys,
        plaintext: &Plaintext,
        out: &mut Vec<u8>,
    ) -> Result<Encoded, EncryptError> {
        Plain.encrypt(to, plaintext, out)?;
        Ok(Encoded::AesGcm { salt: [1; 16], dh: [4; 65] })
    }
}

#[tokio::test(start_paused = true)]
async fn the_legacy_encryptor_can_be_another() {
    let transport = StubTransport::new();
    let sender = Sender::builder(support::vapid(1), transport.clone()).legacy_encryptor(Own).build();
    let hub = Channels::builder(mixed().await, sender).limits(limits()).build();
    counted(&publish(&hub, support::broadcast()).await, &[(OutcomeKind::Accepted, 40)]);
    let own = transport.requests().iter().filter(|request| request.get().body() == "hello").count();
    assert_eq!(own, 20);
}
