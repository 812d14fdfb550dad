//! Requests at the connections of one origin. A part of each copy.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;

use shuttle::future::{block_on, spawn, yield_now};

use super::config::Config;
use super::lease::Lease;
use super::origin::{Origin, Shared};
use super::peer::Connector;
use crate::explore::Case;
use crate::stand_ins::{TransportError, TransportErrorKind};

pub(crate) const CASES: [Case; 9] = [
    ("pool: one stream for three", || run(&Story::default())),
    ("pool: two connections of two streams", || run(&Story { connections: 2, streams: 2, requests: 5, ..Story::default() })),
    ("pool: HTTP/1.1, and connections that end", || run(&Story { http1: true, connections: 2, ..Story::default() })),
    ("pool: requests that give up", || run(&Story { gives_up: true, requests: 4, ..Story::default() })),
    ("pool: the first attempt fails", || run(&Story { fail: 1, connections: 2, ..Story::default() })),
    ("pool: another attempt fails", || run(&Story { fail_after: 1, fail: 1, connections: 2, ..Story::default() })),
    ("pool: a connection ends", || run(&Story { event: Event::Ends, ..Story::default() })),
    ("pool: the peer changes its limit", || run(&Story { event: Event::Limit, streams: 2, ..Story::default() })),
    ("pool: the origin leaves the pool", || run(&Story { event: Event::Evicted, connections: 2, ..Story::default() })),
];

/// What happens besides.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Event {
    Nothing,
    Ends,
    Limit,
    Evicted,
}

#[derive(Clone)]
struct Story {
    requests: usize,
    connections: usize,
    streams: usize,
    http1: bool,
    /// Every second request is dropped while it waits.
    gives_up: bool,
    fail_after: usize,
    fail: usize,
    event: Event,
}

impl Default for Story {
    fn default() -> Self {
        Self {
            requests: 3,
            connections: 1,
            streams: 1,
            http1: false,
            gives_up: false,
            fail_after: 0,
            fail: 0,
            event: Event::Nothing,
        }
    }
}

fn origin(story: &Story) -> Arc<Origin> {
    let config = Config { max_connections: story.connections, max_streams: 100, ..Config::default() };
    let connector = Connector {
        http1: story.http1,
        streams: story.streams,
        fail_after: story.fail_after,
        fail: story.fail,
        attempts: AtomicUsize::new(0),
        opened: Mutex::new(VecDeque::new()),
    };
    Origin::new("https://push.example.net", Arc::new(Shared { config, connector }))
}

/// One exchange; `last`: the connection cannot be used again.
async fn exchange(mut lease: Lease, streams: usize, last: bool) {
    let wire = Arc::clone(lease.sender().wire());
    assert!(wire.in_flight.fetch_add(1, Ordering::SeqCst) < streams, "more in flight than the peer takes");
    yield_now().await;
    wire.in_flight.fetch_sub(1, Ordering::SeqCst);
    if lease.is_http1() && !last {
        lease.finish();
    }
}

async fn request(origin: Arc<Origin>, number: usize, story: Story) {
    let mut lease = pin!(origin.lease());
    let mut polls = 0;
    let lease = std::future::poll_fn(|cx| {
        polls += 1;
        match lease.as_mut().poll(cx) {
            Poll::Ready(lease) => Poll::Ready(Some(lease)),
            Poll::Pending if story.gives_up && number % 2 == 1 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await;
    // Whoever gave up keeps its place in the line until here: it may be served at this moment.
    yield_now().await;
    match lease {
        None => {}
        Some(Ok(lease)) => exchange(lease, story.streams, number == 0).await,
        Some(Err(error)) => assert_failed(&error, &story),
    }
}

/// Who waited for an attempt that failed is told so.
fn assert_failed(error: &TransportError, story: &Story) {
    assert!(story.fail > 0 && matches!(error.0, TransportErrorKind::Connect), "{error:?}");
}

async fn happen(origin: Arc<Origin>, event: Event, streams: usize) {
    yield_now().await;
    let wire = origin.shared.connector.open().into_iter().next();
    let id = wire.as_ref().map(|wire| wire.id.load(Ordering::SeqCst));
    match (event, wire, id) {
        (Event::Evicted, ..) => origin.evict(),
        (Event::Ends, Some(wire), Some(id)) => {
            wire.closed.store(true, Ordering::SeqCst);
            yield_now().await;
            origin.remove(id);
        }
        (Event::Limit, _, Some(id)) => {
            origin.limit(id, 1);
            yield_now().await;
            origin.limit(id, streams);
        }
        _ => {}
    }
}

fn run(story: &Story) {
    let origin = origin(story);
    let mut tasks: Vec<_> =
        (0..story.requests).map(|number| spawn(request(Arc::clone(&origin), number, story.clone()))).collect();
    if story.event != Event::Nothing {
        tasks.push(spawn(happen(Arc::clone(&origin), story.event, story.streams)));
    }
    block_on(async {
        for task in tasks {
            task.await.expect("it ends");
        }
        assert!(origin.is_idle(), "streams are free again");
        // Each of them: whoever comes now need not wait for anybody. Where an attempt failed, it may have to.
        let connections = if story.fail > 0 { 1 } else { story.connections };
        let mut leases = Vec::new();
        for _ in 0..story.streams * connections {
            match origin.lease().await {
                Ok(lease) => leases.push(lease),
                Err(error) => assert_failed(&error, story),
            }
        }
    });
}
