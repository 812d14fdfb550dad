//! As much of the rest of the crate as the copies need.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::Instant;

pub(crate) type KeyId = u8;
pub(crate) type SubscriptionId = u8;
pub(crate) type BroadcastId = String;
pub(crate) type OriginKey = &'static str;

#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Origin(pub(crate) String);

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Borrow<str> for Origin {
    fn borrow(&self) -> &str {
        &self.0
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Vendor {
    Fcm,
    Other,
}

/// An endpoint is its origin here.
pub(crate) struct Endpoint(pub(crate) Origin);

impl Endpoint {
    pub(crate) fn origin_str(&self) -> &str {
        &self.0.0
    }

    pub(crate) fn origin(&self) -> Origin {
        self.0.clone()
    }

    pub(crate) fn vendor(&self) -> Vendor {
        if self.0.0.ends_with(".example.net") { Vendor::Fcm } else { Vendor::Other }
    }
}

/// What a push service said. Nothing, here.
#[derive(Debug)]
pub(crate) struct ResponseDetail;

impl fmt::Display for ResponseDetail {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        Ok(())
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Halt {
    Auth,
    Blocked,
}

/// Counts stops, of any vendor.
#[derive(Clone, Debug, Default)]
pub(crate) struct Service(Arc<AtomicUsize>);

impl Service {
    pub(crate) fn stopped(&self, _: Halt) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }

    pub(crate) fn stops(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Instruments(Service);

impl Instruments {
    pub(crate) const fn of(&self, _: Vendor) -> &Service {
        &self.0
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum TransportErrorKind {
    Busy,
    Connect,
}

#[derive(Debug)]
pub(crate) struct TransportError(pub(crate) TransportErrorKind);

impl TransportError {
    pub(crate) const fn new(kind: TransportErrorKind) -> Self {
        Self(kind)
    }
}

pub(crate) fn later(now: Instant, wait: Duration) -> Instant {
    now + wait
}
