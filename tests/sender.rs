//! What a sender promises for one message to one subscription, on doubles and with paused time.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use support::{Answer, Double, answer, message, status, subscription, vapid};
use tokio::time::{Instant, timeout};
use webpush_channels::engine::encryption::{Encoded, EncryptError, Encryptor, Plaintext};
use webpush_channels::engine::vapid::Keyring;
use webpush_channels::sender::{RetryPolicy, Sender, Sent};
use webpush_channels::testing::{ManualClock, UserAgent};
use webpush_channels::transport::{Processed, Transport, TransportError, TransportErrorKind};
use webpush_channels::{
    CollapseKey, EndpointPolicy, LastFailure, Message, Outcome, OutcomeKind, Padding, Payload, PolicyError,
    Refusal, SkipReason, Subscription, SubscriptionKeys, Ttl,
};

const SECOND: Duration = Duration::from_secs(1);
const OTHER_KEY: &str = "the VAPID credentials in the authorization header do not correspond to the \
    credentials used to create the subscriptions.\n";

fn one() -> Subscription {
    subscription("https://push.example.net/p/1")
}

async fn send(transport: &Double, message: &Message) -> Sent {
    support::sender(transport).build().send(&one(), message).await
}

fn refuse_first(transport_answer: impl Fn() -> Answer + Send + Sync + 'static) -> Double {
    let first = std::sync::Mutex::new(None::<String>);
    Double::slow(move |seen, _| {
        let mut first = first.lock().unwrap();
        let refused = first.get_or_insert_with(|| seen.authorization.clone());
        let answer = if *refused == seen.authorization { transport_answer() } else { status(201) };
        (Duration::from_millis(50), answer)
    })
}

#[tokio::test(start_paused = true)]
async fn an_accepted_message_is_encrypted_for_its_receiver() {
    let transport =
        Double::new(|_, _| answer(201, &[("location", "https://push.example.net/m/9"), ("ttl", "1800")], ""));
    let agent = UserAgent::new();
    let to = agent.subscribe("https://push.example.net/p/1".parse().unwrap());
    let sent = Sender::builder(vapid(1), transport.clone()).build().send(&to, &message()).await;
    let Outcome::Accepted { message_url, granted_ttl, .. } = sent.outcome else { panic!("{sent:?}") };
    assert_eq!(message_url.unwrap().as_str(), "https://push.example.net/m/9");
    assert_eq!((granted_ttl, sent.attempts), (Some(Ttl::from_secs(1800)), 1));
    assert!(sent.detail.is_none());
    let seen = &transport.seen()[0];
    assert_eq!(agent.decrypt(&seen.body).unwrap(), b"hello");
    assert_eq!((seen.uri.as_str(), seen.ttl.as_str()), ("https://push.example.net/p/1", "3600"));
}

#[tokio::test(start_paused = true)]
async fn a_subscription_that_has_ended_is_gone_and_not_asked_again() {
    for code in [404, 410] {
        let transport = Double::new(move |_, _| status(code));
        let sent = send(&transport, &message()).await;
        assert_eq!((sent.outcome, sent.attempts), (Outcome::Gone, 1));
        assert_eq!(sent.detail.unwrap().status, code);
    }
}

#[tokio::test(start_paused = true)]
async fn retry_after_is_waited_for_and_the_repeat_sends_what_is_left_of_the_lifetime() {
    let transport = Double::new(|_, nth| match nth {
        1 => answer(429, &[("retry-after", "90")], ""),
        _ => status(201),
    });
    let sent = send(&transport, &message()).await;
    assert!(sent.outcome.is_accepted(), "{sent:?}");
    assert_eq!(sent.attempts, 2);
    assert!(sent.detail.is_none(), "what was said before the success is forgotten");
    let seen = transport.seen();
    assert!(seen[1].at - seen[0].at >= 90 * SECOND);
    assert_eq!((seen[0].ttl.as_str(), seen[1].ttl.as_str()), ("3600", "3510"));
}

#[tokio::test(start_paused = true)]
async fn a_message_that_will_not_live_that_long_is_not_waited_for() {
    let transport = Double::new(|_, _| answer(503, &[("retry-after", "90")], ""));
    let start = Instant::now();
    let sent = send(&transport, &Message::new(Payload::empty(), Ttl::from_secs(90))).await;
    assert_eq!((sent.outcome, sent.attempts), (Outcome::Expired, 1));
    assert_eq!(sent.detail.unwrap().status, 503);
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn attempts_are_bounded() {
    let failing = Double::new(|_, _| status(500));
    let sent = send(&failing, &message()).await;
    let last = LastFailure::Status(500);
    assert_eq!((sent.outcome, sent.attempts, failing.seen().len()), (Outcome::GaveUp { last }, 6, 6));
    let throttling = Double::new(|_, _| status(429));
    let sent = send(&throttling, &message()).await;
    assert_eq!((sent.outcome, sent.attempts), (Outcome::Throttled, 6));
    let once = support::sender(&throttling).retry(RetryPolicy::default().with_attempts(1)).build();
    assert_eq!(once.send(&one(), &message()).await.attempts, 1);
}

#[tokio::test(start_paused = true)]
async fn a_retry_after_beyond_an_hour_is_throttled_at_once() {
    let transport = Double::new(|_, _| answer(429, &[("retry-after", "3601")], ""));
    let start = Instant::now();
    let sent = send(&transport, &Message::new(Payload::empty(), Ttl::days(1))).await;
    assert_eq!((sent.outcome, sent.attempts), (Outcome::Throttled, 1));
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn waits_without_end_are_no_overflow() {
    let endless =
        RetryPolicy::default().with_backoff(Duration::MAX, Duration::MAX).with_max_retry_after(Duration::MAX);
    for retry_after in ["0", "99999999999999999999"] {
        let transport = Double::new(move |_, _| answer(503, &[("retry-after", retry_after)], ""));
        let sender = support::sender(&transport).retry(endless.clone()).build();
        assert_eq!(sender.send(&one(), &message()).await.outcome, Outcome::Expired);
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_token_is_renewed_once_also_for_short_lived_messages() {
    for ttl in [0, 1, 3600] {
        let transport = refuse_first(|| status(401));
        let sent = send(&transport, &Message::new(Payload::empty(), Ttl::from_secs(ttl))).await;
        assert!(sent.outcome.is_accepted(), "TTL {ttl}: {sent:?}");
        assert_eq!(sent.attempts, 2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_key_stops_the_origin_after_few_requests_and_is_probed() {
    let transport =
        Double::new(
            |seen, _| {
                if seen.uri.contains("refuses") { answer(403, &[], "no") } else { status(201) }
            },
        );
    let sender = support::sender(&transport).build();
    let mut requests = Vec::new();
    let start = tokio::time::Instant::now();
    for n in 0..8 {
        let to = subscription(&format!("https://refuses.example.net/p/{n}"));
        let sent = sender.send(&to, &message()).await;
        assert_eq!(sent.outcome, Outcome::AuthRefused);
        requests.push(sent.attempts);
    }
    // The first asks again with a fresh token, and the token is not renewed twice in an hour.
    // After three comes a suspicion: the next waits for a second, and the one after it for ten.
    assert_eq!(requests, [2, 1, 1, 1, 1, 0, 0, 0]);
    assert_eq!(start.elapsed().as_secs(), 11);
    assert!(sender.send(&one(), &message()).await.outcome.is_accepted(), "other origins are not stopped");
    for (seconds, attempts) in [(59, 0), (1, 1), (119, 0), (1, 1)] {
        tokio::time::sleep(seconds * SECOND).await;
        let probe =
            subscription(&format!("https://refuses.example.net/p/{seconds}/{attempts}{:?}", start.elapsed()));
        assert_eq!(sender.send(&probe, &message()).await.attempts, attempts, "{:?}", start.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn one_subscription_that_is_always_refused_stops_nobody_else() {
    let transport = Double::new(|seen, _| status(if seen.uri.ends_with("/bad") { 403 } else { 201 }));
    let sender = support::sender(&transport).build();
    let bad = subscription("https://push.example.net/p/bad");
    for _ in 0..5 {
        assert_eq!(sender.send(&bad, &message()).await.outcome, Outcome::AuthRefused);
    }
    assert!(sender.send(&one(), &message()).await.outcome.is_accepted());
}

#[tokio::test(start_paused = true)]
async fn a_sender_that_is_blocked_stops_for_the_origin() {
    let transport = Double::new(|_, _| answer(403, &[], "Domain Blocked"));
    let sender = support::sender(&transport).build();
    let to = subscription("https://db5.notify.windows.com/w/?token=x");
    for attempts in [1, 0] {
        let sent = sender.send(&to, &message()).await;
        assert_eq!((sent.outcome, sent.attempts), (Outcome::SenderBlocked, attempts));
    }
}

#[tokio::test(start_paused = true)]
async fn the_older_keys_of_the_keyring_are_tried() {
    let (new, old, oldest) = (vapid(1), vapid(2), vapid(3));
    let fits = oldest.application_server_key().to_owned();
    let transport = Double::new(move |seen, _| {
        if seen.authorization.ends_with(&fits) { status(201) } else { answer(403, &[], OTHER_KEY) }
    });
    let to = subscription("https://fcm.googleapis.com/fcm/send/x");
    let keyring = Keyring::new(new.clone()).with_older(old.clone()).with_older(oldest);
    let sender = Sender::builder(keyring, transport.clone()).encryptor(support::Plain).build();
    let sent = sender.send(&to, &message()).await;
    assert!(sent.outcome.is_accepted(), "{sent:?}");
    assert_eq!(sent.attempts, 3);
    let keyring = Keyring::new(new).with_older(old);
    let sender = Sender::builder(keyring, transport).encryptor(support::Plain).build();
    let sent = sender.send(&to, &message()).await;
    assert_eq!((sent.outcome, sent.attempts), (Outcome::KeyMismatch, 2));
}

#[tokio::test(start_paused = true)]
async fn what_the_policy_refuses_gets_no_request() {
    let transport = Double::accepting();
    let sender = support::sender(&transport).build();
    for (url, error) in
        [("https://10.0.0.1/x", PolicyError::IpLiteral), ("http://push.example.net/x", PolicyError::NotHttps)]
    {
        let sent = sender.send(&subscription(url), &message()).await;
        assert_eq!((sent.outcome, sent.attempts), (Outcome::Refused(Refusal::Policy(error)), 0));
    }
    let known = support::sender(&transport).policy(EndpointPolicy::known_vendors()).build();
    let sent = known.send(&one(), &message()).await;
    assert_eq!(sent.outcome.kind(), OutcomeKind::Refused);
    assert!(transport.seen().is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_address_that_the_transport_refuses_is_not_asked_again() {
    let transport = Double::new(|_, _| Err(TransportError::new(TransportErrorKind::AddressRefused)));
    let sent = send(&transport, &message()).await;
    assert_eq!((sent.outcome, sent.attempts), (Outcome::Refused(Refusal::Address), 1));
}

#[tokio::test(start_paused = true)]
async fn an_expired_subscription_is_skipped() {
    let at = |seconds| Some(std::time::UNIX_EPOCH + seconds * SECOND);
    let transport = Double::accepting();
    let clock = ManualClock::at_unix(1_700_000_000);
    let sender = support::sender(&transport).clock(clock).build();
    let sent = sender.send(&one().with_expiration_time(at(1_700_000_000)), &message()).await;
    assert_eq!((sent.outcome, sent.attempts), (Outcome::Skipped(SkipReason::Expired), 0));
    let sent = sender.send(&one().with_expiration_time(at(1_700_000_001)), &message()).await;
    assert!(sent.outcome.is_accepted());
}

#[tokio::test(start_paused = true)]
async fn an_ambiguous_failure_is_repeated_only_with_a_collapse_key() {
    let fails_once = || {
        Double::new(|_, nth| match nth {
            1 => Err(TransportError::new(TransportErrorKind::Timeout).with_processed(Processed::Unknown)),
            _ => status(201),
        })
    };
    let sent = send(&fails_once(), &message()).await;
    assert_eq!((sent.outcome, sent.attempts), (Outcome::Unconfirmed, 1));
    let transport = fails_once();
    let sent = send(&transport, &message().with_collapse_key(CollapseKey::new("inbox").unwrap())).await;
    assert!(sent.outcome.is_accepted(), "{sent:?}");
    let topics: Vec<_> = transport.seen().into_iter().map(|seen| seen.topic.unwrap()).collect();
    assert_eq!(topics[0], topics[1], "the repeat replaces the first");
}

#[tokio::test(start_paused = true)]
async fn what_may_have_arrived_with_the_last_try_is_unconfirmed() {
    let silent = Double::new(|_, _| {
        Err(TransportError::new(TransportErrorKind::Timeout).with_processed(Processed::Unknown))
    });
    let sent = send(&silent, &message().with_collapse_key(CollapseKey::new("inbox").unwrap())).await;
    assert_eq!((sent.outcome, sent.attempts), (Outcome::Unconfirmed, 6));
}

#[tokio::test(start_paused = true)]
async fn a_failure_before_anything_was_sent_is_repeated() {
    for kind in [TransportErrorKind::Busy, TransportErrorKind::Connect] {
        let transport = Double::new(move |_, nth| match nth {
            1 => Err(TransportError::new(kind)),
            _ => status(201),
        });
        let sent = send(&transport, &message()).await;
        assert!(sent.outcome.is_accepted(), "{sent:?}");
        assert_eq!(sent.attempts, 2);
    }
    let down = Double::new(|_, _| Err(TransportError::new(TransportErrorKind::Connect)));
    let sent = send(&down, &message()).await;
    let last = LastFailure::Transport("connect");
    assert_eq!((sent.outcome, sent.attempts), (Outcome::GaveUp { last }, 6));
}

#[tokio::test(start_paused = true)]
async fn dropping_the_future_drops_the_request_and_ends_the_repeats() {
    let transport = Double::slow(|_, _| (60 * SECOND, status(201)));
    let sender = support::sender(&transport).build();
    assert!(timeout(SECOND, sender.send(&one(), &message())).await.is_err());
    assert_eq!((transport.in_flight(), transport.seen().len()), (0, 1));
    let transport = Double::new(|_, _| answer(503, &[("retry-after", "60")], ""));
    let sender = support::sender(&transport).build();
    assert!(timeout(SECOND, sender.send(&one(), &message())).await.is_err());
    tokio::time::sleep(3600 * SECOND).await;
    assert_eq!(transport.seen().len(), 1);
}

/// Takes little, or fails.
#[derive(Clone, Copy, Debug)]
struct Small {
    fails: bool,
}

impl Encryptor for Small {
    fn max_plaintext_len(&self) -> usize {
        10
    }

    fn encrypt(
        &self,
        _: &SubscriptionKeys,
        plaintext: &Plaintext,
        out: &mut Vec<u8>,
    ) -> Result<Encoded, EncryptError> {
        if self.fails {
            return Err(EncryptError::backend("out of randomness"));
        }
        assert!(plaintext.padded_len() <= 10);
        out.clear();
        Ok(Encoded::Aes128Gcm)
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_encryptor_does_not_take_is_too_large() {
    let transport = Double::accepting();
    let sender = support::sender(&transport).encryptor(Small { fails: false }).build();
    for (len, kind) in [(10, OutcomeKind::Accepted), (11, OutcomeKind::TooLarge)] {
        let message = Message::new(Payload::new(vec![0; len]).unwrap(), Ttl::hours(1));
        assert_eq!(sender.send(&one(), &message).await.outcome.kind(), kind, "{len}");
    }
    assert_eq!(transport.seen().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_encryptor_that_fails_is_the_engines_failure() {
    let transport = Double::accepting();
    let sender = support::sender(&transport).encryptor(Small { fails: true }).build();
    let sent = sender.send(&one(), &message()).await;
    assert_eq!((sent.outcome, sent.attempts), (Outcome::GaveUp { last: LastFailure::Engine }, 0));
    assert!(transport.seen().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_payload_that_does_not_fit_the_fixed_length_is_too_large() {
    let transport = Double::accepting();
    for (body, kind) in [
        (50, OutcomeKind::TooLarge),
        (107, OutcomeKind::TooLarge),
        (108, OutcomeKind::Accepted),
        (4096, OutcomeKind::Accepted),
    ] {
        let sent = send(&transport, &message().with_padding(Padding::Fixed(body))).await;
        assert_eq!(sent.outcome.kind(), kind, "{body}");
    }
    // No body has no length.
    let empty = Message::new(Payload::empty(), Ttl::ZERO).with_padding(Padding::Fixed(50));
    assert!(send(&transport, &empty).await.outcome.is_accepted());
}

/// Keeps the headers of the last request.
#[derive(Clone, Debug, Default)]
struct Headers(std::sync::Arc<std::sync::Mutex<HeaderMap>>);

#[async_trait]
impl Transport for Headers {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, TransportError> {
        assert!(request.body().is_empty());
        *self.0.lock().unwrap() = request.into_parts().0.headers;
        status(201)
    }
}

#[tokio::test(start_paused = true)]
async fn an_empty_message_has_no_body_no_coding_and_a_length() {
    let headers = Headers::default();
    let sender = Sender::builder(vapid(1), headers.clone()).build();
    assert!(sender.send(&one(), &Message::new(Payload::empty(), Ttl::ZERO)).await.outcome.is_accepted());
    let headers = headers.0.lock().unwrap();
    assert_eq!(headers["content-length"], "0");
    assert_eq!(headers["ttl"], "0");
    assert!(headers["authorization"].to_str().unwrap().starts_with("vapid t="));
    assert!(!headers.contains_key("content-encoding") && !headers.contains_key("content-type"));
}
