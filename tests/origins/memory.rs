//! What a connection costs whose peer wants it to cost as much as possible.
//!
//! The connections are those of a child process, so that its resident memory is theirs: its peak
//! with a peer that is only silent is taken off its peak with one that is not. What the kernel keeps
//! in the buffers of sockets is not in it.

#![cfg(target_os = "linux")]

use std::env;
use std::fs;
use std::future::pending;
use std::io;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use http::Request;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;
use tokio::runtime::Builder;
use tokio::task::JoinSet;
use webpush_channels::AddressPolicy;
use webpush_channels::transport::{HyperTransport, Transport as _};

use crate::certificates::ROOT;
use crate::frames::{
    CONTINUATION, CREATED, DATA, END_HEADERS, END_STREAM, Frames, HEADERS, PING, frame, settings,
};
use crate::peer::{HTTP1, HTTP2, Peer, Seen, Tls, read_request};

/// The most that a connection may cost, and each request on it that has an answer of its own.
const MOST: u64 = 64 * 1024;
const MOST_EACH: u64 = 4 * 1024;
/// Memory is counted in pages, and the heap leaves some of them half empty.
const UNCERTAIN: u64 = 8 * 1024;

/// What is held at once.
#[derive(Debug)]
struct Wire {
    alpn: &'static str,
    /// Connections.
    open: usize,
    /// Requests on each of them.
    shared: usize,
}

/// How long they are held: the total timeout of the child.
const HELD: Duration = Duration::from_secs(2);

/// What the child is told: where the peer is, how many connections to open, and how many requests
/// share one.
const PEER: &str = "WEBPUSH_TEST_MEMORY_PEER";
const OPEN: &str = "WEBPUSH_TEST_MEMORY_OPEN";
const SHARED: &str = "WEBPUSH_TEST_MEMORY_SHARED";
const ROOT_PEM: &str = "WEBPUSH_TEST_MEMORY_ROOT";

fn status(name: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.split_whitespace().next().unwrap().parse::<u64>().unwrap() * 1024
}

/// Holds the connections; prints by how many octets memory grew at most.
fn child(origin: &str) {
    let number = |name| env::var(name).unwrap().parse::<usize>().unwrap();
    let (open, shared) = (number(OPEN), number(SHARED));
    let transport = HyperTransport::builder()
        .address_policy(AddressPolicy::loopback_for_tests())
        .extra_root_pem(env::var(ROOT_PEM).unwrap().as_bytes())
        .unwrap()
        .connect_timeout(10 * HELD)
        .total_timeout(HELD)
        .max_connections_per_origin(open)
        .max_streams_per_connection(shared)
        .build()
        .unwrap();
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let before = status("VmRSS:");
    runtime.block_on(async {
        let mut sent = JoinSet::new();
        for n in 0..open * shared {
            let (transport, uri) = (transport.clone(), format!("{origin}/p/{n}"));
            sent.spawn(async move {
                let request = Request::post(uri).body(Bytes::from_static(b"body")).unwrap();
                drop(transport.send(request).await);
            });
        }
        sent.join_all().await;
    });
    println!("grew by {}", status("VmHWM:").saturating_sub(before));
}

/// By how much a child grew for each connection to such a peer.
async fn growth(test: &str, wire: &Wire, serve: Serve) -> u64 {
    let peer = Peer::tls(wire.alpn, serve).await;
    let output = Command::new(env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(PEER, peer.origin())
        .env(OPEN, wire.open.to_string())
        .env(SHARED, wire.shared.to_string())
        .env(ROOT_PEM, &ROOT.pem)
        // One heap for all threads: what is measured is what is held, not what is spread.
        .env("MALLOC_ARENA_MAX", "1")
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let grew = said.lines().find_map(|line| line.split("grew by ").nth(1));
    let grew = grew.unwrap_or_else(|| panic!("{said} {}", String::from_utf8_lossy(&output.stderr)));
    // Where requests end early, others take their places.
    let open = peer.connections().min(wire.open);
    assert!(open * 2 > wire.open, "{open} were open");
    grew.trim().parse::<u64>().unwrap() / open as u64
}

type Serve = fn(Tls, Arc<Seen>) -> BoxFuture<'static, io::Result<()>>;

/// What each of the `cases` costs more than a peer that is only silent.
async fn compare(test: &str, wire: &Wire, polite: Serve, cases: &[(&str, Serve)]) {
    if let Ok(origin) = env::var(PEER) {
        // A runtime of its own.
        return std::thread::scope(|scope| scope.spawn(|| child(&origin)).join().unwrap());
    }
    // A silent connection costs most in its handshake: it depends on how many of these go on at once.
    let mut bases = [0; 3];
    for base in &mut bases {
        *base = growth(test, wire, polite).await;
    }
    bases.sort_unstable();
    let base = bases[1];
    println!("{wire:?}: {} KiB for a polite connection", base / 1024);
    let most = MOST + MOST_EACH * (wire.shared as u64 - 1) + UNCERTAIN;
    let costs = cases.iter().map(|&(name, serve)| async move {
        let mut cost = growth(test, wire, serve).await;
        // What else goes on in a process only adds to it.
        for _ in 0..2 {
            if cost > base + most {
                cost = cost.min(growth(test, wire, serve).await);
            }
        }
        (name, cost)
    });
    let costs: Vec<_> = futures_util::stream::iter(costs).buffered(3).collect().await;
    for (name, cost) in &costs {
        println!("{wire:?}: {} KiB more for {name}", cost.saturating_sub(base) / 1024);
    }
    assert!(costs.iter().all(|(_, cost)| cost.saturating_sub(base) <= most), "{costs:?} over {base}");
}

/// The octets, as fast as they are taken, and then nothing.
async fn say(tls: &mut Tls, octets: &[u8]) -> io::Result<()> {
    tls.write_all(octets).await?;
    tls.flush().await?;
    pending().await
}

fn answering(mut tls: Tls, octets: Vec<u8>) -> BoxFuture<'static, io::Result<()>> {
    Box::pin(async move {
        read_request(&mut tls).await?;
        say(&mut tls, &octets).await
    })
}

/// A head of so many octets, with as many fields as there may be.
fn long_head(octets: usize, end: &str) -> Vec<u8> {
    let mut head = b"HTTP/1.1 201 Created\r\n".to_vec();
    let each = octets / 99;
    for n in 0..98 {
        let name = format!("x-{n}: ");
        head.extend_from_slice(name.as_bytes());
        head.resize(head.len() + each - name.len() - 2, b'v');
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(end.as_bytes());
    head
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_http1() {
    compare(
        "memory::over_http1",
        &Wire { alpn: HTTP1, open: 64, shared: 1 },
        |tls, _| answering(tls, Vec::new()),
        &[
            ("a head that does not end", |tls, _| answering(tls, long_head(11_500, ""))),
            ("a long head and a body that does not end", |tls, _| {
                let mut octets = long_head(11_500, "content-length: 99999\r\n\r\n");
                octets.resize(octets.len() + 16_000, b'x');
                answering(tls, octets)
            }),
            ("a body that does not end", |tls, _| {
                let mut octets = b"HTTP/1.1 201 Created\r\ncontent-length: 99999\r\n\r\n".to_vec();
                octets.resize(octets.len() + 16_000, b'x');
                answering(tls, octets)
            }),
            ("1xx", |tls, _| {
                answering(tls, b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n".repeat(20_000))
            }),
        ],
    )
    .await;
}

type Feed = fn(u32) -> Vec<u8>;

/// Each request is followed by what `feed` makes of its stream.
fn feeding(tls: Tls, seen: Arc<Seen>, feed: Feed) -> BoxFuture<'static, io::Result<()>> {
    Box::pin(async move {
        let mut frames = Frames::start(tls, &[(3, 128)]).await?;
        loop {
            let stream = frames.request(&seen).await?;
            frames.write(&feed(stream)).await?;
        }
    })
}

/// A head of so many fields of 35 octets, as they are counted (RFC 9113 6.5.2): what takes most room
/// for the octets that are sent.
fn many_fields(stream: u32, fields: usize, flags: u8) -> Vec<u8> {
    let mut block = CREATED.to_vec();
    for n in 0..fields {
        let name = [
            b'a' + u8::try_from(n % 26).unwrap(),
            b'a' + u8::try_from(n / 26 % 26).unwrap(),
            b'a' + u8::try_from(n / 676).unwrap(),
        ];
        block.extend_from_slice(&[0, 3]);
        block.extend_from_slice(&name);
        block.push(0);
    }
    let mut frames = Vec::new();
    let mut chunks = block.chunks(16_384).peekable();
    let (mut kind, mut begin) = (HEADERS, flags & END_STREAM);
    while let Some(chunk) = chunks.next() {
        let end = if chunks.peek().is_none() { flags & END_HEADERS } else { 0 };
        frames.extend(frame(kind, begin | end, stream, chunk));
        (kind, begin) = (CONTINUATION, 0);
    }
    frames
}

/// A head of as many fields of the static table (`accept-encoding`), each of one octet.
fn indexed(stream: u32) -> Vec<u8> {
    let mut block = CREATED.to_vec();
    block.resize(200, 0x90);
    frame(HEADERS, END_HEADERS, stream, &block)
}

fn body(stream: u32, octets: usize, a_frame: usize) -> Vec<u8> {
    frame(DATA, 0, stream, &vec![b'x'; a_frame]).repeat(octets / a_frame)
}

fn head(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, stream, CREATED)
}

const CASES: [(&str, Serve); 10] = [
    ("heads", |tls, seen| feeding(tls, seen, |s| many_fields(s, 350, END_HEADERS))),
    ("heads of an octet a field", |tls, seen| feeding(tls, seen, indexed)),
    ("heads that are all", |tls, seen| feeding(tls, seen, |s| many_fields(s, 350, END_HEADERS | END_STREAM))),
    ("half heads", |tls, seen| feeding(tls, seen, |s| many_fields(s, 350, 0))),
    ("bodies", |tls, seen| feeding(tls, seen, |s| [head(s), body(s, 16_000, 16_000)].concat())),
    ("short bodies", |tls, seen| feeding(tls, seen, |s| [head(s), body(s, 1_500, 1_500)].concat())),
    ("bodies in octets", |tls, seen| feeding(tls, seen, |s| [head(s), body(s, 16_000, 1)].concat())),
    ("1xx", |tls, seen| feeding(tls, seen, |s| frame(HEADERS, END_HEADERS, s, b"\x08\x03103").repeat(2000))),
    ("pings", |tls, seen| feeding(tls, seen, |_| frame(PING, 0, 0, &[0; 8]).repeat(2000))),
    ("settings", |tls, seen| feeding(tls, seen, |_| settings(&[(4, 1)]).repeat(2000))),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_http2_with_one_request() {
    let polite: Serve = |tls, seen| feeding(tls, seen, |_| Vec::new());
    let wire = Wire { alpn: HTTP2, open: 64, shared: 1 };
    compare("memory::over_http2_with_one_request", &wire, polite, &CASES).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_http2_with_all_requests_that_there_may_be() {
    let polite: Serve = |tls, seen| feeding(tls, seen, |_| Vec::new());
    let wire = Wire { alpn: HTTP2, open: 16, shared: 100 };
    compare("memory::over_http2_with_all_requests_that_there_may_be", &wire, polite, &CASES).await;
}
