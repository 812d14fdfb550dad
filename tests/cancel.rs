//! Taking messages back: on doubles with paused time, and over sockets.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::error::Error as _;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{Method, Response, StatusCode};
use tokio::net::TcpListener;
use tokio::time::Instant;
use webpush_channels::engine::cancel::CancelUrlError;
use webpush_channels::engine::vapid::{Vapid, VapidKey};
use webpush_channels::sender::{CancelError, Cancellation, RetryPolicy, Sender};
use webpush_channels::testing::{
    Answer, PushService, PushServiceBuilder, StubReply, StubTransport, UserAgent,
};
use webpush_channels::transport::{
    HyperTransport, Processed, ReqwestTransport, Transport, TransportErrorKind as Kind,
};
use webpush_channels::{
    AddressPolicy, CollapseKey, Endpoint, EndpointPolicy, LastFailure, Message, MessageUrl, Outcome, Payload,
    PolicyError, Subscription, Ttl,
};

const SECOND: Duration = Duration::from_secs(1);

fn vapid() -> Vapid {
    Vapid::new(VapidKey::from_scalar(&[1; 32]).unwrap(), "mailto:ops@example.org".parse().unwrap())
}

fn to(url: &str) -> Subscription {
    UserAgent::seeded(1).subscribe(url.parse().unwrap())
}

fn one() -> Subscription {
    to("https://push.example.net/p/1")
}

fn url(text: &str) -> MessageUrl {
    text.parse::<Endpoint>().unwrap().into()
}

fn message(text: &'static str) -> Message {
    Message::new(Payload::new(text).unwrap(), Ttl::hours(1))
}

/// A sender over replies to requests, in order.
fn scripted(replies: impl IntoIterator<Item = StubReply>) -> (StubTransport, Sender) {
    let stub = StubTransport::new();
    stub.script_all(replies);
    (stub.clone(), Sender::builder(vapid(), stub).seed(7).build())
}

async fn cancel(sender: &Sender) -> Result<Cancellation, CancelError> {
    sender.cancel(&one(), &url("https://push.example.net/m/1")).await
}

fn answer(status: u16, headers: &[(&str, &str)]) -> StubReply {
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    StubReply::Response(response.body(Bytes::from_static(b"{}")).unwrap())
}

fn failure(kind: Kind) -> StubReply {
    StubReply::error(kind)
}

#[tokio::test(start_paused = true)]
async fn what_was_accepted_is_taken_back_by_a_bare_delete() {
    let (stub, sender) = scripted([]);
    let sent = sender.send(&one(), &message("x")).await;
    let url = sent.outcome.message_url().unwrap();
    assert_eq!(sender.cancel(&one(), url).await.unwrap(), Cancellation::Done);
    let requests = stub.requests();
    let delete = requests[1].get();
    assert_eq!((delete.method(), delete.uri().to_string().as_str()), (&Method::DELETE, url.as_str()));
    assert!(delete.body().is_empty());
    assert_eq!(delete.headers().len(), 1, "no token, no cookie, no TTL: {:?}", delete.headers());
    assert_eq!(delete.headers()["content-length"], "0");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_sent_to_another_origin_or_against_the_policy() {
    let (stub, sender) = scripted([]);
    for elsewhere in [
        "https://elsewhere.example/m/1",
        "https://169.254.169.254/latest",
        "http://push.example.net/m/1",
        "https://push.example.net:8443/m/1",
    ] {
        let error = sender.cancel(&one(), &url(elsewhere)).await.unwrap_err();
        assert!(matches!(error, CancelError::Url(CancelUrlError::OtherOrigin)), "{elsewhere}: {error:?}");
        assert!(!format!("{error:?} {error} {}", error.source().unwrap()).contains("example"));
    }
    for (forbidden, reason) in [
        ("https://10.0.0.1", PolicyError::IpLiteral),
        ("http://push.example.net", PolicyError::NotHttps),
        ("https://push.example.net:22", PolicyError::Port),
    ] {
        let message_url = url(&format!("{forbidden}/m/1"));
        let error = sender.cancel(&to(&format!("{forbidden}/p/1")), &message_url).await.unwrap_err();
        assert!(matches!(error, CancelError::Policy(told) if told == reason), "{forbidden}: {error:?}");
    }
    assert_eq!(stub.sent(), 0);
}

/// What a `Location` says is kept as it is, and asked at the own origin only.
#[tokio::test(start_paused = true)]
async fn a_location_that_leads_elsewhere_is_kept_and_never_asked() {
    let (stub, sender) = scripted([answer(201, &[("location", "https://169.254.169.254/m/1")])]);
    let sent = sender.send(&one(), &message("x")).await;
    let error = sender.cancel(&one(), sent.outcome.message_url().unwrap()).await.unwrap_err();
    assert!(matches!(error, CancelError::Url(CancelUrlError::OtherOrigin)), "{error:?}");
    assert_eq!(stub.sent(), 1);
}

#[tokio::test(start_paused = true)]
async fn each_final_answer_is_told_apart_at_once() {
    for (status, expected) in [
        (200, Some(Cancellation::Done)),
        (202, Some(Cancellation::Done)),
        (204, Some(Cancellation::Done)),
        (404, Some(Cancellation::Gone)),
        (410, Some(Cancellation::Gone)),
        (400, Some(Cancellation::Unsupported)),
        (401, Some(Cancellation::Unsupported)),
        (403, Some(Cancellation::Unsupported)),
        (405, Some(Cancellation::Unsupported)),
        (501, Some(Cancellation::Unsupported)),
        (301, None),
        (307, None),
        (409, None),
        (418, None),
        (999, None),
    ] {
        let (stub, sender) = scripted([answer(status, &[("location", "https://push.example.net/m/2")])]);
        let result = cancel(&sender).await;
        match expected {
            Some(expected) => assert_eq!(result.unwrap(), expected, "{status}"),
            None => assert!(
                matches!(result, Err(CancelError::Unexpected { status: told, .. }) if told == status),
                "{status}"
            ),
        }
        assert_eq!(stub.sent(), 1, "{status}: nothing is followed or repeated");
    }
}

#[tokio::test(start_paused = true)]
async fn what_passes_is_asked_again_and_retry_after_is_waited_for() {
    let (stub, sender) = scripted([
        answer(503, &[("retry-after", "90")]),
        StubReply::Error(Kind::Timeout, Processed::Unknown),
        StubReply::Error(Kind::Interrupted, Processed::Unknown),
        answer(429, &[("retry-after", "30")]),
        answer(500, &[]),
    ]);
    let began = Instant::now();
    assert_eq!(cancel(&sender).await.unwrap(), Cancellation::Done);
    assert_eq!(stub.sent(), 6);
    // Beside the two, backoffs of at most 2, 4 and 16 seconds.
    assert!(began.elapsed() >= 120 * SECOND && began.elapsed() <= 142 * SECOND, "{:?}", began.elapsed());
    assert!(stub.requests().iter().all(|request| request.get().method() == Method::DELETE));
}

#[tokio::test(start_paused = true)]
async fn attempts_and_patience_are_bounded_and_the_last_failure_is_told() {
    for (reply, last, text) in [
        (answer(503, &[]), LastFailure::Status(503), "status 503"),
        (answer(429, &[("retry-after", "1")]), LastFailure::Status(429), "status 429"),
        (failure(Kind::Connect), LastFailure::Transport("connect"), "connect"),
        (failure(Kind::Busy), LastFailure::Transport("busy"), "busy"),
    ] {
        let (stub, sender) = scripted(std::iter::repeat_n(reply, 10));
        let error = cancel(&sender).await.unwrap_err();
        assert_eq!(stub.sent(), 6);
        assert_eq!(error.source().is_some(), matches!(last, LastFailure::Transport(_)));
        assert!(error.to_string().ends_with(&format!("in 6 attempts, ask again later: {text}")), "{error}");
        let CancelError::GaveUp { attempts, last: told, .. } = error else { panic!("{error:?}") };
        assert_eq!((attempts, told), (6, last));
    }
    let (stub, sender) = scripted([answer(503, &[("retry-after", "3601")])]);
    let began = Instant::now();
    assert!(matches!(cancel(&sender).await, Err(CancelError::GaveUp { attempts: 1, .. })));
    assert_eq!((stub.sent(), began.elapsed()), (1, Duration::ZERO));
    let (stub, _) = scripted([answer(500, &[])]);
    let once = Sender::builder(vapid(), stub).retry(RetryPolicy::default().with_attempts(1)).build();
    assert!(matches!(cancel(&once).await, Err(CancelError::GaveUp { attempts: 1, .. })));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_succeed_is_not_repeated() {
    let (stub, sender) = scripted([failure(Kind::AddressRefused), failure(Kind::InvalidRequest)]);
    assert!(matches!(cancel(&sender).await, Err(CancelError::Address(_))));
    let unsendable = cancel(&sender).await;
    assert!(matches!(unsendable, Err(CancelError::Url(CancelUrlError::Malformed))), "{unsendable:?}");
    assert_eq!(stub.sent(), 2);
}

/// A key that was refused, or a pause, concerns messages.
#[tokio::test(start_paused = true)]
async fn a_stopped_origin_is_still_asked() {
    let refusing = StubTransport::answering(|request| {
        let refused = request.method() == Method::POST;
        StubReply::status(if refused { StatusCode::FORBIDDEN } else { StatusCode::NO_CONTENT })
    });
    let sender = Sender::builder(vapid(), refusing.clone()).seed(7).build();
    for n in 0..4 {
        let subscription = to(&format!("https://push.example.net/p/{n}"));
        assert_eq!(sender.send(&subscription, &message("x")).await.outcome, Outcome::AuthRefused);
    }
    let posts = refusing.sent();
    sender.send(&one(), &message("x")).await;
    assert_eq!(refusing.sent(), posts, "the origin is stopped");
    assert_eq!(cancel(&sender).await.unwrap(), Cancellation::Done);
}

/// How the sender reaches the push service.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Wire {
    Http1,
    Http2,
    Tls2,
    Reqwest,
}

impl Wire {
    const ALL: [Self; 4] = [Self::Http1, Self::Http2, Self::Tls2, Self::Reqwest];

    async fn service(self, builder: PushServiceBuilder) -> PushService {
        builder.tls(self == Self::Tls2).start().await.unwrap()
    }

    fn sender(self, service: &PushService) -> Sender {
        let (policy, limit) = (AddressPolicy::loopback_for_tests(), Duration::from_millis(500));
        if self == Self::Reqwest {
            let builder = ReqwestTransport::builder().address_policy(policy).total_timeout(limit);
            return over(builder.build().unwrap());
        }
        let builder = HyperTransport::builder()
            .address_policy(policy)
            .http2_prior_knowledge(self == Self::Http2)
            .total_timeout(limit);
        let builder = match service.ca_pem() {
            Some(ca) => builder.extra_root_pem(ca.as_bytes()).unwrap(),
            None => builder,
        };
        over(builder.build().unwrap())
    }
}

fn over(transport: impl Transport) -> Sender {
    let soon = Duration::from_millis(5);
    Sender::builder(vapid(), transport)
        .policy(EndpointPolicy::loopback_for_tests())
        .retry(RetryPolicy::default().with_backoff(soon, soon))
        .build()
}

async fn send(sender: &Sender, subscription: &Subscription, message: &Message) -> MessageUrl {
    let sent = sender.send(subscription, message).await;
    sent.outcome.message_url().unwrap_or_else(|| panic!("{sent:?}")).clone()
}

fn texts(service: &PushService, subscription: &Subscription) -> Vec<String> {
    let received = service.received(subscription);
    let text = |payload: &[u8]| String::from_utf8(payload.to_vec()).unwrap();
    received.iter().map(|received| text(received.payload().unwrap().unwrap())).collect()
}

#[tokio::test]
async fn a_message_that_was_taken_back_never_reaches_its_user_agent() {
    for wire in Wire::ALL {
        for mozilla in [false, true] {
            let builder = PushService::builder();
            let service = wire.service(if mozilla { builder.mozilla() } else { builder }).await;
            let (sender, to) = (wire.sender(&service), service.subscribe(&UserAgent::seeded(1)));
            service.set_offline(&to, true);
            let kept = send(&sender, &to, &message("kept")).await;
            let wrong = send(&sender, &to, &message("wrong")).await;
            for _ in 0..2 {
                assert_eq!(sender.cancel(&to, &wrong).await.unwrap(), Cancellation::Done, "{wire:?}");
            }
            service.set_offline(&to, false);
            assert_eq!(texts(&service, &to), ["kept"], "{wire:?}");
            // As Mozilla's service answers: it does not say that it came too late.
            assert_eq!(sender.cancel(&to, &kept).await.unwrap(), Cancellation::Done);
            assert_eq!((service.counters().cancelled, service.counters().rejected), (1, 0));
            let unknown = url(&format!("{}x", wrong.as_str()));
            assert_eq!(sender.cancel(&to, &unknown).await.unwrap(), Cancellation::Unsupported);
        }
    }
}

/// What Mozilla's service calls a message with a topic is made of the subscription and the topic.
#[tokio::test]
async fn at_mozilla_the_url_of_a_replaced_message_takes_back_the_one_that_replaced_it() {
    for (mozilla, left) in [(true, &["other"][..]), (false, &["later", "other"])] {
        let builder = PushService::builder();
        let service = if mozilla { builder.mozilla() } else { builder }.start().await.unwrap();
        let (sender, to) = (Wire::Http2.sender(&service), service.subscribe(&UserAgent::seeded(1)));
        service.set_offline(&to, true);
        let scores = |text| message(text).with_collapse_key(CollapseKey::new("scores").unwrap());
        let earlier = send(&sender, &to, &scores("earlier")).await;
        let later = send(&sender, &to, &scores("later")).await;
        assert_eq!(earlier == later, mozilla);
        send(&sender, &to, &message("other")).await;
        assert_eq!(sender.cancel(&to, &earlier).await.unwrap(), Cancellation::Done);
        service.set_offline(&to, false);
        assert_eq!(texts(&service, &to), left);
    }
}

#[tokio::test]
async fn a_push_service_that_misbehaves_is_asked_again_or_believed() {
    for wire in [Wire::Http1, Wire::Http2, Wire::Tls2] {
        for fault in [
            Answer::Hang,
            Answer::CutBeforeStatus,
            Answer::AcceptAndCut,
            Answer::ResetStream,
            Answer::RefuseStream,
            Answer::Goaway,
            Answer::throttled(Some(Duration::ZERO)),
            Answer::unavailable(None),
            Answer::server_error(),
            // These are answers, however they go on.
            Answer::CutAfterHeaders,
            Answer::HugeBody(50_000_000),
            Answer::Trickle { every: Duration::from_millis(50), octets: 1000 },
            Answer::AcceptAndClose,
        ] {
            let service = wire.service(PushService::builder()).await;
            let (sender, to) = (wire.sender(&service), service.subscribe(&UserAgent::seeded(1)));
            service.set_offline(&to, true);
            let url = send(&sender, &to, &message("wrong")).await;
            service.script_delete(&to, [fault.clone()]);
            assert_eq!(sender.cancel(&to, &url).await.unwrap(), Cancellation::Done, "{wire:?} {fault:?}");
            assert_eq!(service.counters().cancelled, 1, "{wire:?} {fault:?}");
        }
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let trap = TcpListener::bind("127.0.0.1:0").await.unwrap();
    for wire in Wire::ALL {
        let service = wire.service(PushService::builder()).await;
        let (sender, to) = (wire.sender(&service), service.subscribe(&UserAgent::seeded(1)));
        let url = send(&sender, &to, &message("x")).await;
        let location = format!("http://{}/", trap.local_addr().unwrap());
        service.script_delete(&to, [Answer::redirect(&location)]);
        let error = sender.cancel(&to, &url).await.unwrap_err();
        assert!(matches!(error, CancelError::Unexpected { status: 307, .. }), "{wire:?}: {error:?}");
    }
    let nobody = tokio::time::timeout(Duration::from_millis(50), trap.accept()).await;
    assert!(nobody.is_err(), "somebody came");
}

/// The name was fine when the subscription was stored.
#[tokio::test]
async fn the_address_is_checked_when_connecting() {
    let service = PushService::builder().localhost(true).start().await.unwrap();
    let to = service.subscribe(&UserAgent::seeded(1));
    let transport = HyperTransport::builder().address_policy(AddressPolicy::public()).build().unwrap();
    let message_url = url(&format!("{}/m/0-1-0", service.origin()));
    let error = over(transport).cancel(&to, &message_url).await.unwrap_err();
    assert!(matches!(error, CancelError::Address(_)), "{error:?}");
    assert_eq!(service.counters().connections, 0);
}

#[test]
fn a_date_in_retry_after_is_read_by_the_senders_clock() {
    use webpush_channels::engine::cancel::{CancelVerdict, classify};
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_717);
    let response = Response::builder()
        .status(503)
        .header("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT")
        .body(Bytes::new())
        .unwrap();
    assert_eq!(classify(&response, now), CancelVerdict::Retry { after: Some(60 * SECOND) });
}
