//! The in-process push service when it misbehaves, and what it keeps for whom.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::error::Error as StdError;
use std::sync::Arc;
use std::time::Duration;

use h2::Reason;
use http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use webpush_channels::Subscription;
use webpush_channels::testing::{
    Answer, ConnectionFault, Counters, ManualClock, PushService, PushServiceBuilder, UserAgent,
};

use self::client::{Client, NOW, Push, Wire};

#[path = "support/client.rs"]
mod client;
#[path = "support/seal.rs"]
mod seal;

fn builder() -> PushServiceBuilder {
    PushService::builder().clock(Arc::new(ManualClock::at_unix(NOW)))
}

/// A service with one subscription, and a client connected to it.
async fn start(wire: Wire) -> (PushService, Subscription, Client) {
    let service = wire.start(builder()).await;
    let subscription = service.subscribe(&UserAgent::seeded(1));
    let client = wire.connect(&service).await;
    (service, subscription, client)
}

fn h2_error(error: &hyper::Error) -> &h2::Error {
    error.source().and_then(|source| source.downcast_ref()).expect("an error of HTTP/2")
}

#[tokio::test]
async fn a_scripted_status_comes_once_each_and_before_the_rules() {
    for wire in Wire::ALL {
        let (service, subscription, mut client) = start(wire).await;
        let wait = Some(Duration::from_secs(7));
        service.script(
            &subscription,
            [
                Answer::gone_404(),
                Answer::gone_410(),
                Answer::too_large(),
                Answer::throttled(wait),
                Answer::unavailable(wait),
                Answer::server_error(),
                Answer::redirect("http://127.0.0.1:1/"),
                Answer::status(StatusCode::IM_A_TEAPOT),
            ],
        );
        let push = Push::new(&subscription, b"x");
        let mut statuses = Vec::new();
        for _ in 0..9 {
            let answer = client.push(&push).await;
            let after = answer.headers().get("retry-after");
            assert_eq!(after.is_some(), matches!(answer.status().as_u16(), 429 | 503));
            assert!(after.is_none_or(|after| after == "7"));
            statuses.push(answer.status().as_u16());
        }
        assert_eq!(statuses, [404, 410, 413, 429, 503, 500, 307, 418, 201], "{wire:?}");
        let counters = service.counters();
        assert_eq!((counters.scripted, counters.accepted, counters.rejected), (8, 1, 0));
    }
}

#[tokio::test]
async fn a_script_for_all_comes_after_a_subscriptions_own() {
    let (service, first, mut client) = start(Wire::Http2).await;
    let second = service.subscribe(&UserAgent::seeded(2));
    service.script_all([Answer::gone_404(), Answer::server_error()]);
    service.script(&first, [Answer::gone_410()]);
    let (first, second) = (Push::new(&first, b"x"), Push::new(&second, b"x"));
    for (push, status) in [(&first, 410), (&second, 404), (&first, 500), (&second, 201), (&first, 201)] {
        assert_eq!(client.status(push).await.as_u16(), status);
    }
}

#[tokio::test]
async fn an_answer_may_be_chosen_by_the_subscription() {
    let choose = |number: usize| if number % 2 == 1 { Answer::gone_410() } else { Answer::Normal };
    let service = builder().answer(choose).start().await.unwrap();
    let mut client = Wire::Http2.connect(&service).await;
    for number in 0..4 {
        let subscription = service.subscribe(&UserAgent::seeded(number));
        assert_eq!(service.number(&subscription) as u64, number);
        let expected = if number % 2 == 1 { StatusCode::GONE } else { StatusCode::CREATED };
        assert_eq!(client.status(&Push::new(&subscription, b"x")).await, expected);
    }
}

#[tokio::test]
async fn a_connection_that_is_cut_tells_nothing() {
    for wire in Wire::ALL {
        for (answer, accepted) in [(Answer::CutBeforeStatus, 0), (Answer::AcceptAndCut, 1)] {
            let (service, subscription, mut client) = start(wire).await;
            service.script(&subscription, [answer]);
            let error = client.start(Push::new(&subscription, b"x").request()).await.unwrap_err();
            let h2 = error.source().and_then(|source| source.downcast_ref::<h2::Error>());
            assert!(h2.is_none_or(h2::Error::is_io) && !error.is_canceled(), "{wire:?} {error:?}");
            let counters = service.wait_for(|counters| counters.connections_open == 0).await;
            assert_eq!((counters.accepted, counters.abandoned), (accepted, 0), "{wire:?}");
        }
    }
}

#[tokio::test]
async fn a_cut_body_comes_after_its_status() {
    for wire in Wire::ALL {
        let (service, subscription, mut client) = start(wire).await;
        service.script(&subscription, [Answer::CutAfterHeaders]);
        let response = client.start(Push::new(&subscription, b"x").request()).await.unwrap();
        assert_eq!(response.status(), StatusCode::CREATED, "{wire:?}");
        let mut body = response.into_body();
        let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(&first[..], b"half a body", "{wire:?}");
        assert!(body.frame().await.unwrap().is_err(), "{wire:?}");
        assert_eq!(service.counters().accepted, 1);
    }
}

#[tokio::test]
async fn a_request_that_hangs_is_seen_to_be_abandoned() {
    for wire in Wire::ALL {
        let (service, subscription, mut client) = start(wire).await;
        service.script(&subscription, [Answer::Hang]);
        let push = Push::new(&subscription, b"x").request();
        let sending = tokio::spawn(async move { client.start(push).await.is_ok() });
        service.wait_for(|counters| counters.in_flight == 1).await;
        sending.abort();
        let counters = service.wait_for(|counters| counters.in_flight == 0).await;
        assert_eq!((counters.abandoned, counters.accepted), (1, 0), "{wire:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn answers_wait_on_tokios_clock() {
    for wire in [Wire::Http1, Wire::Http2] {
        let service = wire.start(builder().latency(Duration::from_secs(1))).await;
        let subscription = service.subscribe(&UserAgent::seeded(1));
        let mut client = wire.connect(&service).await;
        let push = Push::new(&subscription, b"x");
        let began = tokio::time::Instant::now();
        client.push(&push).await;
        assert!(began.elapsed() >= Duration::from_secs(1));
        service.script(&subscription, [Answer::server_error().after(Duration::from_secs(60))]);
        assert_eq!(client.status(&push).await.as_u16(), 500);
        assert!(began.elapsed() >= Duration::from_secs(62), "{wire:?}");
        service.script(&subscription, [Answer::Trickle { every: Duration::from_secs(1), octets: 30 }]);
        assert_eq!(client.push(&push).await.into_body(), "x".repeat(30));
        assert!(began.elapsed() >= Duration::from_secs(93), "{wire:?}");
    }
}

#[tokio::test]
async fn bodies_and_headers_may_be_huge() {
    for wire in Wire::ALL {
        let (service, subscription, mut client) = start(wire).await;
        service.script(&subscription, [Answer::HugeBody(3_000_001), Answer::HugeHeaders(40_000)]);
        let push = Push::new(&subscription, b"x");
        let answer = client.push(&push).await;
        assert_eq!((answer.status().as_u16(), answer.body().len()), (201, 3_000_001), "{wire:?}");
        match client.start(push.request()).await {
            Ok(answer) => assert_eq!(answer.headers().get_all("x-filler").iter().count(), 40),
            // hyper's client takes 16 KiB of headers over HTTP/2.
            Err(error) => assert!(wire.is_http2(), "{error:?}"),
        }
    }
}

#[tokio::test]
async fn a_refused_or_reset_stream_leaves_the_connection_alive() {
    for wire in Wire::ALL {
        for (answer, reason) in
            [(Answer::RefuseStream, Reason::REFUSED_STREAM), (Answer::ResetStream, Reason::INTERNAL_ERROR)]
        {
            let (service, subscription, mut client) = start(wire).await;
            service.script(&subscription, [answer]);
            let push = Push::new(&subscription, b"x");
            let error = client.start(push.request()).await.unwrap_err();
            if wire.is_http2() {
                let error = h2_error(&error);
                assert!(error.is_reset() && error.is_remote(), "{error:?}");
                assert_eq!(error.reason(), Some(reason));
                assert_eq!(client.status(&push).await, StatusCode::CREATED);
                assert_eq!(service.counters().connections, 1);
            }
            assert_eq!(service.counters().abandoned, 0);
        }
    }
}

#[tokio::test]
async fn goaway_says_that_the_stream_was_not_processed() {
    for wire in Wire::ALL {
        let (service, subscription, mut client) = start(wire).await;
        let push = Push::new(&subscription, b"x");
        assert_eq!(client.status(&push).await, StatusCode::CREATED);
        service.script(&subscription, [Answer::Goaway]);
        let error = client.start(push.request()).await.unwrap_err();
        if wire.is_http2() {
            let error = h2_error(&error);
            assert!(error.is_go_away() && error.is_remote(), "{error:?}");
            assert_eq!(error.reason(), Some(Reason::NO_ERROR));
        }
        let counters = service.wait_for(|counters| counters.connections_open == 0).await;
        assert_eq!((counters.accepted, counters.in_flight), (1, 0), "{wire:?}");
    }
}

#[tokio::test]
async fn goaway_leaves_older_streams_in_doubt() {
    let (service, subscription, mut client) = start(Wire::Http2).await;
    let Client::Http2(sender) = &mut client else { panic!("an HTTP/2 client") };
    sender.ready().await.unwrap();
    service.script(&subscription, [Answer::Hang, Answer::Goaway]);
    let push = Push::new(&subscription, b"x");
    let older = tokio::spawn(sender.send_request(push.request()));
    service.wait_for(|counters| counters.in_flight == 1).await;
    let newer = sender.send_request(push.request()).await.unwrap_err();
    assert!(h2_error(&newer).is_go_away());
    let older = older.await.unwrap().unwrap_err();
    let h2 = older.source().and_then(|source| source.downcast_ref::<h2::Error>());
    assert!(h2.is_none_or(h2::Error::is_io), "{older:?}");
    assert_eq!(service.wait_for(|counters| counters.in_flight == 0).await.abandoned, 1);
}

#[tokio::test]
async fn goaway_excludes_no_stream_that_was_accepted() {
    let (service, subscription, _) = start(Wire::Http2).await;
    let late = Answer::Goaway.after(Duration::ZERO);
    let endless = Answer::Trickle { every: Duration::from_secs(3600), octets: 1 };
    service.script(&subscription, [late, endless]);
    let (head, body) = Push::new(&subscription, b"x").request().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let socket = TcpStream::connect(service.address()).await.unwrap();
    let (mut client, connection) = h2::client::handshake(socket).await.unwrap();
    let connection = tokio::spawn(connection);

    let (older, mut rest) = client.send_request(Request::from_parts(head.clone(), ()), false).unwrap();
    service.wait_for(|counters| counters.in_flight == 1).await;
    let (newer, mut whole) = client.send_request(Request::from_parts(head, ()), false).unwrap();
    whole.send_data(body.clone(), true).unwrap();
    let mut newer = newer.await.unwrap();
    assert_eq!(newer.status(), StatusCode::CREATED);
    rest.send_data(body, true).unwrap();
    let older = older.await.unwrap_err();
    assert!(!older.is_go_away(), "another was accepted after it: {older:?}");
    let cut = newer.body_mut().data().await.expect("a body is missing").unwrap_err();
    assert!(!cut.is_go_away(), "it was accepted: {cut:?}");
    drop(connection.await);
}

#[tokio::test]
async fn a_closing_connection_still_answers() {
    for wire in Wire::ALL {
        let (service, subscription, mut client) = start(wire).await;
        service.script(&subscription, [Answer::AcceptAndClose]);
        let push = Push::new(&subscription, b"x");
        let answer = client.push(&push).await;
        assert_eq!(answer.status(), StatusCode::CREATED);
        assert_eq!(answer.headers().contains_key("connection"), !wire.is_http2());
        let counters = service.wait_for(|counters| counters.connections_open == 0).await;
        assert_eq!((counters.accepted, counters.in_flight, counters.abandoned), (1, 0, 0), "{wire:?}");
        assert!(client.start(push.request()).await.is_err(), "{wire:?}");
    }
}

#[tokio::test]
async fn streams_are_limited_as_announced() {
    let service = builder().max_concurrent_streams(3).start().await.unwrap();
    let subscription = service.subscribe(&UserAgent::seeded(1));
    service.script(&subscription, vec![Answer::Hang; 10]);
    let mut client = Wire::Http2.connect(&service).await;
    let Client::Http2(sender) = &mut client else { panic!("an HTTP/2 client") };
    sender.ready().await.unwrap();
    let push = Push::new(&subscription, b"x");
    let mut sending = tokio::task::JoinSet::new();
    for _ in 0..10 {
        sending.spawn(sender.send_request(push.request()));
    }
    let counters = service.wait_for(|counters| counters.in_flight == 3).await;
    assert_eq!((counters.requests, counters.in_flight_max), (3, 3));
}

#[tokio::test]
async fn connections_may_be_closed_or_silent() {
    let faults = |number| match number {
        0 => ConnectionFault::Close,
        1 => ConnectionFault::Silence,
        _ => ConnectionFault::None,
    };
    let service = builder().connection_fault(faults).start().await.unwrap();
    let mut closed = TcpStream::connect(service.address()).await.unwrap();
    assert_eq!(closed.read(&mut [0; 1]).await.unwrap(), 0);
    let silent = TcpStream::connect(service.address()).await.unwrap();
    let subscription = service.subscribe(&UserAgent::seeded(1));
    let mut client = Wire::Http2.connect(&service).await;
    assert_eq!(client.status(&Push::new(&subscription, b"x")).await, StatusCode::CREATED);
    assert_eq!(silent.try_read(&mut [0; 1]).unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
}

#[tokio::test]
async fn http1_only_negotiates_and_speaks_nothing_else() {
    let service = builder().tls(true).http1_only(true).localhost(true).start().await.unwrap();
    assert!(service.origin().as_str().starts_with("https://localhost:"));
    let subscription = service.subscribe(&UserAgent::seeded(1));
    let mut client = Wire::Tls1.connect(&service).await;
    assert_eq!(client.status(&Push::new(&subscription, b"x")).await, StatusCode::CREATED);
}

#[tokio::test]
async fn hostile_octets_end_their_connection_only() {
    use tokio::io::AsyncWriteExt as _;
    for wire in Wire::ALL {
        let (service, subscription, mut client) = start(wire).await;
        for octets in [
            &b"\x00\xff\x16\x03"[..],
            b"GET",
            b"GET / HTTP/9.9\r\n\r\n",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\xff\xff\xff\xff\xff\xff",
            b"POST /p/0 HTTP/1.1\r\nhost: \xff\r\ncontent-length: 99999999999999999999\r\n\r\n",
        ] {
            let mut stream = TcpStream::connect(service.address()).await.unwrap();
            stream.write_all(octets).await.unwrap();
            stream.shutdown().await.unwrap();
            // Reset or closed: either way it ends.
            drop(stream.read_to_end(&mut Vec::new()).await);
        }
        assert_eq!(client.status(&Push::new(&subscription, b"x")).await, StatusCode::CREATED, "{wire:?}");
    }
}

#[tokio::test]
async fn dropping_the_service_ends_its_port_and_its_connections() {
    for wire in Wire::ALL {
        let (service, subscription, mut client) = start(wire).await;
        service.script(&subscription, [Answer::Hang]);
        let push = Push::new(&subscription, b"x").request();
        let sending = tokio::spawn(async move { client.start(push).await.is_err() });
        service.wait_for(|counters| counters.in_flight == 1).await;
        let address = service.address();
        drop(service);
        assert!(sending.await.unwrap(), "{wire:?}");
        assert!(TcpStream::connect(address).await.is_err(), "{wire:?}");
    }
}

#[tokio::test]
async fn messages_wait_for_an_offline_user_agent_as_their_ttl_and_topic_say() {
    let clock = Arc::new(ManualClock::at_unix(NOW));
    let service = PushService::builder().clock(clock.clone()).start().await.unwrap();
    let (first, second) =
        (service.subscribe(&UserAgent::seeded(1)), service.subscribe(&UserAgent::seeded(2)));
    let mut client = Wire::Http2.connect(&service).await;
    service.set_offline(&first, true);
    service.set_offline(&second, true);
    let to = |subscription, text: &[u8], ttl| Push::new(subscription, text).with("ttl", ttl);
    for push in [
        to(&first, b"never kept", "0"),
        to(&first, b"expires", "2"),
        to(&first, b"replaced", "60").with("topic", "abcd"),
        to(&first, b"plain", "60"),
        to(&first, b"newest", "60").with("topic", "abcd"),
        to(&second, b"another's", "60").with("topic", "abcd"),
    ] {
        assert_eq!(client.status(&push).await, StatusCode::CREATED);
    }
    assert!(service.received(&first).is_empty());
    clock.advance(Duration::from_secs(3));
    service.set_offline(&first, false);
    service.set_offline(&second, false);
    assert_eq!(texts(&service, &first), ["plain", "newest"]);
    assert_eq!(texts(&service, &second), ["another's"]);
    let Counters { accepted, expired, replaced, delivered, .. } = service.counters();
    assert_eq!((accepted, expired, replaced, delivered), (6, 2, 1, 3));
}

fn texts(service: &PushService, subscription: &Subscription) -> Vec<String> {
    let received = service.received(subscription);
    let text = |payload: &[u8]| String::from_utf8(payload.to_vec()).unwrap();
    received.iter().map(|received| text(received.payload().unwrap().unwrap())).collect()
}

#[tokio::test]
async fn a_waiting_message_can_be_deleted() {
    for wire in [Wire::Http1, Wire::Tls2] {
        let (service, subscription, mut client) = start(wire).await;
        service.set_offline(&subscription, true);
        let push = Push::new(&subscription, b"x");
        let location = client.push(&push).await.headers()["location"].to_str().unwrap().to_owned();
        let delete = push.at(&location).method(http::Method::DELETE);
        for _ in 0..2 {
            assert_eq!(client.status(&delete).await, StatusCode::NO_CONTENT);
        }
        assert_eq!(client.status(&delete.clone().method(http::Method::GET)).await.as_u16(), 405);
        let guessed = delete.at(&location.replace("/m/0-1-", "/m/0-2-"));
        assert_eq!(client.status(&guessed).await, StatusCode::BAD_REQUEST);
        service.set_offline(&subscription, false);
        assert!(service.received(&subscription).is_empty());
        assert_eq!(service.counters().cancelled, 1);
    }
}

#[tokio::test]
async fn payloads_can_be_checked_without_being_kept() {
    let expect = |number: usize, payload: Option<&[u8]>| number == 0 && payload == Some(b"right");
    let service = builder().keep_payloads(false).expect(expect).start().await.unwrap();
    let subscription = service.subscribe(&UserAgent::seeded(1));
    let mut client = Wire::Http2.connect(&service).await;
    for text in ["right", "wrong"] {
        client.push(&Push::new(&subscription, text.as_bytes())).await;
    }
    client.push(&Push::null(&subscription)).await;
    let counters = service.counters();
    assert_eq!((counters.decrypted, counters.mismatched, counters.undecryptable), (3, 2, 0));
    assert!(service.received(&subscription).is_empty());
}

#[tokio::test]
async fn nothing_secret_is_in_a_debug_text() {
    let (service, subscription, mut client) = start(Wire::Http2).await;
    client.push(&Push::new(&subscription, b"plaintext").with("topic", "topical1")).await;
    let text = format!("{service:?} {:?} {:?}", service.received(&subscription), PushService::builder());
    for secret in ["/p/0", "plaintext", "topical1", "vapid"] {
        assert!(!text.contains(secret), "{text}");
    }
}
