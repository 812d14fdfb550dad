//! The push service: counts what arrives, and for whom, and does nothing else, because every millisecond of it is
//! the nodes' too.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// So long an answer takes: enough that a node always has requests in flight when it is killed.
const LATENCY: Duration = Duration::from_millis(20);

/// How a subscription answers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// 201.
    Live,
    /// 503 to the first, then 201.
    BusyFirst,
    /// Takes the first and says nothing, then 201.
    SilentFirst,
    /// 410.
    Dead,
}

impl Kind {
    pub const fn of(number: usize) -> Self {
        match number {
            _ if number % 50 == 3 => Self::Dead,
            _ if number % 25 == 7 => Self::BusyFirst,
            // None of the first, because it takes half a minute until it is tried again.
            _ if number % 1000 == 999 && number > 5000 => Self::SilentFirst,
            _ => Self::Live,
        }
    }
}

/// What one of them got.
#[derive(Default)]
struct Inbox {
    /// Whole requests.
    requests: AtomicU32,
    /// Of these, messages: what was answered with 201, or may have arrived for all that the sender knows.
    messages: AtomicU32,
}

#[derive(Default)]
struct Counted {
    inboxes: Box<[Inbox]>,
    /// How many have a message.
    reached: AtomicU64,
}

/// A listening push service. Ends when it is dropped.
pub struct Receivers {
    pub port: u16,
    counted: Arc<Counted>,
    _tasks: JoinSet<()>,
}

impl Receivers {
    pub async fn start(subscriptions: usize) -> Self {
        let inboxes = (0..subscriptions).map(|_| Inbox::default()).collect();
        let counted = Arc::new(Counted { inboxes, reached: AtomicU64::new(0) });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, Arc::clone(&counted)));
        Self { port, counted, _tasks: tasks }
    }

    pub fn endpoint(&self, number: usize) -> String {
        format!("http://127.0.0.1:{}/{number}", self.port)
    }

    /// How many have at least one message.
    pub fn reached(&self) -> u64 {
        self.counted.reached.load(Ordering::SeqCst)
    }

    /// How many messages each has.
    pub fn messages(&self) -> Vec<u32> {
        self.counted.inboxes.iter().map(|inbox| inbox.messages.load(Ordering::SeqCst)).collect()
    }
}

async fn accept(listener: TcpListener, counted: Arc<Counted>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(serve(stream, Arc::clone(&counted)));
        // Those of killed nodes.
        while connections.try_join_next().is_some() {}
    }
}

async fn serve(stream: TcpStream, counted: Arc<Counted>) {
    let answer = service_fn(move |request| answer(request, Arc::clone(&counted)));
    let connection = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
        .serve_connection(TokioIo::new(stream), answer);
    // It fails when its node is killed.
    let _ = connection.await;
}

async fn answer(
    request: Request<Incoming>,
    counted: Arc<Counted>,
) -> Result<Response<Empty<Bytes>>, Infallible> {
    let number: usize = request.uri().path()[1..].parse().expect("an endpoint of this service");
    // Half a request is none.
    if request.into_body().collect().await.is_err() {
        return Ok(status(StatusCode::BAD_REQUEST));
    }
    let (kind, inbox) = (Kind::of(number), &counted.inboxes[number]);
    let first = inbox.requests.fetch_add(1, Ordering::SeqCst) == 0;
    let answer = match kind {
        Kind::Dead => StatusCode::GONE,
        Kind::BusyFirst if first => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::CREATED,
    };
    if answer == StatusCode::CREATED && inbox.messages.fetch_add(1, Ordering::SeqCst) == 0 {
        counted.reached.fetch_add(1, Ordering::SeqCst);
    }
    if kind == Kind::SilentFirst && first {
        std::future::pending::<()>().await;
    }
    tokio::time::sleep(LATENCY).await;
    Ok(status(answer))
}

fn status(status: StatusCode) -> Response<Empty<Bytes>> {
    let mut response = Response::new(Empty::new());
    *response.status_mut() = status;
    response
}
