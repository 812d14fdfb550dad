//! Which connection a request gets, and when another one opens.

use std::time::Duration;

use tokio::time::timeout;
use webpush_channels::transport::{Processed, TransportErrorKind};

use crate::frames::Frames;
use crate::{failure, http1, http2, listen, sending, sending_to, serve_http1, status};

/// Long enough for anything that is going to happen on loopback to have happened.
const NOTHING_HAPPENS: Duration = Duration::from_millis(50);

#[tokio::test]
async fn another_connection_opens_only_when_every_stream_is_in_use() {
    let (listener, address) = listen().await;
    let transport = http2().max_streams_per_connection(3).build().unwrap();
    let mut sent: Vec<_> = (0..3).map(|_| sending(&transport, address)).collect();
    let mut first = Frames::accept(&listener, None).await;
    let mut streams = Vec::new();
    for _ in 0..3 {
        streams.push(first.request().await.unwrap());
    }
    assert!(
        timeout(NOTHING_HAPPENS, listener.accept()).await.is_err(),
        "three streams fit on one connection"
    );

    sent.push(sending(&transport, address));
    let mut second = Frames::accept(&listener, None).await;
    let stream = second.request().await.unwrap();
    second.answer(stream, "201").await;
    for stream in streams {
        first.answer(stream, "201").await;
    }
    for sent in sent {
        assert_eq!(status(sent).await, 201);
    }
    // With both free the first one serves, so that the second falls idle.
    let next = sending(&transport, address);
    let stream = first.request().await.unwrap();
    first.answer(stream, "201").await;
    assert_eq!(status(next).await, 201);
}

#[tokio::test]
async fn while_a_connection_opens_the_requests_that_fit_on_it_wait() {
    let (listener, address) = listen().await;
    let transport = http2().max_streams_per_connection(10).build().unwrap();
    let sent: Vec<_> = (0..15).map(|_| sending(&transport, address)).collect();
    // Two attempts for fifteen requests, before either is answered.
    let first = listener.accept().await.unwrap().0;
    let second = listener.accept().await.unwrap().0;
    assert!(timeout(NOTHING_HAPPENS, listener.accept()).await.is_err(), "a third connection opened");
    for stream in [first, second] {
        tokio::spawn(async move {
            let mut peer = Frames::start(stream, None).await;
            while let Some(stream) = peer.request().await {
                peer.answer(stream, "201").await;
            }
        });
    }
    for sent in sent {
        assert_eq!(status(sent).await, 201);
    }
}

#[tokio::test]
async fn the_peers_lower_limit_is_respected() {
    let (listener, address) = listen().await;
    let transport = http2().max_connections_per_origin(1).build().unwrap();
    let sent: Vec<_> = (0..7).map(|_| sending(&transport, address)).collect();
    let mut peer = Frames::accept(&listener, Some(2)).await;
    let mut open = vec![peer.request().await.unwrap(), peer.request().await.unwrap()];
    for _ in 0..5 {
        assert!(timeout(NOTHING_HAPPENS, peer.request()).await.is_err(), "a third stream opened");
        peer.answer(open.remove(0), "201").await;
        open.push(peer.request().await.unwrap());
    }
    for stream in open {
        peer.answer(stream, "201").await;
    }
    for sent in sent {
        assert_eq!(status(sent).await, 201);
    }
}

#[tokio::test]
async fn no_free_stream_within_the_limit_is_busy_and_unprocessed() {
    let (listener, address) = listen().await;
    let transport = http2()
        .max_connections_per_origin(1)
        .max_streams_per_connection(1)
        .stream_wait(Duration::from_millis(50))
        .build()
        .unwrap();
    let first = sending(&transport, address);
    let mut peer = Frames::accept(&listener, None).await;
    let stream = peer.request().await.unwrap();
    assert_eq!(failure(sending(&transport, address)).await, (TransportErrorKind::Busy, Processed::No));
    peer.answer(stream, "201").await;
    assert_eq!(status(first).await, 201);
    let next = sending(&transport, address);
    let stream = peer.request().await.unwrap();
    peer.answer(stream, "201").await;
    assert_eq!(status(next).await, 201);
}

#[tokio::test]
async fn waiting_for_a_stream_is_not_part_of_the_total_timeout() {
    let (listener, address) = listen().await;
    let transport = http2()
        .max_connections_per_origin(1)
        .max_streams_per_connection(1)
        .total_timeout(Duration::from_millis(500))
        .build()
        .unwrap();
    let first = sending(&transport, address);
    let mut peer = Frames::accept(&listener, None).await;
    let _silent = peer.request().await.unwrap();
    // The connection shows that it lives, so that it is not given up with the request.
    peer.settings(None).await;
    let second = sending(&transport, address);
    assert_eq!(failure(first).await.0, TransportErrorKind::Timeout);
    // It waited for those 500 ms, and now has 500 of its own.
    let stream = peer.request().await.unwrap();
    peer.answer(stream, "201").await;
    assert_eq!(status(second).await, 201);
}

#[tokio::test]
async fn http1_opens_a_connection_for_each_request_up_to_the_limit() {
    let (listener, address) = listen().await;
    let transport = http1().max_connections_per_origin(3).build().unwrap();
    let sent: Vec<_> = (0..8).map(|_| sending(&transport, address)).collect();
    let mut accepted = Vec::new();
    for _ in 0..3 {
        accepted.push(listener.accept().await.unwrap().0);
    }
    assert!(timeout(NOTHING_HAPPENS, listener.accept()).await.is_err(), "a fourth connection opened");
    for stream in accepted {
        tokio::spawn(crate::serve_http1_on(stream));
    }
    for sent in sent {
        assert_eq!(status(sent).await, 201);
    }
    assert!(timeout(NOTHING_HAPPENS, listener.accept()).await.is_err(), "connections were not reused");
}

#[tokio::test]
async fn a_connection_that_ended_while_idle_is_replaced() {
    let (listener, address) = listen().await;
    let transport = http2().build().unwrap();
    for expected in ["201", "202"] {
        let sent = sending(&transport, address);
        let mut peer = Frames::accept(&listener, None).await;
        let stream = peer.request().await.unwrap();
        peer.answer(stream, expected).await;
        assert_eq!(status(sent).await.to_string(), expected);
        peer.go_away(stream, 0, b"").await;
        peer.end().await;
    }
}

#[tokio::test]
async fn the_least_recently_used_origin_gives_way() {
    let (listener, address) = listen().await;
    let (other_listener, other) = listen().await;
    let transport = http2().max_origins(1).build().unwrap();
    let sent = sending(&transport, address);
    let mut peer = Frames::accept(&listener, None).await;
    let stream = peer.request().await.unwrap();
    peer.answer(stream, "201").await;
    assert_eq!(status(sent).await, 201);

    let sent = sending(&transport, other);
    peer.end().await;
    let mut peer = Frames::accept(&other_listener, None).await;
    let stream = peer.request().await.unwrap();

    // Another origin comes while a request is in flight: it is answered all the same.
    let (third_listener, third) = listen().await;
    serve_http1(third_listener);
    let _unanswered = sending_to(&transport, &format!("http://{third}"));
    peer.answer(stream, "202").await;
    assert_eq!(status(sent).await, 202);
}
