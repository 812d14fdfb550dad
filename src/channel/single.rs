//! Sends to one stored subscription, and remembers what that taught.

use super::driver::patiently;
use super::{Channels, Removals, Review};
use crate::sender::Sent;
use crate::store::{Change, Entry, StoreError};
use crate::{Counts, Message};

impl Channels {
    /// Sends `message` to one stored subscription, as [`Sender::send_to`](crate::sender::Sender::send_to)
    /// does, and applies what was learned to the store: a removal passes the
    /// [hook](super::RemovalHook) first, as those of broadcasts do. What the hook withholds is not among
    /// the [changes](Sent::changes) that are returned.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store fails. By then the message has been sent, as far as it could be.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future abandons the message: it may have been accepted or not.
    pub async fn send_to(&self, entry: &Entry, message: &Message) -> Result<Sent, StoreError> {
        let mut sent = self.sender().send_to(entry, message).await;
        self.review(entry, &mut sent);
        let changes: Vec<_> = sent.changes.iter().map(|change| (entry.reference(), *change)).collect();
        if !changes.is_empty() {
            patiently(|| self.store().apply(&changes)).await?;
        }
        Ok(sent)
    }

    fn review(&self, entry: &Entry, sent: &mut Sent) {
        let Some(hook) = &self.hub.removal_hook else { return };
        let (origin, outcome) = (entry.subscription.endpoint().origin(), sent.outcome.kind());
        hook.delivered(&origin, outcome);
        if !sent.changes.contains(&Change::Remove) {
            return;
        }
        let mut counts = Counts::default();
        counts.add(outcome, 1);
        let removals = Removals { origin: &origin, counts: &counts, entries: &[entry.reference()] };
        if hook.review(&removals) == Review::Withhold {
            sent.changes.retain(|change| *change != Change::Remove);
        }
    }
}
