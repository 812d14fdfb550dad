//! Who may stop a removal.

use std::fmt::Debug;
use std::sync::Arc;

use crate::store::EntryRef;
use crate::telemetry::Instruments;
use crate::{Counts, Origin};

/// Sees every batch of removals before the store does, and may withhold it: the place for a
/// breaker against mass pruning (R-51) or for an audit log.
///
/// ```
/// use webpush_channels::OutcomeKind;
/// use webpush_channels::channel::{Removals, RemovalHook, Review};
///
/// /// Withholds when more than a fifth of an origin's subscriptions seem gone.
/// #[derive(Debug)]
/// struct Breaker;
///
/// impl RemovalHook for Breaker {
///     fn review(&self, removals: &Removals<'_>) -> Review {
///         let gone = removals.counts[OutcomeKind::Gone];
///         if gone >= 50 && gone * 5 > removals.counts.total() { Review::Withhold } else { Review::Apply }
///     }
/// }
/// ```
pub trait RemovalHook: Debug + Send + Sync + 'static {
    /// Whether these subscriptions may be removed. Called on the task that runs the broadcast:
    /// it must not block.
    fn review(&self, removals: &Removals<'_>) -> Review;
}

impl<T: RemovalHook + ?Sized> RemovalHook for Arc<T> {
    fn review(&self, removals: &Removals<'_>) -> Review {
        (**self).review(removals)
    }
}

/// A batch of subscriptions that one push service called gone.
#[derive(Debug)]
#[non_exhaustive]
pub struct Removals<'a> {
    /// Whose answers they were.
    pub origin: &'a Origin,
    /// The origin's deliveries in this broadcast so far; for a browser vendor's push service those
    /// of all the vendor's hosts.
    pub counts: &'a Counts,
    /// What is to be removed, unless it was renewed meanwhile.
    pub entries: &'a [EntryRef],
}

/// What becomes of a batch of removals.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Review {
    /// They are removed.
    Apply,
    /// They stay; the report counts them as withheld.
    Withhold,
}

/// Counts what is reviewed. Without a hook everything is applied.
#[derive(Debug)]
pub(super) struct Counted {
    hook: Option<Arc<dyn RemovalHook>>,
    instruments: Instruments,
}

impl Counted {
    pub(super) fn new(hook: Option<Arc<dyn RemovalHook>>, instruments: &Instruments) -> Self {
        Self { hook, instruments: instruments.clone() }
    }
}

impl RemovalHook for Counted {
    fn review(&self, removals: &Removals<'_>) -> Review {
        let review = self.hook.as_ref().map_or(Review::Apply, |hook| hook.review(removals));
        let service = self.instruments.of(removals.origin.vendor());
        service.removals(removals.entries.len(), review == Review::Withhold);
        review
    }
}
