//! The requests that a hub may have in flight, over all its broadcasts.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::Notify;

use crate::sender::Shares;

pub(super) struct Gate {
    limit: usize,
    shares: Mutex<Shares>,
    freed: Notify,
}

impl Gate {
    pub(super) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit: limit.max(1), shares: Mutex::default(), freed: Notify::new() })
    }

    /// One more broadcast takes part.
    pub(super) fn join(self: &Arc<Self>) -> Share {
        Share { gate: Arc::clone(self), number: self.lock().join() }
    }

    fn lock(&self) -> MutexGuard<'_, Shares> {
        self.shares.lock().expect("no panic while counting")
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate").field("limit", &self.limit).finish_non_exhaustive()
    }
}

/// One broadcast's part of a [`Gate`].
#[derive(Debug)]
pub(super) struct Share {
    gate: Arc<Gate>,
    number: usize,
}

impl Share {
    /// The place of one more request, if there is one for this broadcast.
    pub(super) fn take(&self) -> Option<Place> {
        let mut shares = self.gate.lock();
        if shares.room(self.number, self.gate.limit) == 0 {
            return None;
        }
        shares.take(self.number);
        Some(Place { gate: Arc::clone(&self.gate), number: self.number })
    }

    /// Says whether this broadcast wants more than it has.
    pub(super) fn ask(&self, asks: bool) {
        let before = self.gate.lock().ask(self.number, asks);
        if before && !asks {
            self.gate.freed.notify_waiters();
        }
    }

    /// Waits until there may be room. Others may be faster.
    pub(super) async fn room(&self) {
        // Listening begins before looking, or a change in between is missed.
        let freed = self.gate.freed.notified();
        let room = self.gate.lock().room(self.number, self.gate.limit);
        if room == 0 {
            freed.await;
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.gate.lock().leave(self.number);
        self.gate.freed.notify_waiters();
    }
}

/// One request's place. Gives it back when dropped.
#[derive(Debug)]
pub(super) struct Place {
    gate: Arc<Gate>,
    number: usize,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut shares = self.gate.lock();
        shares.give_back(self.number);
        let short = shares.is_short();
        drop(shares);
        if short {
            self.gate.freed.notify_waiters();
        }
    }
}
