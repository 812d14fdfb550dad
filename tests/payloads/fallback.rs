//! A smaller payload, where the first is too large.

use std::sync::Arc;

use webpush_channels::channel::Channels;
use webpush_channels::engine::encryption::{Encoded, EncryptError, Encryptor, Plaintext};
use webpush_channels::engine::vapid::Keyring;
use webpush_channels::sender::Sender;
use webpush_channels::store::{Change, SubscriptionStore as _};
use webpush_channels::{Message, Outcome, OutcomeKind, Padding, Payload, SubscriptionKeys, Ttl};

use super::support::{self, Double, Plain, Seen, answer, at, limits, sender, status, store, subscription};
use super::{SECOND, counted, durable, encrypting, entry, message, octets, opened, publish};

const LONG: usize = 3000;
const SHORT: usize = 20;
const OTHER_KEY: &str = "the VAPID credentials in the authorization header do not correspond to the credentials used to \
     create the subscriptions.\n";

/// A push service that takes bodies of up to so many octets.
fn takes(most: usize) -> Double {
    Double::new(move |seen, _| status(if seen.body.len() > most { 413 } else { 201 }))
}

fn with_fallback() -> Message {
    message(octets(LONG)).with_fallback(octets(SHORT))
}

/// The payload was tried, then the fallback, under another salt and another key (E-34).
fn assert_both(seen: &[Seen]) {
    assert_eq!(seen.len(), 2);
    assert_eq!(opened(&seen[0]).unwrap(), octets(LONG).as_bytes());
    assert_eq!(opened(&seen[1]).unwrap(), octets(SHORT).as_bytes());
    assert_ne!(seen[0].body[..16], seen[1].body[..16], "the salt");
    assert_ne!(seen[0].body[21..86], seen[1].body[21..86], "the key");
    assert_eq!(seen[0].at, seen[1].at, "at once");
}

// --- in each way of sending

#[tokio::test(start_paused = true)]
async fn a_single_message_falls_back_and_says_what_it_learned() {
    let transport = takes(2847);
    let sender = Sender::builder(support::vapid(1), transport.clone()).build();
    let sent = sender.send(&subscription("https://push.example.net/p/0"), &with_fallback()).await;
    assert!(sent.outcome.is_accepted(), "{sent:?}");
    assert_eq!((sent.attempts, &*sent.changes), (2, &[Change::LimitPayload(3327)][..]));
    assert_both(&transport.seen());

    // One that is stored begins where the last left off.
    let store = store(at("push.example.net", 1)).await;
    let entry = entry(&store, 0).await;
    store.apply(&[(entry.reference(), sent.changes[0])]).await.unwrap();
    let entry = super::entry(&store, 0).await;
    let again = sender.send_to(&entry, &with_fallback()).await;
    assert_eq!((again.attempts, again.changes.len()), (1, 0));
    assert_eq!(opened(&transport.seen()[2]).unwrap(), octets(SHORT).as_bytes());
}

#[tokio::test(start_paused = true)]
async fn a_broadcast_falls_back_once_and_remembers() {
    let (store, transport) = (store(at("push.example.net", 3)).await, takes(2847));
    let hub = encrypting(&store, &transport);
    let report = publish(&hub, with_fallback()).await;
    counted(&report, &[(OutcomeKind::Accepted, 3)]);
    assert_eq!((report.attempts, report.repeats), (6, 0));
    for n in 0..3 {
        assert_both(&transport.seen_at(&format!("/p/{n}")));
        assert_eq!(entry(&store, n).await.payload_limit, Some(3327), "recorded with an acceptance");
    }
    let report = publish(&hub, with_fallback()).await;
    assert_eq!((report.counts[OutcomeKind::Accepted], report.attempts), (3, 3), "no second try");
    assert!(transport.seen()[6..].iter().all(|seen| opened(seen).unwrap() == octets(SHORT).as_bytes()));
    // What is known to fit is sent whole.
    publish(&hub, message(octets(2000)).with_fallback(octets(SHORT))).await;
    assert!(transport.seen()[9..].iter().all(|seen| opened(seen).unwrap() == octets(2000).as_bytes()));
}

#[tokio::test(start_paused = true)]
async fn a_stored_broadcast_falls_back_once_and_remembers() {
    let journal = durable::journal(at("push.example.net", 3)).await;
    let transport = takes(2847);
    let hub = encrypting(&journal.store, &transport);
    let run = async |expected| {
        let id = durable::enqueue(&journal, with_fallback()).await;
        let worker = webpush_channels::channel::Worker::builder(hub.clone(), Arc::clone(&journal)).build();
        worker.run_until_idle().await.unwrap();
        let report = durable::report(&journal, &id).await;
        counted(&report, &[(OutcomeKind::Accepted, 3)]);
        assert_eq!((report.attempts, report.repeats), (expected, 0), "{report}");
    };
    run(6).await;
    for n in 0..3 {
        assert_both(&transport.seen_at(&format!("/p/{n}")));
        assert_eq!(entry(&journal.store, n).await.payload_limit, Some(3327));
    }
    run(3).await;
}

#[tokio::test(start_paused = true)]
async fn a_fallback_that_has_to_wait_is_not_forgotten() {
    for stored in [false, true] {
        // Too large, then unavailable for longer than a lease waits in memory.
        let transport = Double::new(|seen, nth| match nth {
            1 => status(413),
            2 => answer(503, &[("retry-after", "30")], ""),
            _ => status(if seen.body.len() > 2847 { 413 } else { 201 }),
        });
        let journal = durable::journal(at("push.example.net", 1)).await;
        let report = if stored {
            let hub = encrypting(&journal.store, &transport);
            let id = durable::enqueue(&journal, with_fallback()).await;
            let worker = webpush_channels::channel::Worker::builder(hub, Arc::clone(&journal)).build();
            worker.run_until_idle().await.unwrap();
            durable::report(&journal, &id).await
        } else {
            publish(&encrypting(&journal.store, &transport), with_fallback()).await
        };
        counted(&report, &[(OutcomeKind::Accepted, 1)]);
        let seen = transport.seen();
        let bodies: Vec<_> = seen.iter().map(|seen| opened(seen).unwrap().len()).collect();
        assert_eq!(bodies, [LONG, SHORT, SHORT], "stored: {stored}");
        assert!(seen[2].at - seen[1].at >= 30 * SECOND);
        assert_eq!(entry(&journal.store, 0).await.payload_limit, Some(3327), "stored: {stored}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_not_kept_falls_back_too() {
    let (store, transport) = (store(at("push.example.net", 1)).await, takes(2847));
    let now_or_never = Message::new(octets(LONG), Ttl::ZERO).with_fallback(octets(SHORT));
    let report = publish(&encrypting(&store, &transport), now_or_never).await;
    counted(&report, &[(OutcomeKind::Accepted, 1)]);
    assert_both(&transport.seen());
    assert!(transport.seen().iter().all(|seen| seen.ttl == "0"));
}

// --- what is remembered

/// A subscription bound to the second key of two, which nobody knew, and which takes little.
#[tokio::test(start_paused = true)]
async fn a_limit_and_a_key_are_learned_at_once() {
    let second = support::vapid(2).application_server_key().to_owned();
    let transport = Double::new(move |seen, _| {
        if !seen.authorization.contains(&second) {
            return answer(403, &[], OTHER_KEY);
        }
        status(if seen.body.len() > 2847 { 413 } else { 201 })
    });
    let store = store(["https://fcm.googleapis.com/fcm/send/0".to_owned()]).await;
    let keyring = Keyring::new(support::vapid(1)).with_older(support::vapid(2));
    let sender = Sender::builder(keyring, transport.clone()).build();
    let hub = Channels::builder(Arc::clone(&store), sender).limits(limits()).build();
    let report = publish(&hub, with_fallback()).await;
    assert_eq!((report.counts[OutcomeKind::Accepted], report.attempts), (1, 3), "{report}");
    let learned = entry(&store, 0).await;
    assert_eq!(learned.payload_limit, Some(3327));
    assert_eq!(learned.key, Some(support::vapid(2).key_id()));
    let report = publish(&hub, with_fallback()).await;
    assert_eq!((report.counts[OutcomeKind::Accepted], report.attempts), (1, 1), "{report}");
}

#[tokio::test(start_paused = true)]
async fn a_subscription_that_goes_meanwhile_is_removed() {
    let transport = Double::new(|_, nth| status(if nth == 1 { 413 } else { 410 }));
    let store = store(at("push.example.net", 1)).await;
    let report = publish(&encrypting(&store, &transport), with_fallback()).await;
    counted(&report, &[(OutcomeKind::Gone, 1)]);
    assert_eq!((report.pruned, support::left(&*store).await), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn what_is_too_large_for_both_is_too_large_and_not_tried_again() {
    let (store, transport) = (store(at("push.example.net", 2)).await, takes(100));
    let hub = encrypting(&store, &transport);
    let report = publish(&hub, with_fallback()).await;
    counted(&report, &[(OutcomeKind::TooLarge, 2)]);
    assert_eq!(report.attempts, 4);
    // The fallback's body was padded to 256.
    assert_eq!(entry(&store, 0).await.payload_limit, Some(255));
    // It is not padded then.
    publish(&hub, with_fallback()).await;
    assert!(transport.seen()[4..].iter().all(|seen| seen.body.len() == SHORT + Plaintext::OVERHEAD));
    let report = publish(&hub, with_fallback()).await;
    counted(&report, &[(OutcomeKind::TooLarge, 2)]);
    assert_eq!((report.attempts, transport.seen().len()), (0, 6));
}

// --- which payload

#[tokio::test(start_paused = true)]
async fn a_fallback_that_is_not_shorter_is_not_sent() {
    for len in [LONG, LONG + 1] {
        let (store, transport) = (store(at("push.example.net", 1)).await, takes(10));
        let hub = encrypting(&store, &transport);
        let report = publish(&hub, message(octets(LONG)).with_fallback(octets(len))).await;
        counted(&report, &[(OutcomeKind::TooLarge, 1)]);
        assert_eq!((report.attempts, transport.seen().len()), (1, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn an_empty_fallback_has_no_body() {
    let (store, transport) = (store(at("push.example.net", 1)).await, takes(10));
    let hub = encrypting(&store, &transport);
    let message = message(octets(200)).with_fallback(Payload::empty());
    for attempts in [2, 1] {
        let report = publish(&hub, message.clone()).await;
        assert_eq!((report.counts[OutcomeKind::Accepted], report.attempts), (1, attempts));
        assert!(transport.seen().last().unwrap().body.is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_of_nothing_is_no_reason_to_fall_back() {
    let (store, transport) = (store(at("push.example.net", 1)).await, Double::new(|_, _| status(413)));
    let hub = encrypting(&store, &transport);
    let report = publish(&hub, message(Payload::empty()).with_fallback(Payload::empty())).await;
    counted(&report, &[(OutcomeKind::TooLarge, 1)]);
    assert_eq!((report.attempts, entry(&store, 0).await.payload_limit), (1, None));
}

/// The padding of a fallback counts less than that it arrives.
#[tokio::test(start_paused = true)]
async fn a_fallback_is_padded_less_than_what_was_refused() {
    for (padding, bodies) in [
        (Padding::Fixed(4096), [4096, 180 + 103]),
        (Padding::default(), [512, 180 + 103]),
        (Padding::None, [200 + 103, 180 + 103]),
    ] {
        let (store, transport) = (store(at("push.example.net", 1)).await, takes(290));
        let hub = encrypting(&store, &transport);
        let message = message(octets(200)).with_fallback(octets(180)).with_padding(padding);
        counted(&publish(&hub, message.clone()).await, &[(OutcomeKind::Accepted, 1)]);
        let report = publish(&hub, message).await;
        assert_eq!((report.counts[OutcomeKind::Accepted], report.attempts), (1, 1), "{padding:?}");
        let seen: Vec<_> = transport.seen().iter().map(|seen| seen.body.len()).collect();
        assert_eq!(seen, [bodies[0], bodies[1], bodies[1]], "{padding:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_fallback_the_next_body_reaches_firefox_on_android() {
    for (len, padding, second) in [
        (50, Padding::Fixed(4096), 2847),
        (2744, Padding::default(), 2847),
        // Not padded at all: it is more than that.
        (2800, Padding::default(), 2903),
    ] {
        let (store, transport) = (store(at("push.example.net", 1)).await, takes(2847));
        let hub = encrypting(&store, &transport);
        let message = message(octets(len)).with_padding(padding);
        for _ in 0..3 {
            publish(&hub, message.clone()).await;
        }
        let seen: Vec<_> = transport.seen().iter().map(|seen| seen.body.len()).collect();
        assert_eq!(seen[1], second);
        assert_eq!(seen.len(), if second == 2847 { 3 } else { 2 }, "refused twice, it is not tried again");
    }
}

/// Takes 150 octets, and pads to multiples of 64 whatever it is asked for.
#[derive(Debug)]
struct Blocks;

impl Encryptor for Blocks {
    fn max_plaintext_len(&self) -> usize {
        150
    }

    fn encrypt(
        &self,
        to: &SubscriptionKeys,
        plaintext: &Plaintext,
        out: &mut Vec<u8>,
    ) -> Result<Encoded, EncryptError> {
        let encoded = Plain.encrypt(to, plaintext, out)?;
        out.resize(out.len().next_multiple_of(64) + Plaintext::OVERHEAD, b'.');
        Ok(encoded)
    }
}

fn in_blocks(transport: &Double) -> Sender {
    sender(transport).encryptor(Blocks).build()
}

#[tokio::test(start_paused = true)]
async fn what_the_encryptor_does_not_take_falls_back() {
    let (store, transport) = (store(at("push.example.net", 1)).await, Double::accepting());
    let hub = Channels::builder(store, in_blocks(&transport)).limits(limits()).build();
    let report = publish(&hub, message(octets(151)).with_fallback(octets(30))).await;
    assert_eq!((report.counts[OutcomeKind::Accepted], report.attempts), (1, 1));
    assert!(transport.seen()[0].body.starts_with(octets(30).as_bytes()));
    let report = publish(&hub, message(octets(152)).with_fallback(octets(151))).await;
    counted(&report, &[(OutcomeKind::TooLarge, 1)]);
    assert_eq!(transport.seen().len(), 1);
}

/// 203 octets were expected of a body, 231 come out: 128 and 103.
#[tokio::test(start_paused = true)]
async fn a_body_that_the_encryptor_pads_beyond_the_limit_is_not_sent() {
    let (store, transport) = (store(at("push.example.net", 1)).await, Double::accepting());
    let known = entry(&store, 0).await;
    store.apply(&[(known.reference(), Change::LimitPayload(210))]).await.unwrap();
    let known = entry(&store, 0).await;
    let sender = in_blocks(&transport);
    let hub = Channels::builder(store, sender.clone()).limits(limits()).build();
    let alone = message(octets(100)).with_padding(Padding::None);
    counted(&publish(&hub, alone.clone()).await, &[(OutcomeKind::TooLarge, 1)]);
    assert_eq!(sender.send_to(&known, &alone).await.outcome, Outcome::TooLarge);
    assert!(transport.seen().is_empty());
    let both = alone.with_fallback(octets(20));
    let report = publish(&hub, both.clone()).await;
    assert_eq!((report.counts[OutcomeKind::Accepted], report.attempts), (1, 1));
    assert!(sender.send_to(&known, &both).await.outcome.is_accepted());
    assert_eq!(transport.seen().iter().map(|seen| seen.body.len()).collect::<Vec<_>>(), [167, 167]);
}

#[tokio::test(start_paused = true)]
async fn a_message_falls_back_once_and_no_more() {
    let transport = Double::new(|_, _| status(413));
    let sender = Sender::builder(support::vapid(1), transport.clone()).build();
    let sent = sender.send(&subscription("https://push.example.net/p/0"), &with_fallback()).await;
    assert_eq!((sent.outcome, sent.attempts), (Outcome::TooLarge, 2));
    assert_eq!(sent.changes, [Change::LimitPayload(255)]);
    assert_both(&transport.seen());
}
