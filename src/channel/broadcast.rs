//! What is published, to whom, and what comes of it.

use std::time::Duration;

use super::Progress;
use crate::store::{Audience, Entry, StoreError};
use crate::{BroadcastId, Message, Outcome, Report, ResponseDetail};

/// One publication of a message.
///
/// ```
/// use std::time::Duration;
/// use webpush_channels::channel::Broadcast;
/// use webpush_channels::{Message, Payload, Ttl};
///
/// let broadcast = Broadcast::new(Message::new(Payload::new("goal!")?, Ttl::from_secs(60)));
/// assert_eq!(broadcast.send_within(), Duration::from_secs(3600));
/// # Ok::<(), webpush_channels::PayloadError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Broadcast {
    id: Option<BroadcastId>,
    message: Message,
    send_within: Duration,
    progress: Option<Progress>,
}

impl Broadcast {
    /// A broadcast of `message` that may take as long as the message lives, and an hour at least.
    #[must_use]
    pub fn new(message: Message) -> Self {
        let send_within = message.ttl().as_duration().max(Duration::from_secs(3600));
        Self { id: None, message, send_within, progress: None }
    }

    /// The same broadcast under a name.
    #[must_use]
    pub fn with_id(mut self, id: BroadcastId) -> Self {
        self.id = Some(id);
        self
    }

    /// The same broadcast, ending after this long: what has no outcome by then is
    /// [`Expired`](Outcome::Expired), or [`Unconfirmed`](Outcome::Unconfirmed) where a request was
    /// on its way; what was not read is left out. `Duration::MAX` is as good as no limit.
    #[must_use]
    pub const fn with_send_within(mut self, limit: Duration) -> Self {
        self.send_within = limit;
        self
    }

    /// The same broadcast, telling `progress` how far it is. The audience is counted for it.
    #[must_use]
    pub fn with_progress(mut self, progress: &Progress) -> Self {
        self.progress = Some(progress.clone());
        self
    }

    /// Its name, where it has one.
    #[must_use]
    pub const fn id(&self) -> Option<&BroadcastId> {
        self.id.as_ref()
    }

    /// What is sent.
    #[must_use]
    pub const fn message(&self) -> &Message {
        &self.message
    }

    /// How long it may take.
    #[must_use]
    pub const fn send_within(&self) -> Duration {
        self.send_within
    }

    pub(super) const fn progress(&self) -> Option<&Progress> {
        self.progress.as_ref()
    }
}

impl From<Message> for Broadcast {
    fn from(message: Message) -> Self {
        Self::new(message)
    }
}

/// A broadcast and its audience.
#[derive(Clone, Debug)]
pub struct Publication {
    audience: Audience,
    broadcast: Broadcast,
}

impl Publication {
    /// A broadcast to an audience.
    #[must_use]
    pub fn new(audience: Audience, broadcast: impl Into<Broadcast>) -> Self {
        Self { audience, broadcast: broadcast.into() }
    }

    /// To whom.
    #[must_use]
    pub const fn audience(&self) -> &Audience {
        &self.audience
    }

    /// What.
    #[must_use]
    pub const fn broadcast(&self) -> &Broadcast {
        &self.broadcast
    }

    pub(super) fn into_parts(self) -> (Audience, Broadcast) {
        (self.audience, self.broadcast)
    }
}

/// The one final result for one subscription.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Delivery {
    /// The entry as it was read.
    pub entry: Entry,
    /// How it ended.
    pub outcome: Outcome,
    /// What the push service said last, when it was no plain success.
    pub detail: Option<ResponseDetail>,
    /// How many requests were made.
    pub attempts: u8,
    /// From the first request to the end; zero when none was made.
    pub elapsed: Duration,
}

impl Delivery {
    pub(super) const fn new(
        entry: Entry,
        outcome: Outcome,
        detail: Option<ResponseDetail>,
        attempts: u8,
        elapsed: Duration,
    ) -> Self {
        Self { entry, outcome, detail, attempts, elapsed }
    }
}

/// A broadcast that could not go on. A failed delivery is no error: it is an [`Outcome`].
#[derive(Debug, thiserror::Error)]
#[error("the store failed during the broadcast, after {} of {} deliveries", .report.counts.total(), .report.read)]
#[non_exhaustive]
pub struct BroadcastError {
    /// What the store said.
    #[source]
    pub source: StoreError,
    /// What was done until then. Its counts and `pending` add up to what was read.
    pub report: Box<Report>,
}

impl BroadcastError {
    pub(super) fn new(source: StoreError, report: Report) -> Self {
        Self { source, report: Box::new(report) }
    }
}
