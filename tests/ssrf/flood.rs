//! Ten thousand endpoints, each with an origin of its own: what they leave behind is bounded (S-31). The tables that
//! cannot be seen from here (origins of a sender and of a pool, tokens of a key) have tests beside them.

use std::io;
use std::net::Ipv4Addr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{sleep, timeout};
use webpush_channels::channel::{Channels, Limits, Publication};
use webpush_channels::engine::vapid::{Vapid, VapidKey};
use webpush_channels::sender::{RetryPolicy, Sender};
use webpush_channels::store::{Audience, MemoryStore, NewEntry, SubscriptionStore as _};
use webpush_channels::testing::UserAgent;
use webpush_channels::transport::{HyperTransport, HyperTransportBuilder, Transport as _};
use webpush_channels::{
    AddressPolicy, EndpointPolicy, Message, OriginLabel, OutcomeKind, Payload, Report, Ttl, UserId,
};

const ORIGINS: u32 = 10_000;

/// How many there are, and how many there were at most.
#[derive(Debug, Default)]
struct Gauge {
    now: AtomicUsize,
    most: AtomicUsize,
}

impl Gauge {
    fn up(&self) {
        self.most.fetch_max(self.now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
    }

    fn down(&self) {
        self.now.fetch_sub(1, Ordering::SeqCst);
    }

    fn now(&self) -> usize {
        self.now.load(Ordering::SeqCst)
    }

    fn most(&self) -> usize {
        self.most.load(Ordering::SeqCst)
    }
}

/// A push service on every loopback address, and its open connections.
fn everywhere() -> (u16, Arc<Gauge>) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((Ipv4Addr::UNSPECIFIED, 0).into()).unwrap();
    let listener = socket.listen(4096).unwrap();
    let (port, open) = (listener.local_addr().unwrap().port(), Arc::<Gauge>::default());
    let gauge = Arc::clone(&open);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let gauge = Arc::clone(&gauge);
            gauge.up();
            tokio::spawn(async move {
                // Errors are the client's ways to go.
                drop(serve(stream, &gauge).await);
                gauge.down();
            });
        }
    });
    (port, open)
}

/// Accepts every message but those to `/odd`. What comes to `/never` is not answered, and what comes to `/crowd` when a
/// dozen connections are open.
async fn serve(mut stream: TcpStream, open: &Gauge) -> io::Result<()> {
    let (mut request, mut wanted) = (Vec::new(), None);
    while stream.read_buf(&mut request).await? > 0 {
        if wanted.is_none() {
            wanted = length(&request);
        }
        if wanted.is_none_or(|wanted| request.len() < wanted) || request.starts_with(b"POST /never") {
            continue;
        }
        while request.starts_with(b"POST /crowd") && open.now() < 12 {
            sleep(Duration::from_millis(5)).await;
        }
        let status = if request.starts_with(b"POST /odd") { "400 Bad Request" } else { "201 Created" };
        stream.write_all(format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n").as_bytes()).await?;
        request.clear();
        wanted = None;
    }
    Ok(())
}

/// Of the whole request, when its head is there.
fn length(request: &[u8]) -> Option<usize> {
    let text = String::from_utf8_lossy(request);
    let (head, _) = text.split_once("\r\n\r\n")?;
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "))?;
    Some(head.len() + 4 + length.parse::<usize>().unwrap())
}

fn host(n: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(u32::from(Ipv4Addr::new(127, 1, 0, 0)) + n)
}

/// Publishes to that many origins, each a loopback address with one subscription: to one of the paths, and then to the
/// other.
async fn publish(
    origins: u32,
    paths: [&str; 2],
    port: u16,
    vapid: Vapid,
    transport: HyperTransport,
    limits: Limits,
) -> Report {
    let store = MemoryStore::builder().max_subscriptions_per_user(NonZeroU32::MAX).build();
    let (user, agent) = (UserId::new("mallory").unwrap(), UserAgent::seeded(1));
    let entry = |n: u32| {
        let url = format!("http://{}:{port}/{}", host(n), paths[n as usize % 2]);
        NewEntry::new(user.clone(), agent.subscribe(url.parse().unwrap()))
    };
    store.put(&(0..origins).map(entry).collect::<Vec<_>>()).await.unwrap();
    let sender = Sender::builder(vapid, transport)
        .policy(EndpointPolicy::loopback_for_tests())
        .retry(RetryPolicy::default().with_attempts(1))
        .build();
    let channels = Channels::builder(store, sender).limits(limits).build();
    let message = Message::new(Payload::new("hello").unwrap(), Ttl::hours(1));
    channels.publish(Publication::new(Audience::User(user), message)).await.unwrap()
}

fn transport() -> HyperTransportBuilder {
    HyperTransport::builder().address_policy(AddressPolicy::loopback_for_tests())
}

fn vapid() -> Vapid {
    Vapid::new(VapidKey::generate().unwrap(), "mailto:ops@example.org".parse().unwrap())
}

async fn fall_to(open: &Gauge, connections: usize) {
    let fallen = timeout(Duration::from_secs(30), async {
        while open.now() > connections {
            sleep(Duration::from_millis(5)).await;
        }
    });
    assert!(fallen.await.is_ok(), "{} connections stay open", open.now());
}

#[tokio::test]
async fn ten_thousand_origins_leave_a_pool_a_cache_and_a_report_of_bounded_size() {
    let (port, open) = everywhere();
    let (vapid, transport) = (vapid(), transport().build().unwrap());
    // Both ends are in this process, which may have no more than a thousand descriptors.
    let limits = Limits::default().with_in_flight(128);
    let report = publish(ORIGINS, ["even", "odd"], port, vapid.clone(), transport.clone(), limits).await;
    assert_eq!(report.read, u64::from(ORIGINS));
    assert_eq!(report.counts[OutcomeKind::Accepted], u64::from(ORIGINS / 2), "{report}");
    assert_eq!(report.counts[OutcomeKind::BadRequest], u64::from(ORIGINS / 2), "{report}");

    // One connection for each request in flight, those that the pool keeps, and a few of which the peer does not know
    // yet that they have ended.
    assert!(open.most() <= 128 + 256 + 64, "{} connections at once", open.most());
    fall_to(&open, 256).await;
    assert!(open.now() > 0, "the pool keeps some");
    drop(transport);
    fall_to(&open, 0).await;

    assert!(format!("{vapid:?}").contains("tokens: 1024"), "{vapid:?}");
    let named = report.origins.iter().filter(|part| matches!(part.origin, OriginLabel::Origin(_))).count();
    assert_eq!((named, report.origins.len()), (16, 17), "{report}");
    assert_eq!(report.failures.len(), 100);
}

#[tokio::test]
async fn origins_that_never_answer_hold_a_connection_for_each_request_and_no_more() {
    let (port, open) = everywhere();
    let transport = transport().total_timeout(Duration::from_millis(300)).build().unwrap();
    let limits = Limits::default().with_in_flight(64);
    let report = publish(500, ["never"; 2], port, vapid(), transport, limits).await;
    assert_eq!(report.counts[OutcomeKind::Unconfirmed], 500, "{report}");
    // The peer notices a little later that one has ended.
    assert!(open.most() <= 2 * 64, "{} connections at once", open.most());
    fall_to(&open, 0).await;
}

/// One request that is never answered keeps one connection, and not the dozen that its origin had.
#[tokio::test]
async fn an_origin_that_gives_way_keeps_what_is_in_use_and_no_more() {
    let (port, open) = everywhere();
    let transport = transport().max_origins(1).total_timeout(Duration::from_secs(120)).build().unwrap();
    let send = |host: Ipv4Addr, path: &str| {
        let request = Request::post(format!("http://{host}:{port}/{path}")).body(Bytes::from_static(b"body"));
        let transport = transport.clone();
        tokio::spawn(async move { transport.send(request.unwrap()).await })
    };
    let stuck = send(host(1), "never");
    for sent in (0..11).map(|_| send(host(1), "crowd")).collect::<Vec<_>>() {
        assert_eq!(sent.await.unwrap().unwrap().status(), 201);
    }
    assert_eq!(open.now(), 12);
    assert_eq!(send(host(2), "even").await.unwrap().unwrap().status(), 201);
    // The stuck one, and that of the origin in the pool.
    fall_to(&open, 2).await;
    assert!(!stuck.is_finished());
    stuck.abort();
}
