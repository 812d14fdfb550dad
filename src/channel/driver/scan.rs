//! Reads the audience, page by page.

use std::collections::VecDeque;
use std::num::NonZeroU16;
use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tracing::Instrument as _;

use super::super::Progress;
use super::patience::patiently;
use crate::store::{Audience, Page, Position, Range, StoreError, SubscriptionStore};

/// The largest page.
pub(super) const MAX_PAGE: u16 = 1000;

pub(super) struct Scan {
    store: Arc<dyn SubscriptionStore>,
    audience: Audience,
    ranges: VecDeque<Range>,
    after: Option<Position>,
    state: State,
}

enum State {
    Unsplit,
    Idle,
    Busy(BoxFuture<'static, Result<Step, StoreError>>),
    /// Every entry was read.
    Exhausted,
    /// Reading ended before.
    Stopped,
}

enum Step {
    Split(Vec<Range>),
    Page(Page),
}

impl Scan {
    pub(super) fn new(store: Arc<dyn SubscriptionStore>, audience: Audience) -> Self {
        Self { store, audience, ranges: VecDeque::new(), after: None, state: State::Unsplit }
    }

    /// Goes on with one range after a position.
    pub(super) fn resume(
        store: Arc<dyn SubscriptionStore>,
        audience: Audience,
        range: Range,
        after: Option<Position>,
    ) -> Self {
        Self { store, audience, ranges: [range].into(), after, state: State::Idle }
    }

    /// Reads nothing.
    pub(super) fn nothing(store: Arc<dyn SubscriptionStore>, audience: Audience) -> Self {
        Self { store, audience, ranges: VecDeque::new(), after: None, state: State::Exhausted }
    }

    pub(super) const fn is_busy(&self) -> bool {
        matches!(self.state, State::Busy(_))
    }

    pub(super) const fn is_unsplit(&self) -> bool {
        matches!(self.state, State::Unsplit)
    }

    pub(super) const fn is_idle(&self) -> bool {
        matches!(self.state, State::Idle)
    }

    pub(super) const fn is_done(&self) -> bool {
        matches!(self.state, State::Exhausted | State::Stopped)
    }

    pub(super) const fn is_exhausted(&self) -> bool {
        matches!(self.state, State::Exhausted)
    }

    pub(super) fn stop(&mut self) {
        if !self.is_exhausted() {
            self.state = State::Stopped;
        }
    }

    /// Asks for up to `room` entries, unless it was asked before.
    pub(super) fn read_on(&mut self, room: usize) {
        let store = Arc::clone(&self.store);
        let to = self.audience.clone();
        match self.state {
            State::Unsplit => {
                let split =
                    async move { patiently(|| store.split(&to, NonZeroU16::MIN)).await.map(Step::Split) };
                self.state = State::Busy(split.boxed());
            }
            State::Idle => {
                let Some(limit) = u16::try_from(room).unwrap_or(MAX_PAGE).min(MAX_PAGE).try_into().ok()
                else {
                    return;
                };
                let Some(range) = self.ranges.front().copied() else { return };
                let after = self.after;
                let span = tracing::debug_span!("page", limit);
                let page = async move {
                    patiently(|| store.page(&to, &range, after.as_ref(), limit)).await.map(Step::Page)
                };
                self.state = State::Busy(page.instrument(span).boxed());
            }
            State::Busy(_) | State::Exhausted | State::Stopped => {}
        }
    }

    /// The page that was asked for; nothing when that was the split.
    pub(super) async fn next(&mut self) -> Result<Page, StoreError> {
        let State::Busy(future) = &mut self.state else { return Ok(Page::default()) };
        let step = future.await;
        self.state = State::Idle;
        let page = match step? {
            Step::Split(ranges) => {
                self.ranges = ranges.into();
                Page::default()
            }
            Step::Page(page) => {
                self.after = page.next;
                if self.after.is_none() {
                    self.ranges.pop_front();
                }
                page
            }
        };
        if self.ranges.is_empty() {
            self.state = State::Exhausted;
        }
        Ok(page)
    }
}

/// Counts the audience, for a progress display too. A failure leaves the total there unknown.
pub(super) fn count(
    store: &Arc<dyn SubscriptionStore>,
    audience: &Audience,
    progress: Option<&Progress>,
) -> BoxFuture<'static, Result<u64, StoreError>> {
    let (store, audience, progress) = (Arc::clone(store), audience.clone(), progress.cloned());
    async move {
        let count = patiently(|| store.count(&audience)).await?;
        if let Some(progress) = progress {
            progress.set_total(count.subscriptions);
        }
        Ok(count.subscriptions)
    }
    .boxed()
}
