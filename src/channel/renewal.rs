//! Clients that stay away: asking them to come back, and giving up.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use std::{num::NonZeroU16, vec};

use futures_core::Stream;
use futures_util::stream;

use crate::store::{Position, StoreError, SubscriptionStore, Unseen};

/// Entries of clients that stay away, with what is to be done about each. It ends after the last
/// one, or with an error.
pub type UnseenEntries =
    Pin<Box<dyn Stream<Item = Result<(Unseen, Freshness), StoreError>> + Send + 'static>>;

/// After how long a client that stays away is asked to come back, and given up.
///
/// There is no default, because a page that is opened once a year is no worse than one that is
/// opened daily. `ntfy.sh` asks after 55 days and drops after 60.
///
/// ```
/// use std::time::Duration;
/// use webpush_channels::channel::{Freshness, RenewalWindow};
///
/// const DAY: Duration = Duration::from_secs(24 * 3600);
///
/// let window = RenewalWindow::new(55 * DAY, Some(60 * DAY));
/// assert_eq!(window.freshness(54 * DAY), Freshness::Fresh);
/// assert_eq!(window.freshness(55 * DAY), Freshness::AskToRenew);
/// assert_eq!(window.freshness(60 * DAY), Freshness::Overdue);
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RenewalWindow {
    ask_after: Duration,
    drop_after: Option<Duration>,
}

/// What is to be done about a client, by how long it has stayed away.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Freshness {
    /// Nothing.
    Fresh,
    /// Ask it to come back.
    AskToRenew,
    /// It may be given up.
    Overdue,
}

impl RenewalWindow {
    /// Ask after so long, and give up after so long, or never. Where the second is not the longer
    /// one nobody is asked.
    #[must_use]
    pub const fn new(ask_after: Duration, drop_after: Option<Duration>) -> Self {
        Self { ask_after, drop_after }
    }

    /// What is to be done about a client that was last seen so long ago.
    #[must_use]
    pub fn freshness(&self, age: Duration) -> Freshness {
        if self.drop_after.is_some_and(|drop_after| age >= drop_after) {
            Freshness::Overdue
        } else if age >= self.ask_after {
            Freshness::AskToRenew
        } else {
            Freshness::Fresh
        }
    }

    /// From this age on something is to be done.
    fn begin(&self) -> Duration {
        self.drop_after.map_or(self.ask_after, |drop_after| drop_after.min(self.ask_after))
    }
}

/// Small, because each entry may take a push, and the page grows old meanwhile.
const PAGE: NonZeroU16 = NonZeroU16::new(100).expect("not zero");

/// How far the reading is.
struct Reading {
    store: Arc<dyn SubscriptionStore>,
    window: RenewalWindow,
    after: Option<Position>,
    ended: bool,
    found: vec::IntoIter<Unseen>,
}

pub(super) fn unseen(store: Arc<dyn SubscriptionStore>, window: RenewalWindow) -> UnseenEntries {
    let start = Reading { store, window, after: None, ended: false, found: Vec::new().into_iter() };
    Box::pin(stream::try_unfold(start, |mut reading| async move {
        let next = reading.next().await?;
        Ok(next.map(|next| (next, reading)))
    }))
}

impl Reading {
    async fn next(&mut self) -> Result<Option<(Unseen, Freshness)>, StoreError> {
        loop {
            if let Some(unseen) = self.found.next() {
                let freshness = self.window.freshness(unseen.age);
                return Ok(Some((unseen, freshness)));
            }
            if self.ended {
                return Ok(None);
            }
            // A store that always answers at once must not keep other tasks from running.
            tokio::task::consume_budget().await;
            let page = self.store.unseen(self.window.begin(), self.after.as_ref(), PAGE).await?;
            (self.after, self.ended) = (page.next, page.next.is_none());
            self.found = page.entries.into_iter();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 3600);

    #[test]
    fn a_window_has_two_ends_or_one() {
        let never = RenewalWindow::new(2 * DAY, None);
        assert_eq!((never.freshness(Duration::MAX), never.begin()), (Freshness::AskToRenew, 2 * DAY));
        let backwards = RenewalWindow::new(3 * DAY, Some(2 * DAY));
        assert_eq!((backwards.freshness(2 * DAY), backwards.begin()), (Freshness::Overdue, 2 * DAY));
        assert_eq!(backwards.freshness(DAY), Freshness::Fresh);
    }
}
