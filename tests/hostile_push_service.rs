//! A hostile push service cannot grow the sender's memory: of what it sends without end, little is
//! read and less is kept.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use webpush_channels::channel::{Channels, Publication};
use webpush_channels::engine::response::{Verdict, classify};
use webpush_channels::engine::vapid::{Vapid, VapidKey};
use webpush_channels::sender::{RetryPolicy, Sender};
use webpush_channels::store::{Audience, MemoryStore, NewEntry, SubscriptionStore as _};
use webpush_channels::testing::{Answer, PushService, UserAgent};
use webpush_channels::transport::{HyperTransport, HyperTransportBuilder, Resolve, Transport as _};
use webpush_channels::transport::{TransportError, TransportErrorKind};
use webpush_channels::{AddressPolicy, EndpointPolicy, Message, OutcomeKind, Payload, Ttl, UserId};

/// What a response's body may hold.
const BODY_CAP: usize = 16 * 1024;
/// What a peer may get rid of before it is cut off: mostly the receiving socket's buffer, which the
/// operating system sizes.
const READ_CAP: u64 = 2 << 20;
/// What it tries to get rid of.
const HUGE: u64 = 1 << 30;

/// For what must be cut off by its size: longer than the test takes.
const LONG: Duration = Duration::from_secs(60);

/// How the service is reached: TLS or not, HTTP/1.1 or HTTP/2.
const WIRES: [(bool, bool); 4] = [(false, true), (false, false), (true, true), (true, false)];

/// With small buffers, which accepted sockets inherit: what was written was nearly read.
fn small_listener(address: SocketAddr) -> TcpListener {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_reuseaddr(true).unwrap();
    socket.set_send_buffer_size(16 * 1024).unwrap();
    socket.bind(address).unwrap();
    socket.listen(1024).unwrap()
}

/// Counts what one side of a connection sends.
struct Relay {
    address: SocketAddr,
    passed: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl Relay {
    /// On another loopback address and the same port, so that the service's own origin leads
    /// here.
    fn before(service: SocketAddr) -> Self {
        let listener = small_listener((Ipv4Addr::new(127, 0, 0, 2), service.port()).into());
        let (address, passed) = (listener.local_addr().unwrap(), Arc::<AtomicU64>::default());
        let counter = Arc::clone(&passed);
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let Ok(server) = TcpStream::connect(service).await else { continue };
                tokio::spawn(relay(client, server, Arc::clone(&counter)));
            }
        });
        Self { address, passed, task }
    }

    fn passed(&self) -> u64 {
        self.passed.load(Ordering::SeqCst)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn relay(client: TcpStream, server: TcpStream, passed: Arc<AtomicU64>) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let up = tokio::spawn(async move { tokio::io::copy(&mut from_client, &mut to_server).await });
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(octets @ 1..) = from_server.read(&mut buffer).await {
        if to_client.write_all(&buffer[..octets]).await.is_err() {
            break;
        }
        passed.fetch_add(octets as u64, Ordering::SeqCst);
    }
    up.abort();
}

#[derive(Debug)]
struct Redirected(IpAddr);

#[async_trait]
impl Resolve for Redirected {
    async fn resolve(&self, _: &str) -> io::Result<Vec<IpAddr>> {
        Ok(vec![self.0])
    }
}

fn builder() -> HyperTransportBuilder {
    HyperTransport::builder()
        .address_policy(AddressPolicy::loopback_for_tests())
        .total_timeout(Duration::from_secs(3))
}

fn transport_to(service: &PushService, http1: bool) -> HyperTransportBuilder {
    let builder = builder().http2_prior_knowledge(!http1);
    match service.ca_pem() {
        Some(pem) => builder.extra_root_pem(pem.as_bytes()).unwrap(),
        None => builder,
    }
}

fn sender(transport: HyperTransport) -> Sender {
    let vapid = Vapid::new(VapidKey::generate().unwrap(), "mailto:ops@example.org".parse().unwrap());
    let retry = RetryPolicy::default().with_attempts(1);
    Sender::builder(vapid, transport).policy(EndpointPolicy::loopback_for_tests()).retry(retry).build()
}

fn message() -> Message {
    Message::new(Payload::new("hello").unwrap(), Ttl::hours(1))
}

/// Sends through a relay; gives back how it ended and what the service got rid of.
async fn read_of(answer: Answer, timeout: Duration, tls: bool, http1: bool) -> (OutcomeKind, u64) {
    let service = PushService::builder().localhost(true).tls(tls).http1_only(http1).start().await.unwrap();
    let relay = Relay::before(service.address());
    let resolver = Arc::new(Redirected(relay.address.ip()));
    let transport = transport_to(&service, http1).resolver(resolver).total_timeout(timeout).build().unwrap();
    let subscription = service.subscribe(&UserAgent::seeded(1));
    service.script(&subscription, [answer]);
    let sent = sender(transport.clone()).send(&subscription, &message()).await;
    assert_eq!(service.counters().requests, 1, "{:?}", service.violations());
    drop(transport);
    // The connection ends with the transport, and what was on its way arrives or is dropped.
    service.wait_for(|counters| counters.connections_open == 0).await;
    (sent.outcome.kind(), relay.passed())
}

#[tokio::test]
async fn a_body_without_end_is_cut_off() {
    for (tls, http1) in WIRES {
        let (outcome, read) = read_of(Answer::HugeBody(HUGE), LONG, tls, http1).await;
        assert_eq!(outcome, OutcomeKind::Accepted, "tls {tls}, HTTP/1.1 {http1}: the status decides");
        assert!(
            (16 * 1024..READ_CAP).contains(&read),
            "tls {tls}, HTTP/1.1 {http1}: {read} octets were read"
        );
    }
}

#[tokio::test]
async fn headers_without_end_are_cut_off() {
    for (tls, http1) in WIRES {
        let (outcome, read) = read_of(Answer::HugeHeaders(4 << 20), LONG, tls, http1).await;
        assert_eq!(outcome, OutcomeKind::Unconfirmed, "tls {tls}, HTTP/1.1 {http1}: there is no status");
        assert!(
            (16 * 1024..READ_CAP).contains(&read),
            "tls {tls}, HTTP/1.1 {http1}: {read} octets were read"
        );
    }
}

#[tokio::test]
async fn a_body_that_trickles_without_end_is_cut_by_time() {
    for (tls, http1) in WIRES {
        let began = Instant::now();
        let trickle = Answer::Trickle { every: Duration::from_millis(5), octets: HUGE };
        let (outcome, read) = read_of(trickle, Duration::from_secs(2), tls, http1).await;
        assert_eq!(outcome, OutcomeKind::Accepted, "tls {tls}, HTTP/1.1 {http1}");
        assert!(read < 64 * 1024, "tls {tls}, HTTP/1.1 {http1}: {read} octets were read");
        assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    }
}

/// Answers every request with a beginning and then a part for ever; counts what it got rid of.
fn endless(begin: &'static [u8], part: &'static [u8]) -> (SocketAddr, Arc<AtomicU64>, JoinHandle<()>) {
    let listener = small_listener((Ipv4Addr::LOCALHOST, 0).into());
    let (address, written) = (listener.local_addr().unwrap(), Arc::<AtomicU64>::default());
    let counter = Arc::clone(&written);
    let task = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        // An answer before its question would be no answer.
        let mut request = Vec::new();
        while !request.ends_with(b"body") {
            stream.read_buf(&mut request).await.unwrap();
        }
        let many = part.repeat((4096 / part.len()).max(1));
        let mut octets = begin;
        // Until the client is gone.
        while stream.write_all(octets).await.is_ok() {
            counter.fetch_add(octets.len() as u64, Ordering::SeqCst);
            octets = &many;
        }
    });
    (address, written, task)
}

async fn answer_of(
    begin: &'static [u8],
    part: &'static [u8],
) -> (Result<Response<Bytes>, TransportError>, u64) {
    let (address, written, peer) = endless(begin, part);
    let transport = builder().build().unwrap();
    let request = Request::post(format!("http://{address}/p/x")).body(Bytes::from_static(b"body")).unwrap();
    let result = transport.send(request).await;
    drop(transport);
    // It ends when its writes fail: the connection was closed, not left to fill a buffer.
    peer.await.unwrap();
    (result, written.load(Ordering::SeqCst))
}

#[tokio::test]
async fn a_head_without_end_is_an_error_after_a_few_octets() {
    for (begin, part) in [
        (&b"HTTP/1.1 201 Created\r\n"[..], &b"x-more: and more\r\n"[..]),
        (b"HTTP/1.1 201 Created\r\nx-long: ", b"and longer "),
        (b"HTTP/1.1 201 ", b"Created and "),
        (b"HTTP/1.1 ", b"2"),
        (b"", b"\r\n"),
        (b"", b"nothing of HTTP "),
    ] {
        let (result, written) = answer_of(begin, part).await;
        let kind = result.map(|response| response.status()).unwrap_err().kind();
        let ended = matches!(kind, TransportErrorKind::Interrupted | TransportErrorKind::Timeout);
        assert!(ended, "{kind:?} after {:?}", part.escape_ascii().to_string());
        assert!(written < READ_CAP, "{written} octets of {:?}", part.escape_ascii().to_string());
    }
}

/// Zeros before the size of a chunk say nothing, so that nothing is kept of them.
#[tokio::test]
async fn a_chunk_size_without_end_is_ended_by_the_timeout() {
    let head = b"HTTP/1.1 201 Created\r\ntransfer-encoding: chunked\r\n\r\n";
    let (result, _) = answer_of(head, b"0").await;
    let response = result.unwrap();
    assert_eq!((response.status().as_u16(), response.body().len()), (201, 0));
}

/// Interim responses (RFC 9110 15.2) are dropped as they come: time alone ends them.
#[tokio::test]
async fn interim_responses_without_end_are_ended_by_the_timeout() {
    let (result, _) = answer_of(b"", b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n").await;
    assert_eq!(result.unwrap_err().kind(), TransportErrorKind::Timeout);
}

#[tokio::test]
async fn a_body_without_end_is_kept_to_16_kib_in_every_framing() {
    for (begin, part) in [
        (&b"HTTP/1.1 201 Created\r\n\r\n"[..], &b"more"[..]),
        (b"HTTP/1.1 201 Created\r\ncontent-length: 9000000000000000000\r\n\r\n", b"more"),
        (b"HTTP/1.1 201 Created\r\ntransfer-encoding: chunked\r\n\r\n", b"4\r\nmore\r\n"),
        (b"HTTP/1.1 201 Created\r\ntransfer-encoding: chunked\r\n\r\n", b"4;extended=yes\r\nmore\r\n"),
        (b"HTTP/1.1 201 Created\r\ntransfer-encoding: chunked\r\n\r\n4;x=", b"and longer "),
        (b"HTTP/1.1 201 Created\r\ntransfer-encoding: chunked\r\n\r\n0\r\n", b"x-trailer: more\r\n"),
    ] {
        let (result, written) = answer_of(begin, part).await;
        let response = result.unwrap();
        assert_eq!(response.status(), 201);
        assert!(response.body().len() <= BODY_CAP, "{} octets are kept", response.body().len());
        assert!(written < READ_CAP, "{written} octets of {:?}", part.escape_ascii().to_string());
    }
}

#[test]
fn what_a_response_leaves_behind_is_bounded() {
    let endpoint = "https://push.example.net/p/x".parse().unwrap();
    let long = "x".repeat(30_000);
    let mut response = Response::new(Bytes::from("a word and ".repeat(BODY_CAP)));
    for (name, value) in [("location", format!("/m/{long}")), ("ttl", long.clone()), ("retry-after", long)] {
        response.headers_mut().insert(name, value.parse().unwrap());
    }
    for status in 200..600 {
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        let classified = classify(&endpoint, Ttl::hours(1), &response, std::time::SystemTime::UNIX_EPOCH);
        assert!(classified.detail.reason.is_none_or(|reason| reason.chars().count() <= 256), "{status}");
        match classified.verdict {
            Verdict::Accepted { message_url, granted_ttl, .. } => {
                assert_eq!((message_url, granted_ttl), (None, None), "{status}");
            }
            Verdict::Moved { location, .. } => assert!(location.is_none()),
            _ => {}
        }
    }
}

/// The most memory that this process ever had, in octets.
#[cfg(target_os = "linux")]
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() * 1024
}

/// A terabyte of bodies from one service, in one broadcast.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_broadcast_to_a_hostile_service_stays_small() {
    const N: u64 = 1024;
    let service = PushService::builder().answer(|_| Answer::HugeBody(HUGE)).start().await.unwrap();
    let store = MemoryStore::builder().max_subscriptions_per_user(NonZeroU32::MAX).build();
    let user = UserId::new("alice").unwrap();
    let entries: Vec<_> =
        (0..N).map(|_| NewEntry::new(user.clone(), service.subscribe(&UserAgent::seeded(1)))).collect();
    store.put(&entries).await.unwrap();
    let transport = transport_to(&service, false).total_timeout(Duration::from_secs(20)).build().unwrap();
    let channels = Channels::new(store, sender(transport));
    let before = peak_memory();
    let report = channels.publish(Publication::new(Audience::User(user), message())).await.unwrap();
    let grown = peak_memory() - before;
    assert_eq!(report.counts[OutcomeKind::Accepted], N, "{report}");
    assert!(grown < 128 << 20, "{} MiB more for {N} bodies without end", grown >> 20);
}
