//! Who may stop a removal.

use std::fmt::Debug;
use std::sync::Arc;

use crate::store::EntryRef;
use crate::telemetry::Instruments;
use crate::{Counts, Origin, OutcomeKind};

/// Sees every batch of removals before the store does, and may withhold it: the place of the breaker
/// against mass pruning (R-51), or of an audit log.
///
/// ```
/// use webpush_channels::channel::{MassPruneBreaker, RemovalHook, Removals, Review};
/// use webpush_channels::{Origin, OutcomeKind};
///
/// /// Writes down what the breaker lets through.
/// #[derive(Debug)]
/// struct Audit(MassPruneBreaker);
///
/// impl RemovalHook for Audit {
///     fn delivered(&self, origin: &Origin, outcome: OutcomeKind) {
///         self.0.delivered(origin, outcome);
///     }
///
///     fn review(&self, removals: &Removals<'_>) -> Review {
///         let review = self.0.review(removals);
///         println!("{} of {}: {review:?}", removals.entries.len(), removals.origin);
///         review
///     }
/// }
/// ```
pub trait RemovalHook: Debug + Send + Sync + 'static {
    /// Whether these subscriptions may be removed. Called on the task that runs the broadcast:
    /// it must not block.
    fn review(&self, removals: &Removals<'_>) -> Review;

    /// A delivery has its outcome: of any broadcast, in direct and in durable mode, and before a
    /// removal that it leads to is reviewed. Called for each subscription, where `review` is: it must be
    /// quick. By default it does nothing: a hook that asks another in `review` has to hand this on.
    ///
    /// What a lost lease repeats is told twice.
    fn delivered(&self, origin: &Origin, outcome: OutcomeKind) {
        let _ = (origin, outcome);
    }
}

#[deny(clippy::missing_trait_methods)]
impl<T: RemovalHook + ?Sized> RemovalHook for Arc<T> {
    fn review(&self, removals: &Removals<'_>) -> Review {
        (**self).review(removals)
    }

    fn delivered(&self, origin: &Origin, outcome: OutcomeKind) {
        (**self).delivered(origin, outcome);
    }
}

/// A batch of subscriptions that one push service called gone.
#[derive(Debug)]
#[non_exhaustive]
pub struct Removals<'a> {
    /// Whose answers they were.
    pub origin: &'a Origin,
    /// The origin's deliveries so far, in this broadcast or, in durable mode, under this lease of it;
    /// for a browser vendor's push service those of all the vendor's hosts.
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

    fn delivered(&self, origin: &Origin, outcome: OutcomeKind) {
        if let Some(hook) = &self.hook {
            hook.delivered(origin, outcome);
        }
    }
}
