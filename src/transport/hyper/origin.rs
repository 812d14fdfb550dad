//! The connections of one origin: who may use which, who waits, when another one opens.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, timeout};

use super::config::Config;
use super::connection::Sender;
use super::connector::Connector;
use super::error::ConnectError;
use super::io::Meter;
use super::lease::Lease;
use super::opening;
use crate::transport::target::OriginKey;
use crate::transport::{TransportError, TransportErrorKind};

/// After a further connection failed, no other is tried for this long while one is alive.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(1);

/// What all origins share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) config: Config,
    pub(super) connector: Connector,
}

/// One origin of the pool. Its connections end when it is dropped.
#[derive(Debug)]
pub(super) struct Origin {
    pub(super) key: OriginKey,
    pub(super) shared: Arc<Shared>,
    /// Dropped with the origin: ends connection attempts.
    pub(super) alive: watch::Sender<()>,
    slots: Mutex<Slots>,
}

type Waiter = oneshot::Sender<Result<Lease, ConnectError>>;

#[derive(Debug)]
struct Slots {
    connections: Vec<Connection>,
    opening: usize,
    /// How many requests the next connection is expected to carry: what the last one did.
    expected: usize,
    waiters: VecDeque<Waiter>,
    next_id: u64,
    paused_until: Option<Instant>,
    /// Nobody finds it any more: what falls idle closes.
    evicted: bool,
}

#[derive(Debug)]
struct Connection {
    id: u64,
    /// Lent out while an HTTP/1.1 request is in flight.
    sender: Option<Sender>,
    meter: Arc<Meter>,
    limit: usize,
    used: usize,
    idle_since: Instant,
}

impl Origin {
    pub(super) fn new(key: OriginKey, shared: Arc<Shared>) -> Arc<Self> {
        let slots = Slots {
            connections: Vec::new(),
            opening: 0,
            // Until it is known whether the peer speaks HTTP/2, assume so.
            expected: shared.config.max_streams,
            waiters: VecDeque::new(),
            next_id: 0,
            paused_until: None,
            evicted: false,
        };
        Arc::new(Self { key, shared, alive: watch::Sender::new(()), slots: Mutex::new(slots) })
    }

    fn slots(&self) -> MutexGuard<'_, Slots> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nobody uses it and nobody waits: evicting it disturbs no request.
    pub(super) fn is_idle(&self) -> bool {
        let slots = self.slots();
        slots.waiters.iter().all(oneshot::Sender::is_closed)
            && slots.connections.iter().all(|connection| connection.used == 0)
    }

    /// It leaves the pool. What is in flight goes on; without this, one request would keep all
    /// connections of its origin, and thousands of such origins the process's descriptors (S-31).
    pub(super) fn evict(&self) {
        let mut slots = self.slots();
        slots.evicted = true;
        slots.forget_the_idle();
    }

    /// A free stream, at once or within the limit for waiting.
    pub(super) async fn lease(self: &Arc<Self>) -> Result<Lease, TransportError> {
        let waiting = {
            let mut slots = self.slots();
            slots.forget_the_gone();
            if slots.waiters.is_empty()
                && let Some(lease) = slots.lend(self)
            {
                return Ok(lease);
            }
            let (waiter, waiting) = oneshot::channel();
            slots.waiters.push_back(waiter);
            waiting
        };
        self.open_more();
        match timeout(self.shared.config.stream_wait, waiting).await {
            Ok(Ok(granted)) => granted.map_err(TransportError::from),
            Ok(Err(_)) | Err(_) => Err(TransportError::new(TransportErrorKind::Busy)),
        }
    }

    /// Opens as many connections as the queue needs, counting those that are being opened.
    ///
    /// RFC 9113 9.1 says that a client should not open more than one. One connection carries 100
    /// streams per round trip, which is 2000 pushes a second at 50 ms; a broadcast needs more. So
    /// another one opens, but only when every stream of the others is in use.
    pub(super) fn open_more(self: &Arc<Self>) {
        // A lease may be dropped after its runtime.
        let Ok(runtime) = Handle::try_current() else { return };
        while self.slots().wants_another(&self.shared.config) {
            opening::spawn(&runtime, self);
        }
    }

    /// Counts an attempt that a test makes by itself.
    #[cfg(test)]
    pub(super) fn attempt(&self) {
        self.slots().opening += 1;
    }

    /// A connection attempt ended well; the connection's number.
    pub(super) fn opened(self: &Arc<Self>, sender: Sender, meter: Arc<Meter>, streams: usize) -> u64 {
        let mut slots = self.slots();
        slots.opening -= 1;
        slots.paused_until = None;
        let limit = streams.min(self.shared.config.max_streams);
        slots.expected = limit;
        let id = slots.next_id;
        slots.next_id += 1;
        slots.connections.push(Connection {
            id,
            sender: Some(sender),
            meter,
            limit,
            used: 0,
            idle_since: Instant::now(),
        });
        drop(slots);
        self.serve();
        // It may carry less than was expected of it.
        self.open_more();
        id
    }

    /// A connection attempt failed. When there is nothing else to wait for, so do the waiters.
    pub(super) fn failed(self: &Arc<Self>, error: &ConnectError) {
        let waiters = {
            let mut slots = self.slots();
            slots.opening -= 1;
            slots.forget_the_closed();
            if slots.opening > 0 {
                return;
            }
            if slots.connections.is_empty() {
                std::mem::take(&mut slots.waiters)
            } else {
                slots.paused_until = Some(Instant::now() + PAUSE_AFTER_FAILURE);
                return;
            }
        };
        for waiter in waiters {
            let _ = waiter.send(Err(error.clone()));
        }
    }

    /// The peer changed its limit.
    pub(super) fn limit(self: &Arc<Self>, id: u64, streams: usize) {
        let limit = streams.min(self.shared.config.max_streams);
        if let Some(connection) = self.slots().find(id) {
            connection.limit = limit;
        }
        self.serve();
        self.open_more();
    }

    /// Takes a connection out of use. What is in flight on it goes on.
    pub(super) fn remove(self: &Arc<Self>, id: u64) {
        self.slots().connections.retain(|connection| connection.id != id);
        self.open_more();
    }

    /// Removes the connection if it was unused for the idle timeout, else tells when to look again.
    pub(super) fn expire(&self, id: u64) -> Option<Instant> {
        let idle = self.shared.config.idle_timeout;
        let now = Instant::now();
        let mut slots = self.slots();
        let connection = slots.find(id)?;
        let until = if connection.used == 0 { connection.idle_since + idle } else { now + idle };
        if until > now {
            return Some(until);
        }
        slots.connections.retain(|connection| connection.id != id);
        None
    }

    /// Gives a stream back; `sender` is the lease's, if its connection can serve again.
    pub(super) fn give_back(self: &Arc<Self>, id: u64, sender: Option<Sender>) {
        {
            let mut slots = self.slots();
            let Some(connection) = slots.find(id) else { return };
            connection.used -= 1;
            if connection.used == 0 {
                connection.idle_since = Instant::now();
            }
            if connection.sender.is_none() {
                connection.sender = sender;
            }
            if connection.is_closed() {
                slots.connections.retain(|connection| connection.id != id);
            }
            slots.forget_the_gone();
            if slots.waiters.is_empty() {
                if slots.evicted {
                    slots.forget_the_idle();
                }
                return;
            }
        }
        self.serve();
        self.open_more();
    }

    /// Hands free streams to those who wait.
    fn serve(self: &Arc<Self>) {
        while let Some((waiter, lease)) = self.next_served() {
            // The lock is free here: a waiter that is gone gives its lease back through it.
            drop(waiter.send(Ok(lease)));
        }
    }

    fn next_served(self: &Arc<Self>) -> Option<(Waiter, Lease)> {
        let mut slots = self.slots();
        slots.forget_the_gone();
        if slots.waiters.is_empty() {
            return None;
        }
        let lease = slots.lend(self)?;
        // Somebody waits: it was looked at under the same lock.
        slots.waiters.pop_front().map(|waiter| (waiter, lease))
    }
}

impl Slots {
    /// A stream of the first connection that has one: the later ones fall idle and close when the
    /// load goes down.
    fn lend(&mut self, origin: &Arc<Origin>) -> Option<Lease> {
        self.forget_the_closed();
        let connection = self.connections.iter_mut().find(|connection| connection.used < connection.limit)?;
        let sender = match &connection.sender {
            Some(Sender::Http2(sender)) => Sender::Http2(sender.clone()),
            _ => connection.sender.take()?,
        };
        connection.used += 1;
        Some(Lease::new(Arc::clone(origin), connection.id, sender, Arc::clone(&connection.meter)))
    }

    fn wants_another(&mut self, config: &Config) -> bool {
        self.forget_the_gone();
        let full = self.connections.len() + self.opening >= config.max_connections;
        let paused = !self.connections.is_empty() && self.paused_until.is_some_and(|at| at > Instant::now());
        let wanted = self.waiters.len() > self.opening * self.expected.max(1);
        if full || paused || !wanted {
            return false;
        }
        self.opening += 1;
        true
    }

    fn find(&mut self, id: u64) -> Option<&mut Connection> {
        self.connections.iter_mut().find(|connection| connection.id == id)
    }

    fn forget_the_closed(&mut self) {
        self.connections.retain(|connection| !connection.is_closed());
    }

    fn forget_the_idle(&mut self) {
        self.connections.retain(|connection| connection.used > 0);
    }

    /// Waiters that gave up, at the front of the queue.
    fn forget_the_gone(&mut self) {
        while self.waiters.front().is_some_and(oneshot::Sender::is_closed) {
            self.waiters.pop_front();
        }
    }
}

impl Connection {
    /// An HTTP/1.1 connection that is lent out is not closed; one whose lease ended without its
    /// sender is.
    fn is_closed(&self) -> bool {
        match &self.sender {
            Some(sender) => sender.is_closed(),
            None => self.used == 0,
        }
    }
}
