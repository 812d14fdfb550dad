//! One entry in hand.

use std::sync::Weak;

use tokio::time::Instant;

use super::super::encryption::BatchLane;
use super::book::Slip;
use super::flight::{Flown, Slot};
use crate::Ttl;
use crate::engine::vapid::{Keyring, Token, Vapid};
use crate::sender::Core;
use crate::sender::origin::OriginState;
use crate::sender::trial::{Made, Step, Trial};
use crate::store::Entry;

#[derive(Debug)]
pub(super) struct Job {
    pub(super) entry: Entry,
    pub(super) trial: Trial,
    /// Where it stands in the books.
    pub(super) slip: Slip,
    /// Its origin's queue.
    pub(super) queue: usize,
    /// It is counted outside the window, and written down where there is a ledger.
    pub(super) deferred: bool,
    /// What the request in flight was signed with.
    pub(super) vapid: Option<Vapid>,
    /// The request in flight, by number.
    pub(super) flight: Option<u64>,
    /// The request's place, while it holds one.
    pub(super) slot: Weak<Slot>,
    /// The request in flight does not count any more.
    pub(super) overdue: bool,
    /// The request in flight is in the books already.
    pub(super) begun: bool,
    pub(super) fare: Fare,
}

/// How the next request, where it is a retry, stands with its origin's budget.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Fare {
    /// Nobody asked.
    Open,
    /// There was nothing to pay it with.
    Waits,
    Paid,
}

impl Job {
    pub(super) fn new(entry: Entry, trial: Trial, slip: Slip, queue: usize) -> Self {
        Self {
            entry,
            trial,
            slip,
            queue,
            deferred: false,
            vapid: None,
            flight: None,
            slot: Weak::new(),
            overdue: false,
            begun: false,
            fare: Fare::Open,
        }
    }

    /// When the request in flight was handed to the transport, if there is one and it was.
    pub(super) fn sent(&self) -> Option<Instant> {
        self.flight?;
        // A slot that is gone belonged to a request that ended this moment.
        self.slot.upgrade().map_or_else(|| Some(Instant::now()), |slot| slot.started())
    }

    /// What is to be encrypted for it.
    pub(super) fn lane(&self, vapid: Vapid, token: Option<Token>, ttl: Ttl) -> BatchLane {
        let limit = self.trial.limit.or(self.entry.payload_limit);
        BatchLane { entry: self.entry.clone(), vapid, token, ttl, limit, refused: self.trial.refused }
    }

    pub(super) fn judge(
        &mut self,
        core: &Core,
        keyring: &Keyring,
        origin: &OriginState,
        has_topic: bool,
        flown: Flown,
        now: Instant,
    ) -> Step {
        let Flown { generation, body_len, has_fallback, result, .. } = flown;
        let vapid = &self.vapid.take().expect("the request was signed with it");
        let subscription = &self.entry.subscription;
        let bound = self.entry.key;
        let made =
            Made { vapid, keyring, bound, generation, has_topic, body_len, has_fallback, subscription };
        self.trial.judge(core, origin, &made, result, now)
    }
}
