//! An origin that speaks HTTP/1.1, badly.

use std::future::pending;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::io::AsyncWriteExt as _;
use tokio::time::interval;
use webpush_channels::OutcomeKind;

use crate::peer::{HTTP1, Peer, Seen, Tls, read_request};
use crate::world::{self, ATTEMPTS, FEW};

/// What follows the first octets of an answer.
#[derive(Clone, Copy, Debug)]
enum Then {
    /// The connection stays, and serves the next request.
    Next,
    /// The connection is closed.
    Close,
    /// Nothing more is ever said.
    Silence,
    /// These again and again, as fast as they are taken.
    Flood(&'static str),
    /// These again and again, one octet at a time.
    Trickle(&'static str),
}

#[derive(Clone, Copy, Debug)]
struct Case {
    answer: &'static str,
    then: Then,
    /// What becomes of each message.
    outcome: OutcomeKind,
}

const fn case(answer: &'static str, then: Then, outcome: OutcomeKind) -> Case {
    Case { answer, then, outcome }
}

async fn serve(case: Case, mut stream: Tls, seen: Arc<Seen>) -> io::Result<()> {
    loop {
        read_request(&mut stream).await?;
        seen.request();
        stream.write_all(case.answer.as_bytes()).await?;
        stream.flush().await?;
        match case.then {
            Then::Next => {}
            Then::Close => return stream.shutdown().await,
            Then::Silence => pending().await,
            Then::Flood(part) => {
                let many = part.repeat(4096 / part.len());
                loop {
                    stream.write_all(many.as_bytes()).await?;
                }
            }
            Then::Trickle(part) => {
                let mut often = interval(Duration::from_millis(20));
                for octet in part.bytes().cycle() {
                    often.tick().await;
                    stream.write_all(&[octet]).await?;
                    stream.flush().await?;
                }
            }
        }
    }
}

/// Every misbehaviour has its outcome, no request is sent twice, and no more than one connection an
/// attempt is opened.
async fn each_has_its_outcome(cases: &[Case]) {
    join_all(cases.iter().map(|&case| async move {
        let peer = Peer::tls(HTTP1, move |stream, seen| serve(case, stream, seen)).await;
        let run = world::publish(&peer.origin(), FEW, world::impatient()).await;
        assert!(run.all(case.outcome), "{case:?}: {run:?}");
        // A connection that did not come about in time is tried again: nothing was sent on it.
        assert!(run.attempts <= FEW as u64 * u64::from(ATTEMPTS), "{case:?}: {run:?}");
        assert_eq!(peer.requests(), FEW, "{case:?}: {run:?}");
        let most = FEW * usize::from(ATTEMPTS);
        assert!(peer.connections() <= most, "{case:?}: {} connections", peer.connections());
    }))
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_no_status_is_unconfirmed_and_not_sent_again() {
    use OutcomeKind::Unconfirmed;
    each_has_its_outcome(&[
        case("", Then::Silence, Unconfirmed),
        case("", Then::Close, Unconfirmed),
        case("HTTP/1.1 2", Then::Close, Unconfirmed),
        case("HTTP/1.1 201 Created\r\nx: y\r\n", Then::Close, Unconfirmed),
        case("HTTP/1.1 201 Created\r\nx: y\r\n", Then::Silence, Unconfirmed),
        case("", Then::Trickle("HTTP/1.1 201 Created and "), Unconfirmed),
        case("HTTP/1.1 201 Created\r\n", Then::Trickle("x-more: and more\r\n"), Unconfirmed),
        case("HTTP/1.1 201 Created\r\n", Then::Flood("x-more: and more\r\n"), Unconfirmed),
        case("HTTP/1.1 201 Created\r\nx: ", Then::Flood("and longer "), Unconfirmed),
        case("", Then::Flood("HTTP/1.1 100 Continue\r\n\r\n"), Unconfirmed),
        case("", Then::Flood("HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n"), Unconfirmed),
        case("", Then::Trickle("HTTP/1.1 103 Early Hints\r\n\r\n"), Unconfirmed),
        case("", Then::Flood("nothing of HTTP\n"), Unconfirmed),
        case("", Then::Flood("\0"), Unconfirmed),
        case("SSH-2.0-OpenSSH_9.2\r\n", Then::Silence, Unconfirmed),
        case("HTTP/9.9 201 Created\r\n\r\n", Then::Silence, Unconfirmed),
        case("HTTP/1.1 20 OK\r\n\r\n", Then::Silence, Unconfirmed),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_that_contradicts_itself_has_no_status() {
    use OutcomeKind::Unconfirmed;
    each_has_its_outcome(&[
        case(
            "HTTP/1.1 201 Created\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nabc",
            Then::Next,
            Unconfirmed,
        ),
        case("HTTP/1.1 201 Created\r\ncontent-length: -1\r\n\r\n", Then::Next, Unconfirmed),
        case("HTTP/1.1 201 Created\r\ncontent-length: 2, 3\r\n\r\nabc", Then::Next, Unconfirmed),
        case("HTTP/1.1 201 Created\r\ncontent-length: 99999999999999999999\r\n\r\n", Then::Next, Unconfirmed),
        case("HTTP/1.1 201 Created\r\nno colon\r\n\r\n", Then::Next, Unconfirmed),
        case("HTTP/1.1 201 Created\r\nx: \0\r\n\r\n", Then::Next, Unconfirmed),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn once_there_is_a_status_it_decides() {
    use OutcomeKind::{Accepted, Moved, Unexpected};
    const LONGER: &str = "HTTP/1.1 201 Created\r\ncontent-length: 100000\r\n\r\nonly this";
    const CHUNKED: &str = "HTTP/1.1 201 Created\r\ntransfer-encoding: chunked\r\n\r\n";
    each_has_its_outcome(&[
        case(LONGER, Then::Close, Accepted),
        case(LONGER, Then::Silence, Accepted),
        case(LONGER, Then::Trickle("x"), Accepted),
        case(LONGER, Then::Flood("more"), Accepted),
        case(CHUNKED, Then::Flood("4\r\nmore\r\n"), Accepted),
        case(CHUNKED, Then::Flood("0"), Accepted),
        case(CHUNKED, Then::Close, Accepted),
        case("HTTP/1.1 201 Created\r\n\r\n", Then::Flood("more"), Accepted),
        case(
            "HTTP/1.1 201 Created\r\ncontent-length: 9\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
            Then::Next,
            Accepted,
        ),
        case(
            "HTTP/1.1 201 Created\r\ncontent-length: 2\r\ncontent-length: 2\r\n\r\nok",
            Then::Next,
            Accepted,
        ),
        case("HTTP/1.0 201 Created\r\n\r\n", Then::Close, Accepted),
        case("HTTP/1.1 204 No Content\r\ncontent-length: 5\r\n\r\nhello", Then::Close, Accepted),
        case("HTTP/1.1 999 ?\r\ncontent-length: 0\r\n\r\n", Then::Next, Unexpected),
        case("HTTP/1.1 304 Not Modified\r\n\r\n", Then::Next, Moved),
    ])
    .await;
}

/// What comes after an answer's length is not the answer to the next request.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn surplus_octets_answer_no_request() {
    let surplus = case(
        "HTTP/1.1 201 Created\r\ncontent-length: 0\r\n\r\nHTTP/1.1 410 Gone\r\ncontent-length: 0\r\n\r\n",
        Then::Next,
        OutcomeKind::Accepted,
    );
    let peer = Peer::tls(HTTP1, move |stream, seen| serve(surplus, stream, seen)).await;
    // In a row on one connection, if it were kept; nothing is removed, as always.
    let transport = world::impatient().max_connections_per_origin(1);
    let run = world::publish(&peer.origin(), 20, transport).await;
    assert!(run.all(OutcomeKind::Accepted), "{run:?}");
    assert_eq!(peer.requests(), 20);
}

/// It reads some of a request and closes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_closes_in_the_middle_of_a_request_leaves_it_unconfirmed() {
    use tokio::io::AsyncReadExt as _;
    for octets in [1, 20, 150] {
        let peer = Peer::tls(HTTP1, move |mut stream, _| async move {
            stream.read_exact(&mut vec![0; octets]).await?;
            stream.shutdown().await
        })
        .await;
        let run = world::publish(&peer.origin(), FEW, world::impatient()).await;
        assert!(run.all(OutcomeKind::Unconfirmed), "after {octets} octets: {run:?}");
        assert!(peer.connections() <= FEW, "{} connections", peer.connections());
    }
}
