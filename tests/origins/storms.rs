//! An origin that takes back what it allowed: streams, connections, windows.

use std::future::pending;
use std::io;
use std::sync::Arc;

use futures_util::future::join_all;
use webpush_channels::OutcomeKind::{Accepted, GaveUp, Unconfirmed};

use crate::frames::{
    Frames, INITIAL_WINDOW_SIZE, MAX_CONCURRENT_STREAMS, REFUSED_STREAM, RST_STREAM, created, frame, go_away,
    settings,
};
use crate::peer::{HTTP2, Peer, Seen, Tls};
use crate::world::{self, ATTEMPTS, FEW};

/// Resets every request with this error.
async fn reset(error: u32, tls: Tls, seen: Arc<Seen>) -> io::Result<()> {
    let mut frames = Frames::start(tls, &[]).await?;
    loop {
        let stream = frames.request(&seen).await?;
        frames.write(&frame(RST_STREAM, 0, stream, &error.to_be_bytes())).await?;
    }
}

/// A refused stream was not processed and is sent again, as often as the policy says; with
/// any other error it may have arrived.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reset_stream_is_sent_again_only_if_it_was_refused_and_not_for_ever() {
    let errors = (0..=13).chain([99, u32::MAX]);
    join_all(errors.map(|error| async move {
        let peer = Peer::tls(HTTP2, move |tls, seen| reset(error, tls, seen)).await;
        let run = world::publish(&peer.origin(), FEW, world::impatient()).await;
        let (outcome, times) =
            if error == REFUSED_STREAM { (GaveUp, usize::from(ATTEMPTS)) } else { (Unconfirmed, 1) };
        assert!(run.all(outcome), "{error}: {run:?}");
        assert_eq!(peer.requests(), times * FEW, "{error}: {run:?}");
        assert_eq!(peer.connections(), 1, "{error}: a reset stream is no reason for another connection");
    }))
    .await;
}

/// Answers so many requests of each connection, says goodbye, and answers those that it has
/// promised to: the ones below the last, which may have come later.
async fn leave_after(answers: usize, tls: Tls, seen: Arc<Seen>) -> io::Result<()> {
    let mut frames = Frames::start(tls, &[]).await?;
    let (mut last, ignored) = (0, Seen::default());
    for _ in 0..answers {
        let stream = frames.request(&seen).await?;
        last = last.max(stream);
        frames.write(&created(stream)).await?;
    }
    frames.write(&go_away(last)).await?;
    loop {
        let stream = frames.request(&ignored).await?;
        if stream < last {
            seen.request();
            frames.write(&created(stream)).await?;
        }
    }
}

/// What a GOAWAY excludes is sent again on another connection: what was answered arrived once, and
/// what was not did not arrive.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_end_after_a_few_streams_lose_and_double_nothing() {
    join_all([0, 1, 2, 5].map(|answers| async move {
        let peer = Peer::tls(HTTP2, move |tls, seen| leave_after(answers, tls, seen)).await;
        let run = world::publish(&peer.origin(), 20, world::impatient()).await;
        let count = |kind: webpush_channels::OutcomeKind| run.outcomes.get(kind.as_str()).copied();
        assert_eq!(count(Accepted).unwrap_or(0), peer.requests(), "after {answers}: {run:?}");
        assert_eq!(count(Unconfirmed), None, "after {answers}: {run:?}");
        assert!(run.attempts <= 20 * u64::from(ATTEMPTS), "after {answers}: {run:?}");
    }))
    .await;
}

/// With as many streams as each connection serves, all arrive.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_for_each_few_streams_is_enough_for_all() {
    let peer = Peer::tls(HTTP2, |tls, seen| leave_after(2, tls, seen)).await;
    let transport = world::impatient().max_streams_per_connection(2);
    let run = world::publish(&peer.origin(), 20, transport).await;
    assert!(run.all(Accepted), "{run:?}");
    assert_eq!(peer.requests(), 20);
}

/// Changes its limit again and again, and counts who does not keep it.
async fn moody(tls: Tls, seen: Arc<Seen>) -> io::Result<()> {
    let mut frames = Frames::start(tls, &[(MAX_CONCURRENT_STREAMS, 8)]).await?;
    let mut open = vec![frames.request(&seen).await?];
    for limit in [1_u32, 0, 3, 1, 0, 100].into_iter().cycle() {
        frames.write(&settings(&[(MAX_CONCURRENT_STREAMS, limit)])).await?;
        open.extend(frames.ping(&seen).await?.1);
        // From here on the limit holds.
        for stream in open.drain(..) {
            frames.write(&created(stream)).await?;
        }
        let (began, ended) = frames.ping(&seen).await?;
        if began > limit as usize {
            seen.broken();
        }
        open = ended;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_limit_of_streams_that_falls_and_rises_is_kept_and_all_arrive() {
    let peer = Peer::tls(HTTP2, moody).await;
    let transport = world::impatient().max_connections_per_origin(1);
    let run = world::publish(&peer.origin(), 40, transport).await;
    assert!(run.all(Accepted), "{run:?}");
    assert_eq!((peer.requests(), peer.connections(), peer.broken()), (40, 1, 0));
}

/// Allows no stream any more, after so many answers.
async fn close_the_door(answers: usize, tls: Tls, seen: Arc<Seen>) -> io::Result<()> {
    let none = [(MAX_CONCURRENT_STREAMS, 0)];
    let first = if answers == 0 { &none[..] } else { &[(MAX_CONCURRENT_STREAMS, 1)] };
    let mut frames = Frames::start(tls, first).await?;
    for _ in 0..answers {
        let stream = frames.request(&seen).await?;
        frames.write(&settings(&none)).await?;
        frames.write(&created(stream)).await?;
    }
    loop {
        frames.request(&seen).await?;
    }
}

/// A request that was under way to the connection when the limit fell stays in doubt; all others were
/// not sent.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_allows_no_stream_any_more_costs_the_wait_for_one() {
    join_all([0, 1].map(|answers| async move {
        let peer = Peer::tls(HTTP2, move |tls, seen| close_the_door(answers, tls, seen)).await;
        let transport = world::impatient().max_connections_per_origin(1);
        let run = world::publish(&peer.origin(), FEW, transport).await;
        let count = |kind: webpush_channels::OutcomeKind| *run.outcomes.get(kind.as_str()).unwrap_or(&0);
        assert_eq!(count(Accepted), peer.requests(), "{run:?}");
        assert!(count(Accepted) >= answers && count(Unconfirmed) <= answers * FEW, "{run:?}");
        assert_eq!(count(Accepted) + count(Unconfirmed) + count(GaveUp), FEW, "{run:?}");
    }))
    .await;
}

/// A window that stays shut: the head of a request is sent, its body never.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_window_of_nothing_costs_the_total_timeout() {
    let peer = Peer::tls(HTTP2, |tls, seen| async move {
        let mut frames = Frames::start(tls, &[(INITIAL_WINDOW_SIZE, 0)]).await?;
        loop {
            frames.request(&seen).await?;
        }
    })
    .await;
    let run = world::publish(&peer.origin(), FEW, world::impatient()).await;
    assert!(run.all(Unconfirmed), "{run:?}");
    assert_eq!((run.attempts, peer.requests()), (FEW as u64, 0), "no request came whole");
    assert!(run.elapsed >= world::TOTAL, "{run:?}");
}

/// The peer reads nothing after its SETTINGS: what is sent fills the buffers of both sides.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_does_not_read_costs_the_total_timeout() {
    let peer = Peer::tls(HTTP2, |tls, _| async move {
        let _kept = Frames::start(tls, &[(INITIAL_WINDOW_SIZE, 0x7fff_ffff)]).await?;
        pending().await
    })
    .await;
    let run = world::publish(&peer.origin(), 30, world::impatient()).await;
    assert!(run.all(Unconfirmed), "{run:?}");
    assert_eq!(run.attempts, 30, "{run:?}");
}
