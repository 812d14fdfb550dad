//! An origin that speaks HTTP/2, badly.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::interval;
use webpush_channels::OutcomeKind;
use webpush_channels::OutcomeKind::{Accepted, Unconfirmed};

use crate::frames::{
    CONTINUATION, CREATED, DATA, END_HEADERS, END_STREAM, Frames, GOAWAY, HEADERS, PING, PRIORITY,
    PUSH_PROMISE, RST_STREAM, SETTINGS, WINDOW_UPDATE, created, frame, settings,
};
use crate::peer::{HTTP2, Peer, Seen, Tls};
use crate::world::{self, ATTEMPTS, FEW};

/// What a request is answered with, by its stream, and how.
#[derive(Clone, Copy)]
struct Case {
    name: &'static str,
    first: fn(u32) -> Vec<u8>,
    then: Then,
    outcome: OutcomeKind,
}

#[derive(Clone, Copy)]
enum Then {
    /// The next request is read.
    Next,
    /// These again and again, as fast as they are taken.
    Flood(fn(u32) -> Vec<u8>),
    /// The same, one octet at a time.
    Trickle(fn(u32) -> Vec<u8>),
}

const fn case(name: &'static str, first: fn(u32) -> Vec<u8>, then: Then, outcome: OutcomeKind) -> Case {
    Case { name, first, then, outcome }
}

fn nothing(_: u32) -> Vec<u8> {
    Vec::new()
}

/// The head of an answer that has a body.
fn head(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, stream, CREATED)
}

/// The same with header fields of names that are not in a table.
fn head_with(stream: u32, flags: u8, fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = CREATED.to_vec();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            block.push(u8::try_from(text.len()).unwrap());
            block.extend_from_slice(text.as_bytes());
        }
    }
    frame(HEADERS, END_HEADERS | flags, stream, &block)
}

fn data(stream: u32, octets: usize) -> Vec<u8> {
    frame(DATA, 0, stream, &vec![b'x'; octets])
}

fn early_hints(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, stream, b"\x08\x03103")
}

/// An index: the newest entry of the dynamic table.
const NEWEST: u8 = 0xbe;

/// A field of 4000 octets is put into the table, and then named by one octet, 20 000 times.
fn bomb(stream: u32) -> Vec<u8> {
    let mut block = CREATED.to_vec();
    // A literal with indexing: the name x, and a length of 4000 with a prefix of 7 bits.
    block.extend_from_slice(b"\x40\x01x\x7f\xa1\x1e");
    block.extend_from_slice(&[b'y'; 4000]);
    block.resize(16_384, NEWEST);
    let mut frames = frame(HEADERS, 0, stream, &block);
    frames.extend(frame(CONTINUATION, END_HEADERS, stream, &[NEWEST; 8000]));
    frames
}

async fn serve(case: Case, tls: Tls, seen: Arc<Seen>) -> io::Result<()> {
    let mut frames = Frames::start(tls, &[]).await?;
    loop {
        let stream = frames.request(&seen).await?;
        frames.write(&(case.first)(stream)).await?;
        match case.then {
            Then::Next => {}
            Then::Flood(part) => {
                let part = part(stream);
                let many = part.repeat((8192 / part.len()).max(1));
                // Both ways, so that what the client answers does not stop it.
                let (mut read, mut write) = tokio::io::split(frames.tls);
                let mut dropped = vec![0; 16 * 1024];
                let reading = async { while read.read(&mut dropped).await.is_ok_and(|octets| octets > 0) {} };
                let writing = async { while write.write_all(&many).await.is_ok() {} };
                tokio::join!(reading, writing);
                return Ok(());
            }
            Then::Trickle(part) => {
                let mut often = interval(Duration::from_millis(20));
                for octet in part(stream).into_iter().cycle() {
                    often.tick().await;
                    frames.write(&[octet]).await?;
                }
            }
        }
    }
}

/// Every misbehaviour has its outcome, nothing is sent twice that may have arrived, and no more than
/// one connection an attempt is opened.
async fn each_has_its_outcome(few: usize, cases: &[Case]) {
    join_all(cases.iter().map(|&case| async move {
        let peer = Peer::tls(HTTP2, move |tls, seen| serve(case, tls, seen)).await;
        // What ends a connection ends every request on it: one each.
        let transport = world::impatient().max_streams_per_connection(1);
        let run = world::publish(&peer.origin(), few, transport).await;
        assert!(run.all(case.outcome), "{}: {run:?}", case.name);
        // A connection that did not come about in time is tried again: nothing was sent on it.
        assert!(run.attempts <= few as u64 * u64::from(ATTEMPTS), "{}: {run:?}", case.name);
        assert!(peer.requests() <= few, "{}: {} requests", case.name, peer.requests());
        let most = few * usize::from(ATTEMPTS);
        assert!(peer.connections() <= most, "{}: {} connections", case.name, peer.connections());
    }))
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_no_status_is_unconfirmed_and_not_sent_again() {
    each_has_its_outcome(
        FEW,
        &[
            case("silence", nothing, Then::Next, Unconfirmed),
            case(
                "a head, an octet at a time",
                nothing,
                Then::Trickle(|s| frame(HEADERS, 0, s, &[0; 9000])),
                Unconfirmed,
            ),
            case("1xx without end", nothing, Then::Flood(early_hints), Unconfirmed),
            case(
                "a head that is no HPACK",
                |s| frame(HEADERS, END_HEADERS, s, &[0xff; 9]),
                Then::Next,
                Unconfirmed,
            ),
            case(
                "a head without a status",
                |s| frame(HEADERS, 5, s, b"\x00\x01x\x01y"),
                Then::Next,
                Unconfirmed,
            ),
            case("a bomb of HPACK", bomb, Then::Next, Unconfirmed),
            case("a body without a head", |s| data(s, 9), Then::Next, Unconfirmed),
            case(
                "two lengths",
                |s| head_with(s, 0, &[("content-length", "1"), ("content-length", "2")]),
                Then::Next,
                Unconfirmed,
            ),
            case(
                "a length without a body",
                |s| head_with(s, 1, &[("content-length", "9")]),
                Then::Next,
                Unconfirmed,
            ),
            case("no length", |s| head_with(s, 0, &[("content-length", "-1")]), Then::Next, Unconfirmed),
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn floods_of_frames_end_with_the_connection_or_the_timeout() {
    each_has_its_outcome(
        FEW,
        &[
            case(
                "CONTINUATION",
                |s| frame(HEADERS, 0, s, CREATED),
                Then::Flood(|s| frame(CONTINUATION, 0, s, b"\x00\x01x\x01y")),
                Unconfirmed,
            ),
            case(
                "CONTINUATION without fields",
                |s| frame(HEADERS, 0, s, CREATED),
                Then::Flood(|s| frame(CONTINUATION, 0, s, &[])),
                Unconfirmed,
            ),
            case("SETTINGS", nothing, Then::Flood(|_| settings(&[])), Unconfirmed),
            case(
                "SETTINGS of a window",
                nothing,
                Then::Flood(|_| settings(&[(4, 1), (4, 1 << 20)])),
                Unconfirmed,
            ),
            case("SETTINGS acknowledged", nothing, Then::Flood(|_| frame(SETTINGS, 1, 0, &[])), Unconfirmed),
            case("PING", nothing, Then::Flood(|_| frame(PING, 0, 0, &[0; 8])), Unconfirmed),
            case("PING acknowledged", nothing, Then::Flood(|_| frame(PING, 1, 0, &[0; 8])), Unconfirmed),
            case("PRIORITY", nothing, Then::Flood(|s| frame(PRIORITY, 0, s, &[0; 5])), Unconfirmed),
            case(
                "frames of no known kind",
                nothing,
                Then::Flood(|s| frame(0xee, 0xff, s, &[0; 99])),
                Unconfirmed,
            ),
            case(
                "window, octet by octet",
                nothing,
                Then::Flood(|_| frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1])),
                Unconfirmed,
            ),
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_rule_ends_the_connection_and_proves_nothing() {
    each_has_its_outcome(
        FEW,
        &[
            case("a window of 0 more", |_| frame(WINDOW_UPDATE, 0, 0, &[0; 4]), Then::Next, Unconfirmed),
            case(
                "a window of 0 more for the stream",
                |s| frame(WINDOW_UPDATE, 0, s, &[0; 4]),
                Then::Next,
                Unconfirmed,
            ),
            case(
                "a window too large",
                |_| frame(WINDOW_UPDATE, 0, 0, &[0x7f, 255, 255, 255]),
                Then::Next,
                Unconfirmed,
            ),
            case(
                "a window too large for the stream",
                |s| frame(WINDOW_UPDATE, 0, s, &[0x7f, 255, 255, 255]),
                Then::Next,
                Unconfirmed,
            ),
            case("a head of no stream", |_| frame(HEADERS, 5, 0, CREATED), Then::Next, Unconfirmed),
            case("a head of an idle stream", |s| created(s + 200), Then::Next, Unconfirmed),
            case("a head of the peer's stream", |_| created(2), Then::Next, Unconfirmed),
            case(
                "PUSH_PROMISE",
                |s| frame(PUSH_PROMISE, END_HEADERS, s, b"\0\0\0\x02\x82\x87\x84"),
                Then::Next,
                Unconfirmed,
            ),
            case(
                "RST_STREAM of an idle stream",
                |s| frame(RST_STREAM, 0, s + 200, &[0; 4]),
                Then::Next,
                Unconfirmed,
            ),
            case("RST_STREAM of three octets", |s| frame(RST_STREAM, 0, s, &[0; 3]), Then::Next, Unconfirmed),
            case(
                "a frame of 20 000 octets",
                |s| frame(HEADERS, 5, s, &vec![0; 20_000]),
                Then::Next,
                Unconfirmed,
            ),
            case("a PING of 7 octets", |_| frame(PING, 0, 0, &[0; 7]), Then::Next, Unconfirmed),
            case("CONTINUATION of nothing", |s| frame(CONTINUATION, 4, s, CREATED), Then::Next, Unconfirmed),
            case("no enabled push, twice", |_| settings(&[(2, 7)]), Then::Next, Unconfirmed),
            case("frames of no size", |_| settings(&[(5, 0)]), Then::Next, Unconfirmed),
            case("GOAWAY of three octets", |_| frame(GOAWAY, 0, 0, &[0; 3]), Then::Next, Unconfirmed),
            case("octets that are no frames", nothing, Then::Flood(|_| vec![0xff; 64]), Unconfirmed),
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn once_there_is_a_status_it_decides() {
    // The next request on a connection that breaks would have no status.
    each_has_its_outcome(
        1,
        &[
            case("a body without end", head, Then::Flood(|s| data(s, 8000)), Accepted),
            case("a body of one octet a frame", head, Then::Flood(|s| data(s, 1)), Accepted),
            case("a body of no octet a frame", head, Then::Flood(|s| data(s, 0)), Accepted),
            case("padding without end", head, Then::Flood(|s| frame(DATA, 8, s, &[99; 100])), Accepted),
            case("a body, an octet at a time", head, Then::Trickle(|s| data(s, 1)), Accepted),
            case("a body that never comes", head, Then::Next, Accepted),
            case(
                "less body than it said",
                |s| {
                    [head_with(s, 0, &[("content-length", "9")]), frame(DATA, END_STREAM, s, b"less")]
                        .concat()
                },
                Then::Next,
                Accepted,
            ),
            case(
                "more body than it said",
                |s| [head_with(s, 0, &[("content-length", "1")]), data(s, 9)].concat(),
                Then::Next,
                Accepted,
            ),
            case("trailers without end", head, Then::Flood(|s| head_with(s, 0, &[("x", "y")])), Accepted),
            case("a second head", head, Then::Flood(head), Accepted),
            case("1xx after the head", head, Then::Flood(early_hints), Accepted),
            case("PING after the answer", created, Then::Flood(|_| frame(PING, 0, 0, &[0; 8])), Accepted),
        ],
    )
    .await;
}
