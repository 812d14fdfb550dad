//! What a driver tells whoever keeps the books.

use tokio::time::Instant;

use super::super::Delivery;
use super::ledger::Ledger;
use crate::Origin;
use crate::store::Change;
use crate::store::journal::RetryId;

/// Keeps the books of what a driver does: those of a broadcast that ends here, or of a lease.
pub(super) trait Book {
    /// A request was made; `repeat`: after one that may have arrived.
    fn attempt(&mut self, slip: Slip, repeat: bool);

    /// An entry has its outcome, and what is to be remembered of it.
    fn settle(&mut self, slip: Slip, delivery: Delivery, origin: &Origin, changes: [Option<Change>; 2]);

    /// Where what has to wait is written down, so that it leaves memory; none where it waits here.
    fn ledger(&mut self) -> Option<&mut Ledger> {
        None
    }
}

/// Where an entry stands in a [`Ledger`]; nowhere where there is none.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Slip {
    /// The page that it was read with, by number.
    pub(super) page: Option<u64>,
    /// The retry that it is, or became.
    pub(super) retry: Option<RetryId>,
    /// When another worker may have it, once it was deferred without an answer.
    pub(super) handed_on: Option<Instant>,
}
