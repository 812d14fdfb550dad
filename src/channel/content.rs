//! What a broadcast sends to whom: one message for all, or a payload for each subscription.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::encryption::{BatchLane, Unsent};
use crate::sender::{Core, Fitted, Fitting};
use crate::store::{Coding, Entry};
use crate::{BroadcastId, LastFailure, Message, Outcome, Payload, SkipReason, SubscriptionId};

type Payloads = dyn Fn(&Entry) -> Option<Payload> + Send + Sync;
type Filter = dyn Fn(&Entry) -> bool + Send + Sync;

/// What tells the subscriptions of one broadcast apart.
#[derive(Clone, Default)]
pub(super) struct Tailoring {
    pub(super) payloads: Option<Arc<Payloads>>,
    pub(super) filter: Option<Arc<Filter>>,
    pub(super) except: Vec<SubscriptionId>,
}

impl Tailoring {
    /// Whether all get the same.
    pub(super) const fn is_none(&self) -> bool {
        self.payloads.is_none() && self.filter.is_none() && self.except.is_empty()
    }

    /// Whether an entry is left out; none when the filter panicked.
    fn leaves_out(&self, entry: &Entry) -> Option<bool> {
        if !self.except.is_empty() && self.except.contains(&entry.subscription.id()) {
            return Some(true);
        }
        self.filter.as_ref().map_or(Some(false), |filter| guarded(|| !filter(entry)))
    }
}

/// How many there are, and nothing of what they know.
impl fmt::Debug for Tailoring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tailoring")
            .field("payloads", &self.payloads.is_some())
            .field("filter", &self.filter.is_some())
            .field("except", &self.except.len())
            .finish()
    }
}

/// A caller's function must not take more down than the entry that it was asked about.
fn guarded<T>(function: impl FnOnce() -> T) -> Option<T> {
    let result = catch_unwind(AssertUnwindSafe(function)).ok();
    if result.is_none() {
        tracing::error!("a function of the broadcast panicked: the subscription gets nothing");
    }
    result
}

/// What one broadcast sends.
#[derive(Debug)]
pub(super) struct Content {
    pub(super) message: Arc<Message>,
    /// Its repeats replace each other, where the message has no collapse key.
    pub(super) broadcast: Option<BroadcastId>,
    /// What most get: fitted once.
    usual: Option<Fitted>,
    tailoring: Tailoring,
}

impl Content {
    pub(super) fn new(
        core: &Core,
        message: Arc<Message>,
        broadcast: Option<BroadcastId>,
        tailoring: Tailoring,
    ) -> Self {
        let usual = core.fitting(Coding::Aes128Gcm, None, false);
        let usual = usual.filter(|_| tailoring.payloads.is_none());
        let usual = usual.and_then(|fitting| fitting.choose(message.payload(), &message));
        Self { message, broadcast, usual, tailoring }
    }

    /// The end of an entry that this broadcast is not for.
    pub(super) fn leaves_out(&self, entry: &Entry) -> Option<Outcome> {
        match self.tailoring.leaves_out(entry) {
            Some(false) => None,
            Some(true) => Some(Outcome::Skipped(SkipReason::Filtered)),
            None => Some(Outcome::GaveUp { last: LastFailure::Engine }),
        }
    }

    /// The end of an entry that nothing can be encrypted for.
    pub(super) fn refusal(&self, core: &Core, entry: &Entry) -> Option<Outcome> {
        if self.usual.is_some() && entry.payload_limit.is_none() && entry.coding == Coding::Aes128Gcm {
            return None;
        }
        let Some(fitting) = core.fitting(entry.coding, entry.payload_limit, false) else {
            return Some(Outcome::Skipped(SkipReason::Coding));
        };
        // A payload of its own is asked for when it is encrypted.
        let unknown = self.tailoring.payloads.is_some();
        let fits = unknown || fitting.choose(self.message.payload(), &self.message).is_some();
        (!fits).then_some(Outcome::TooLarge)
    }

    /// What all lanes of a batch get, where that is the same.
    pub(super) fn shared(&self, lanes: &[BatchLane]) -> Option<&Fitted> {
        let usual = self.usual.as_ref()?;
        let takes = |lane: &BatchLane| {
            lane.entry.coding == Coding::Aes128Gcm
                && !lane.refused
                && lane.limit.is_none_or(|limit| usual.body_len() <= usize::from(limit))
        };
        lanes.iter().all(takes).then_some(usual)
    }

    /// What one lane gets.
    pub(super) fn choose(&self, fitting: &Fitting<'_>, entry: &Entry) -> Result<Fitted, Unsent> {
        let fitted = match &self.tailoring.payloads {
            None => fitting.choose(self.message.payload(), &self.message),
            Some(payloads) => {
                let payload = guarded(|| payloads(entry)).ok_or(Unsent::Panicked)?;
                fitting.choose(&payload.ok_or(Unsent::Filtered)?, &self.message)
            }
        };
        fitted.ok_or(Unsent::TooLarge { has_fallback: false })
    }
}
