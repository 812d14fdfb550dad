//! The task of one connection: opens it, then drives it until it ends.

use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::sync::{Arc, Weak};
use std::task::Poll;
use std::time::Duration;

use futures_util::future::{Either, select};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::connection::{Driver, Established, establish};
use super::error::ConnectError;
use super::origin::{Origin, Shared};
use crate::transport::target::OriginKey;

/// What a connection gets to say goodbye before it is dropped.
const FAREWELL: Duration = Duration::from_secs(5);

/// Starts a task that opens one more connection. It holds no strong reference to its origin, so
/// that dropping the transport ends it.
pub(super) fn spawn(runtime: &Handle, origin: &Arc<Origin>) {
    let attempt = Attempt { origin: Arc::downgrade(origin), error: Some(ended()) };
    let shared = Arc::clone(&origin.shared);
    let key = origin.key.clone();
    let alive = origin.alive.subscribe();
    runtime.spawn(async move {
        let total = shared.config.total_timeout;
        match connect(&shared, &key, alive).await {
            Ok(established) => attempt.succeed(established, total).await,
            Err(error) => attempt.fail(error),
        }
    });
}

async fn connect(
    shared: &Shared,
    key: &OriginKey,
    mut alive: watch::Receiver<()>,
) -> Result<Established, ConnectError> {
    let deadline = Instant::now() + shared.config.connect_timeout;
    let connecting =
        pin!(timeout_at(deadline, async { establish(shared.connector.open(key, deadline).await?).await }));
    match select(connecting, pin!(alive.changed())).await {
        Either::Left((Ok(connected), _)) => connected,
        Either::Left((Err(_), _)) => Err(ConnectError::new(io::Error::from(io::ErrorKind::TimedOut))),
        Either::Right(_) => Err(ended()),
    }
}

fn ended() -> ConnectError {
    ConnectError::new(io::Error::new(io::ErrorKind::Interrupted, "the runtime or the transport ended"))
}

/// An attempt that its origin counts; dropping it tells the origin, whatever happened.
struct Attempt {
    origin: Weak<Origin>,
    error: Option<ConnectError>,
}

impl Attempt {
    fn fail(mut self, error: ConnectError) {
        tracing::debug!(?error, "no connection");
        self.error = Some(error);
    }

    async fn succeed(mut self, established: Established, total: Duration) {
        self.error = None;
        let Established { sender, meter, driver } = established;
        let Some(origin) = self.origin.upgrade() else { return };
        let streams = driver.streams();
        let idle = origin.shared.config.idle_timeout;
        let id = origin.opened(sender, meter, streams);
        tracing::debug!(origin = ?origin.key, id, streams, "connected");
        drop(origin);
        let frames = driver.frames();
        drive(driver, &self.origin, id, streams, idle).await;
        if let Some(mut frames) = frames
            && timeout(total + FAREWELL, &mut frames).await.is_err()
        {
            // What was in flight has timed out, and the peer does not take our goodbye.
            frames.abort();
        }
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if let (Some(error), Some(origin)) = (self.error.take(), self.origin.upgrade()) {
            origin.failed(&error);
        }
    }
}

/// Polls the connection until it ends, passes on the peer's stream limit, and takes the
/// connection out of use when it was idle for long enough.
async fn drive(mut driver: Driver, origin: &Weak<Origin>, id: u64, mut streams: usize, idle: Duration) {
    let mut look = pin!(sleep(idle));
    let mut removed = false;
    poll_fn(|cx| {
        if driver.poll(cx).is_ready() {
            return Poll::Ready(());
        }
        let now = driver.streams();
        if now != streams {
            streams = now;
            if let Some(origin) = origin.upgrade() {
                origin.limit(id, now);
            }
        }
        while look.as_mut().poll(cx).is_ready() {
            if removed {
                return Poll::Ready(());
            }
            let next = origin.upgrade().and_then(|origin| origin.expire(id));
            removed = next.is_none();
            look.as_mut().reset(next.unwrap_or_else(|| Instant::now() + FAREWELL));
        }
        Poll::Pending
    })
    .await;
    if let Some(origin) = origin.upgrade() {
        origin.remove(id);
    }
}
