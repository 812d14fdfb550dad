//! HTTP/2: what ends a request, and what that proves (H-21).

use std::time::Duration;

use webpush_channels::transport::{Processed, TransportErrorKind};

use crate::frames::{
    CANCEL, CONTINUATION, END_HEADERS, END_STREAM, Frames, HEADERS, INTERNAL_ERROR, NO_ERROR, PING,
    REFUSED_STREAM, RST_STREAM, WINDOW_UPDATE,
};
use crate::{failure, http2, listen, sending, status};

const UNPROCESSED: (TransportErrorKind, Processed) = (TransportErrorKind::Interrupted, Processed::No);
const UNKNOWN: (TransportErrorKind, Processed) = (TransportErrorKind::Interrupted, Processed::Unknown);

#[tokio::test]
async fn a_refused_stream_was_not_processed_and_its_connection_serves_on() {
    let (listener, address) = listen().await;
    let transport = http2().build().unwrap();
    let refused = sending(&transport, address);
    let mut peer = Frames::accept(&listener, None).await;
    let stream = peer.request().await.unwrap();
    peer.reset(stream, REFUSED_STREAM).await;
    assert_eq!(failure(refused).await, UNPROCESSED);
    let next = sending(&transport, address);
    let stream = peer.request().await.unwrap();
    peer.answer(stream, "201").await;
    assert_eq!(status(next).await, 201);
}

#[tokio::test]
async fn another_reset_may_have_been_processed() {
    let (listener, address) = listen().await;
    let transport = http2().build().unwrap();
    for error in [NO_ERROR, INTERNAL_ERROR, CANCEL] {
        let reset = sending(&transport, address);
        let mut peer = Frames::accept(&listener, None).await;
        let stream = peer.request().await.unwrap();
        peer.reset(stream, error).await;
        assert_eq!(failure(reset).await, UNKNOWN, "{error}");
        peer.go_away(stream, NO_ERROR, b"").await;
        peer.end().await;
    }
}

#[tokio::test]
async fn a_go_away_proves_it_for_the_streams_above_its_last_one() {
    let (listener, address) = listen().await;
    let transport = http2().build().unwrap();
    let first = sending(&transport, address);
    let mut peer = Frames::accept(&listener, None).await;
    let low = peer.request().await.unwrap();
    let second = sending(&transport, address);
    let high = peer.request().await.unwrap();
    assert!(low < high);
    peer.go_away(low, INTERNAL_ERROR, b"").await;
    assert_eq!(failure(second).await, UNPROCESSED);
    peer.answer(low, "201").await;
    assert_eq!(status(first).await, 201);

    let third = sending(&transport, address);
    let mut peer = Frames::accept(&listener, None).await;
    let stream = peer.request().await.unwrap();
    peer.answer(stream, "202").await;
    assert_eq!(status(third).await, 202);
}

#[tokio::test]
async fn a_go_away_that_covers_the_stream_proves_nothing_when_the_connection_ends() {
    let (listener, address) = listen().await;
    let transport = http2().build().unwrap();
    for error in [NO_ERROR, INTERNAL_ERROR] {
        let covered = sending(&transport, address);
        let mut peer = Frames::accept(&listener, None).await;
        let stream = peer.request().await.unwrap();
        peer.go_away(stream, error, b"").await;
        drop(peer);
        assert_eq!(failure(covered).await, UNKNOWN, "{error}");
    }
}

#[tokio::test]
async fn a_connection_that_breaks_proves_nothing() {
    let (listener, address) = listen().await;
    let transport = http2().build().unwrap();
    let broken = sending(&transport, address);
    let mut peer = Frames::accept(&listener, None).await;
    peer.request().await.unwrap();
    drop(peer);
    assert_eq!(failure(broken).await, UNKNOWN);
}

#[tokio::test]
async fn a_peer_that_breaks_the_protocol_proves_nothing() {
    let (listener, address) = listen().await;
    let transport = http2().build().unwrap();
    let confused = sending(&transport, address);
    let mut peer = Frames::accept(&listener, None).await;
    let stream = peer.request().await.unwrap();
    peer.data(stream + 2, b"for a stream that is idle").await;
    assert_eq!(failure(confused).await, UNKNOWN);
}

#[tokio::test]
async fn the_peers_words_are_not_in_the_error() {
    let (listener, address) = listen().await;
    let transport = http2().build().unwrap();
    let refused = sending(&transport, address);
    let mut peer = Frames::accept(&listener, None).await;
    peer.request().await.unwrap();
    peer.go_away(0, INTERNAL_ERROR, b"no /secret for you").await;
    let error = refused.await.unwrap().unwrap_err();
    assert_eq!((error.kind(), error.processed()), UNPROCESSED);
    let cause = std::error::Error::source(&error).unwrap();
    assert!(!format!("{error:?} {cause} {cause:?}").contains("secret"), "{error:?}");
}

#[tokio::test]
async fn a_reset_after_the_headers_truncates_the_body() {
    let (listener, address) = listen().await;
    let transport = http2().build().unwrap();
    let sending = sending(&transport, address);
    let mut peer = Frames::accept(&listener, None).await;
    let stream = peer.request().await.unwrap();
    peer.answer_head(stream, "410").await;
    peer.data(stream, b"only this").await;
    peer.reset(stream, INTERNAL_ERROR).await;
    let response = sending.await.unwrap().unwrap();
    assert_eq!(response.status(), 410);
    assert!(b"only this".starts_with(response.body()));
}

#[tokio::test]
async fn a_long_body_is_reset_and_its_connection_serves_on() {
    let (listener, address) = listen().await;
    let transport = http2().build().unwrap();
    let long = sending(&transport, address);
    let mut peer = Frames::accept(&listener, None).await;
    let stream = peer.request().await.unwrap();
    peer.answer_head(stream, "400").await;
    for _ in 0..3 {
        peer.data(stream, &[b'x'; 16 * 1024]).await;
    }
    let response = long.await.unwrap().unwrap();
    assert_eq!((response.status().as_u16(), response.body().len()), (400, 16 * 1024));
    let reset = peer.find(RST_STREAM).await.unwrap();
    assert_eq!((reset.stream, reset.error_code()), (stream, CANCEL));
    let next = sending(&transport, address);
    let stream = peer.request().await.unwrap();
    peer.answer(stream, "201").await;
    assert_eq!(status(next).await, 201);
}

#[tokio::test]
async fn a_body_in_frames_of_an_octet_is_cut_early() {
    let (listener, address) = listen().await;
    let transport = http2().build().unwrap();
    let tiny = sending(&transport, address);
    let mut peer = Frames::accept(&listener, None).await;
    let stream = peer.request().await.unwrap();
    peer.answer_head(stream, "410").await;
    // By turns: h2 itself ends a connection with many that nobody has read.
    let mut sent = 0;
    let cut = loop {
        assert!(sent < 16 * 1024, "it is read to the end");
        sent += 1;
        peer.data(stream, b"x").await;
        peer.write(PING, 0, 0, b"read it?").await;
        match peer.next().await.unwrap() {
            reset if reset.kind == RST_STREAM => break reset,
            other => assert!(matches!(other.kind, PING | WINDOW_UPDATE), "{}", other.kind),
        }
    };
    let response = tiny.await.unwrap().unwrap();
    assert_eq!(response.status(), 410, "the status decides");
    assert!((100..1000).contains(&response.body().len()), "{} octets were read", response.body().len());
    assert_eq!((cut.stream, cut.error_code()), (stream, CANCEL));
}

#[tokio::test]
async fn a_dropped_future_resets_its_stream() {
    let (listener, address) = listen().await;
    let transport = http2().build().unwrap();
    let dropped = sending(&transport, address);
    let mut peer = Frames::accept(&listener, None).await;
    let stream = peer.request().await.unwrap();
    dropped.abort();
    let reset = peer.find(RST_STREAM).await.unwrap();
    assert_eq!((reset.stream, reset.error_code()), (stream, CANCEL));
}

#[tokio::test]
async fn after_a_timeout_in_silence_the_connection_gets_no_more_requests() {
    let (listener, address) = listen().await;
    let transport = http2().total_timeout(Duration::from_millis(500)).build().unwrap();
    let answered = sending(&transport, address);
    let mut peer = Frames::accept(&listener, None).await;
    let stream = peer.request().await.unwrap();
    peer.answer(stream, "201").await;
    assert_eq!(status(answered).await, 201);
    let silent = sending(&transport, address);
    peer.request().await.unwrap();
    assert_eq!(failure(silent).await, (TransportErrorKind::Timeout, Processed::Unknown));
    let next = sending(&transport, address);
    let mut other = Frames::accept(&listener, None).await;
    let stream = other.request().await.unwrap();
    other.answer(stream, "201").await;
    assert_eq!(status(next).await, 201);
}

#[tokio::test]
async fn headers_beyond_the_cap_are_an_error() {
    let (listener, address) = listen().await;
    let transport = http2().build().unwrap();
    // A literal field without indexing, `x` with a value of 5000 octets (RFC 7541 6.2.2).
    let mut field = vec![0, 1, b'x', 0x7f, 0x89, 0x26];
    field.extend_from_slice(&[b'v'; 5000]);
    for fields in [2, 3] {
        let sending = sending(&transport, address);
        let mut peer = Frames::accept(&listener, None).await;
        let stream = peer.request().await.unwrap();
        // `:status: 200`, then a field for each CONTINUATION.
        peer.write(HEADERS, END_STREAM, stream, &[0x88]).await;
        for sent in 1..=fields {
            let flags = if sent == fields { END_HEADERS } else { 0 };
            peer.write(CONTINUATION, flags, stream, &field).await;
        }
        if fields == 2 {
            assert_eq!(status(sending).await, 200);
        } else {
            assert_eq!(failure(sending).await, UNKNOWN);
        }
        peer.go_away(stream, NO_ERROR, b"").await;
        peer.end().await;
    }
}

/// A peer that never ends its answers: what all of them hold is bounded, by what one may hold alone
/// and a little for each. The status decides.
#[tokio::test]
async fn answers_without_end_share_the_room_of_their_connection() {
    const ANSWERS: usize = 16;
    let (listener, address) = listen().await;
    let transport = http2().total_timeout(Duration::from_secs(1)).build().unwrap();
    let sent: Vec<_> = (0..ANSWERS).map(|_| sending(&transport, address)).collect();
    let mut peer = Frames::accept(&listener, None).await;
    for _ in 0..ANSWERS {
        let stream = peer.request().await.unwrap();
        peer.answer_head(stream, "400").await;
        peer.data(stream, &[b'x'; 4000]).await;
        peer.data(stream, &[b'x'; 4000]).await;
    }
    // What the client grants and resets has to be read.
    let _reading = tokio::spawn(async move { peer.end().await });
    let mut bodies = 0;
    for sent in sent {
        let response = sent.await.unwrap().unwrap();
        assert_eq!(response.status(), 400);
        bodies += response.body().len();
    }
    assert!(bodies <= (20 + 4 * ANSWERS) * 1024, "{bodies} octets were kept");
    assert!(bodies >= ANSWERS * 1024, "{bodies} octets were kept");
}
