//! How far a broadcast is, while it runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// How far a broadcast is: a handle to look at from elsewhere while it runs.
///
/// ```
/// use webpush_channels::channel::{Broadcast, Progress};
/// use webpush_channels::{Message, Payload, Ttl};
///
/// let progress = Progress::default();
/// let broadcast = Broadcast::new(Message::new(Payload::empty(), Ttl::ZERO)).with_progress(&progress);
/// assert_eq!(progress.snapshot().done, 0);
/// # drop(broadcast);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Progress(Arc<Numbers>);

#[derive(Debug, Default)]
struct Numbers {
    /// Plus one, so that zero is "unknown".
    total: AtomicU64,
    read: AtomicU64,
    done: AtomicU64,
    accepted: AtomicU64,
    attempts: AtomicU64,
}

/// [`Progress`] at one moment.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Snapshot {
    /// How many subscriptions the audience had at the start, once the store counted them.
    pub total: Option<u64>,
    /// How many were read.
    pub read: u64,
    /// How many have their outcome.
    pub done: u64,
    /// How many were accepted.
    pub accepted: u64,
    /// How many requests have ended.
    pub attempts: u64,
}

impl Progress {
    /// The numbers now.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let load = |number: &AtomicU64| number.load(Ordering::Relaxed);
        Snapshot {
            total: load(&self.0.total).checked_sub(1),
            read: load(&self.0.read),
            done: load(&self.0.done),
            accepted: load(&self.0.accepted),
            attempts: load(&self.0.attempts),
        }
    }

    pub(super) fn set_total(&self, subscriptions: u64) {
        self.0.total.store(subscriptions.saturating_add(1), Ordering::Relaxed);
    }

    pub(super) fn add_read(&self, n: u64) {
        self.0.read.fetch_add(n, Ordering::Relaxed);
    }

    pub(super) fn add_done(&self, accepted: bool) {
        self.0.done.fetch_add(1, Ordering::Relaxed);
        if accepted {
            self.0.accepted.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn add_attempt(&self) {
        self.0.attempts.fetch_add(1, Ordering::Relaxed);
    }
}
