//! `RateLimited` and `Recording`: they keep the contract, and do what they are for.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use tokio::time::{Instant, timeout};
use webpush_channels::testing::{ManualClock, StubReply, StubTransport};
use webpush_channels::transport::{
    ExchangeEnd, ExchangeLog, HyperTransport, Processed, Rate, RateLimited, Recording, Transport,
    TransportErrorKind,
};
use webpush_channels::{AddressPolicy, Clock as _, Endpoint};

fn hyper() -> HyperTransport {
    HyperTransport::builder()
        .address_policy(AddressPolicy::loopback_for_tests())
        .total_timeout(Duration::from_secs(1))
        .build()
        .unwrap()
}

const fn rate(per_second: u32) -> Rate {
    Rate::per_second(NonZeroU32::new(per_second).unwrap())
}

mod limited {
    use super::{RateLimited, hyper, rate};

    webpush_channels::transport_suite!(RateLimited::new(hyper()).per_origin(rate(1000)).overall(rate(1000)));
}

mod recorded {
    use super::{ExchangeLog, Recording, hyper};

    webpush_channels::transport_suite!(Recording::new(hyper(), ExchangeLog::new(10)));
}

fn post(uri: &str) -> Request<Bytes> {
    Request::post(uri).body(Bytes::from_static(b"body")).unwrap()
}

/// Sends so many at once; when the last was answered, since the first was sent.
async fn all(transport: &Arc<impl Transport>, uris: &[&str], each: usize) -> Duration {
    let began = Instant::now();
    let mut sending = tokio::task::JoinSet::new();
    for uri in uris.iter().flat_map(|uri| std::iter::repeat_n(uri, each)) {
        let (transport, request) = (Arc::clone(transport), post(uri));
        sending.spawn(async move { transport.send(request).await.unwrap() });
    }
    sending.join_all().await;
    began.elapsed()
}

#[tokio::test(start_paused = true)]
async fn each_origin_has_a_rate_of_its_own() {
    let transport = Arc::new(RateLimited::new(StubTransport::new()).per_origin(rate(10)));
    let origins = ["https://a.example/x", "https://b.example/x", "https://a.example:8443/x"];
    assert_eq!(all(&transport, &origins, 11).await, Duration::from_secs(1));
    // Another spelling is no other origin.
    let spelled = ["https://a.example:443/x", "https://A.example/y"];
    assert_eq!(all(&transport, &spelled, 5).await, Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn all_origins_share_the_overall_rate() {
    let limited = RateLimited::new(StubTransport::new()).per_origin(rate(10)).overall(rate(10));
    let origins = ["https://a.example/x", "https://b.example/x"];
    assert_eq!(all(&Arc::new(limited), &origins, 8).await, Duration::from_millis(1500));
}

#[tokio::test(start_paused = true)]
async fn a_request_that_cannot_have_its_turn_in_time_was_not_sent() {
    let stub = StubTransport::new();
    let transport = RateLimited::new(stub.clone()).overall(rate(1)).max_wait(Duration::from_millis(1500));
    let began = Instant::now();
    let uri = "https://push.example/x";
    let sends = [uri; 4].map(|uri| transport.send(post(uri)));
    let [first, second, third, fourth] = sends;
    let (first, second, third, fourth) = tokio::join!(first, second, third, fourth);
    assert!(first.is_ok() && second.is_ok());
    for late in [third, fourth] {
        let error = late.unwrap_err();
        assert_eq!((error.kind(), error.processed()), (TransportErrorKind::Busy, Processed::No));
    }
    assert_eq!(stub.requests().len(), 2);
    assert_eq!(began.elapsed(), Duration::from_secs(1), "nobody waits for what cannot be");
}

#[tokio::test(start_paused = true)]
async fn whoever_gives_up_waiting_takes_nobodys_turn() {
    let stub = StubTransport::new();
    let transport = Arc::new(RateLimited::new(stub.clone()).per_origin(rate(1)));
    let uri = ["https://push.example/x"];
    transport.send(post(uri[0])).await.unwrap();
    for _ in 0..3 {
        let given_up = timeout(Duration::from_millis(100), transport.send(post(uri[0]))).await;
        assert!(given_up.is_err());
    }
    assert_eq!(all(&transport, &uri, 1).await, Duration::from_millis(700));
    assert_eq!(stub.requests().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_limit_without_end_is_a_limit() {
    let transport = RateLimited::new(StubTransport::new()).overall(rate(1)).max_wait(Duration::MAX);
    assert_eq!(all(&Arc::new(transport), &["https://push.example/x"], 3).await, Duration::from_secs(2));
}

#[tokio::test(start_paused = true)]
async fn an_exchange_is_kept_with_its_numbers_and_without_its_secrets() {
    let stub = StubTransport::new();
    let endpoint: Endpoint = "https://push.example:8443/secret".parse().unwrap();
    let gone = Response::builder().status(StatusCode::GONE).body(Bytes::from("what secret?")).unwrap();
    let gone = StubReply::Response(gone).after(Duration::from_secs(3));
    stub.script(&endpoint, [gone, StubReply::error(TransportErrorKind::Timeout)]);
    let clock = Arc::new(ManualClock::at_unix(1_700_000_000));
    let log = ExchangeLog::new(10);
    let transport = Recording::new(stub, log.clone()).with_clock(Arc::clone(&clock));
    transport.send(post(endpoint.as_str())).await.unwrap();
    transport.send(post(endpoint.as_str())).await.unwrap_err();

    let seen = log.take();
    assert!(log.snapshot().is_empty());
    assert_eq!(seen[0].began, clock.now());
    assert_eq!(seen[0].took, Duration::from_secs(3));
    assert_eq!((seen[0].method.as_str(), seen[0].sent), ("POST", 4));
    assert_eq!(seen[0].origin.as_deref(), Some("https://push.example:8443"));
    assert_eq!(seen[0].end, ExchangeEnd::Answered { status: StatusCode::GONE, received: 12 });
    let failed = ExchangeEnd::Failed { kind: TransportErrorKind::Timeout, processed: Processed::Unknown };
    assert_eq!(seen[1].end, failed);
    assert!(!format!("{seen:?}").contains("secret"));
}

#[tokio::test(start_paused = true)]
async fn an_abandoned_exchange_is_kept_too() {
    let stub = StubTransport::new();
    let endpoint: Endpoint = "https://push.example/secret".parse().unwrap();
    stub.script(&endpoint, [StubReply::status(StatusCode::CREATED).after(Duration::from_secs(60))]);
    let log = ExchangeLog::new(10);
    let transport = Recording::new(stub, log.clone());
    assert!(timeout(Duration::from_secs(2), transport.send(post(endpoint.as_str()))).await.is_err());
    let seen = log.snapshot();
    assert_eq!((seen[0].end, seen[0].took), (ExchangeEnd::Abandoned, Duration::from_secs(2)));
}

#[tokio::test]
async fn a_log_keeps_the_last_ones_and_counts_the_others() {
    for capacity in [0, 3] {
        let log = ExchangeLog::new(capacity);
        let transport = Recording::new(StubTransport::new(), log.clone());
        for port in 1..=5 {
            transport.send(post(&format!("https://push.example:{port}/x"))).await.unwrap();
        }
        let kept: Vec<_> = log.snapshot().into_iter().filter_map(|seen| seen.origin).collect();
        let expected: Vec<_> =
            (6 - capacity..=5).map(|port| format!("https://push.example:{port}")).collect();
        assert_eq!(kept, expected);
        assert_eq!(log.dropped(), 5 - capacity as u64);
    }
}
