//! Changes that answers cause in the store: batched, reviewed, applied beside the sending.

use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use super::super::{RemovalHook, Tally};
use super::patience::patiently;
use super::removals::Pending;
use crate::Origin;
use crate::store::{Change, Entry, EntryRef, StoreError, SubscriptionStore};

/// Enough changes for a statement of their own.
const BATCH: usize = 256;

pub(super) struct Changes {
    store: Arc<dyn SubscriptionStore>,
    hook: Option<Arc<dyn RemovalHook>>,
    others: Vec<(EntryRef, Change)>,
    removals: Pending,
    waiting: usize,
    applying: Option<BoxFuture<'static, Result<u64, StoreError>>>,
}

impl Changes {
    pub(super) fn new(store: Arc<dyn SubscriptionStore>, hook: Option<Arc<dyn RemovalHook>>) -> Self {
        Self { store, hook, others: Vec::new(), removals: Pending::default(), waiting: 0, applying: None }
    }

    pub(super) const fn is_busy(&self) -> bool {
        self.applying.is_some()
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.waiting == 0
    }

    pub(super) fn push(&mut self, origin: &Origin, entry: &Entry, change: Change) {
        self.waiting += 1;
        let reference = entry.reference();
        if matches!(change, Change::Remove) {
            let vendor = entry.subscription.endpoint().vendor();
            self.removals.push(origin, vendor, reference);
        } else {
            self.others.push((reference, change));
        }
    }

    /// Starts to apply what waits, when that is enough or the last.
    pub(super) fn flush(&mut self, last: bool, tally: &mut Tally) {
        if self.applying.is_some() || self.waiting == 0 || (self.waiting < BATCH && !last) {
            return;
        }
        self.waiting = 0;
        let mut batch = std::mem::take(&mut self.others);
        let (removals, withheld) =
            std::mem::take(&mut self.removals).review(self.hook.as_deref(), tally.origins());
        batch.extend(removals.into_iter().map(|entry| (entry, Change::Remove)));
        tally.withheld(withheld);
        if batch.is_empty() {
            return;
        }
        let store = Arc::clone(&self.store);
        let apply = async move {
            let done = patiently(|| store.apply(&batch)).await?;
            let removed =
                |((_, change), done): &(&(_, Change), &bool)| **done && matches!(change, Change::Remove);
            Ok(batch.iter().zip(&done).filter(removed).count() as u64)
        };
        self.applying = Some(apply.boxed());
    }

    /// How many entries were removed by what was being applied.
    pub(super) async fn next(&mut self) -> Result<u64, StoreError> {
        let Some(applying) = &mut self.applying else { return Ok(0) };
        let result = applying.await;
        self.applying = None;
        result
    }
}
