//! The other side of the pool: connections that open, fail, and end as a case says. A part of each copy.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};

use shuttle::future::yield_now;

use super::origin::Origin;
use crate::stand_ins::{TransportError, TransportErrorKind};

pub(super) mod connection {
    pub(crate) use super::Sender;
}
pub(super) mod connector {
    pub(crate) use super::Connector;
}
pub(super) mod error {
    pub(crate) use super::ConnectError;
}
pub(super) mod io {
    pub(crate) use super::Meter;
}

/// What is behind the senders of one connection. It is not looked at by shuttle: what happens to it is no
/// step of its own.
#[derive(Debug, Default)]
pub(crate) struct Wire {
    pub(crate) id: AtomicU64,
    pub(crate) closed: AtomicBool,
    pub(crate) in_flight: AtomicUsize,
}

#[derive(Debug)]
pub(crate) enum Sender {
    Http1(Handle),
    Http2(Handle),
}

#[derive(Clone, Debug)]
pub(crate) struct Handle(pub(crate) Arc<Wire>);

impl Sender {
    pub(crate) fn is_closed(&self) -> bool {
        self.wire().closed.load(Ordering::SeqCst)
    }

    pub(crate) const fn wire(&self) -> &Arc<Wire> {
        let (Self::Http1(handle) | Self::Http2(handle)) = self;
        &handle.0
    }
}

#[derive(Debug, Default)]
pub(crate) struct Meter;

#[derive(Clone, Debug)]
pub(crate) struct ConnectError;

impl From<ConnectError> for TransportError {
    fn from(_: ConnectError) -> Self {
        Self::new(TransportErrorKind::Connect)
    }
}

/// How the next connections turn out.
#[derive(Debug)]
pub(crate) struct Connector {
    pub(crate) http1: bool,
    pub(crate) streams: usize,
    /// So many attempts fail, after so many that do not.
    pub(crate) fail_after: usize,
    pub(crate) fail: usize,
    pub(crate) attempts: AtomicUsize,
    /// What was opened; the pool and its leases keep them alive.
    pub(crate) opened: Mutex<VecDeque<Weak<Wire>>>,
}

impl Connector {
    /// Whether the next attempt fails.
    fn fails(&self) -> bool {
        let attempt = self.attempts.fetch_add(1, Ordering::SeqCst);
        (self.fail_after..self.fail_after + self.fail).contains(&attempt)
    }

    /// Connections that are there and whose peer has not ended them.
    pub(crate) fn open(&self) -> Vec<Arc<Wire>> {
        let opened = self.opened.lock().expect("nobody panics here");
        opened.iter().filter_map(Weak::upgrade).filter(|wire| !wire.closed.load(Ordering::SeqCst)).collect()
    }
}

pub(super) mod opening {
    use tokio::runtime;

    use super::{
        Arc, ConnectError, Handle, Meter, Ordering, Origin, Sender, Wire, yield_now,
    };

    pub(crate) fn spawn(_: &runtime::Handle, origin: &Arc<Origin>) {
        let origin = Arc::downgrade(origin);
        shuttle::future::spawn(async move {
            yield_now().await;
            let Some(origin) = origin.upgrade() else { return };
            let connector = &origin.shared.connector;
            if connector.fails() {
                return origin.failed(&ConnectError);
            }
            let wire = Arc::new(Wire::default());
            let handle = Handle(Arc::clone(&wire));
            let sender = if connector.http1 { Sender::Http1(handle) } else { Sender::Http2(handle) };
            let id = origin.opened(sender, Arc::new(Meter), connector.streams);
            wire.id.store(id, Ordering::SeqCst);
            connector.opened.lock().expect("nobody panics here").push_back(Arc::downgrade(&wire));
            drop(wire);
            let most = origin.shared.config.max_connections;
            assert!(connector.open().len() <= most, "more connections than there may be");
        });
    }
}
