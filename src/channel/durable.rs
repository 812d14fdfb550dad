//! Broadcasts that survive this process.

use std::num::{NonZeroU16, NonZeroU32};
use std::sync::Arc;

use super::Publication;
use crate::store::Audience;
use crate::store::journal::{Begun, Journal, JournalError, JournalErrorKind, NewBroadcast, WorkerId};
use crate::{BroadcastId, ChannelName, Counts, base64url};

/// Enqueues broadcasts in a [`Journal`], for any number of [`Worker`](super::Worker)s on any
/// number of nodes. Cloning is cheap.
///
/// When [`enqueue`](Self::enqueue) has returned, which takes milliseconds whatever the size of the
/// channel, the broadcast survives a crash of everything. It is sent *at least once*: after a
/// crash, or where an answer was lost, somebody may get the message twice. Each message carries a
/// `Topic`, so that a repeat replaces the first one where that is still undelivered.
///
/// ```
/// # #[cfg(feature = "testing")]
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// use webpush_channels::channel::{Broadcast, Channels, DurableChannel, Publication, Worker};
/// use webpush_channels::engine::vapid::{Vapid, VapidKey};
/// use webpush_channels::sender::Sender;
/// use webpush_channels::store::journal::{Begun, Journal as _};
/// use webpush_channels::store::{Audience, MemoryStore};
/// use webpush_channels::testing::{StubTransport, UserAgent};
/// use webpush_channels::{BroadcastId, Message, Payload, Ttl, UserId};
/// use std::sync::Arc;
///
/// let vapid = Vapid::new(VapidKey::generate()?, "mailto:ops@example.org".parse()?);
/// let store = Arc::new(MemoryStore::new());
/// let channels = Channels::new(Arc::clone(&store), Sender::builder(vapid, StubTransport::new()).build());
/// let alice = UserId::new("alice")?;
/// let phone = UserAgent::new().subscribe("https://push.example.net/p/1".parse()?);
/// channels.subscribe(&alice, phone, None).await?;
///
/// let durable = DurableChannel::new(Arc::clone(&store));
/// let broadcast = Broadcast::new(Message::new(Payload::new("hello")?, Ttl::hours(1)))
///     .with_id(BroadcastId::new("order-17")?);
/// let publication = Publication::new(Audience::User(alice), broadcast);
/// assert_eq!(durable.enqueue(publication.clone()).await?.begun, Begun::Created);
/// // Whoever is not sure whether it worked does it again.
/// let enqueued = durable.enqueue(publication).await?;
/// assert_eq!(enqueued.begun, Begun::Known);
///
/// Worker::builder(channels, Arc::clone(&store)).build().run_until_idle().await?;
/// let report = store.report(&enqueued.id).await?.expect("it was enqueued");
/// assert_eq!(report.counts.to_string(), "accepted 1");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct DurableChannel {
    journal: Arc<dyn Journal>,
    ranges: NonZeroU16,
}

/// A broadcast that was enqueued.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Enqueued {
    /// Its name: what [`Journal::report`] is asked by.
    pub id: BroadcastId,
    /// Whether it is new, or was enqueued before.
    pub begun: Begun,
}

/// How a channel stands.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct ChannelStatistics {
    /// How many users are members now.
    pub members: u64,
    /// How many subscriptions they have now.
    pub subscriptions: u64,
    /// How many broadcasts to it have ended.
    pub broadcasts: u64,
    /// Their deliveries by outcome: how many were accepted is
    /// `counts[OutcomeKind::Accepted]`.
    pub counts: Counts,
    /// How many subscriptions they removed.
    pub pruned: u64,
}

/// Broadcasts are cut into this many ranges, so that as many leases may work on one at once.
const RANGES: NonZeroU16 = NonZeroU16::new(16).expect("not zero");

/// Of a limited rate, so many messages a minute are worth a range.
const FOR_A_RANGE: u32 = 60;

impl DurableChannel {
    /// Enqueues in this journal.
    pub fn new(journal: impl Journal) -> Self {
        Self { journal: Arc::new(journal), ranges: RANGES }
    }

    /// The same, cutting each broadcast into at most this many ranges. 16. One that begins at a limited
    /// rate is cut into no more than one for each message a second.
    #[must_use]
    pub const fn with_ranges(mut self, ranges: NonZeroU16) -> Self {
        self.ranges = ranges;
        self
    }

    /// Stores a broadcast that workers then send. Who is in the audience at this moment is meant.
    ///
    /// The broadcast's id makes it idempotent: the same publication under the same id is one
    /// broadcast, however often it is enqueued. Without an id it gets a random one. A
    /// [`Progress`](super::Progress) is not followed here: ask [`Journal::report`].
    ///
    /// A rate is kept over all workers, from the beginning; it is whole messages a minute. Of
    /// [`Controls`](super::Controls) it is only read what they say at this moment, so that a broadcast
    /// can be enqueued paused; then use [`Journal::control`]. One that is
    /// [spread over a time](super::Broadcast::spread_over) is counted first, which takes as long as
    /// [`statistics`](Self::statistics) do: some tenths of a second for a million. How fast it goes is
    /// no part of what the id stands for: enqueuing a known broadcast again at another rate changes
    /// nothing.
    ///
    /// # Errors
    ///
    /// [`EnqueueError`] when the journal fails, or when the id is another publication's; of the kind
    /// [`Invalid`](JournalErrorKind::Invalid) when the broadcast tells its subscriptions apart
    /// ([`with_payloads`](super::Broadcast::with_payloads),
    /// [`with_filter`](super::Broadcast::with_filter), [`except`](super::Broadcast::except)): no
    /// journal keeps that.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves it open whether it was enqueued. Enqueue it again under the same
    /// id.
    pub async fn enqueue(&self, publication: Publication) -> Result<Enqueued, EnqueueError> {
        let (audience, broadcast) = publication.into_parts();
        if !broadcast.tailoring().is_none() {
            let error = JournalError::new(JournalErrorKind::Invalid).with_source(Tailored);
            return Err(EnqueueError::new(error));
        }
        let id = broadcast.id().cloned().map_or_else(random_id, Ok).map_err(EnqueueError::new)?;
        let message = broadcast.message().clone();
        let mut new = NewBroadcast::new(id.clone(), audience, message, broadcast.send_within());
        let mut steering = broadcast.steering();
        if steering.needs_count() {
            let count = self.journal.count(&new.audience).await;
            steering.counted(count.map_err(|error| EnqueueError::new(error.into()))?.subscriptions);
        }
        new.control = steering.control();
        let begun = self.begin(&new).await.map_err(EnqueueError::new)?;
        tracing::info!(%id, ?begun, "a broadcast is enqueued");
        Ok(Enqueued { id, begun })
    }

    async fn begin(&self, new: &NewBroadcast) -> Result<Begun, JournalError> {
        let ranges = self.journal.split(&new.audience, self.ranges_at(new.control.per_minute)).await?;
        self.journal.begin(new, &ranges).await
    }

    /// A slow broadcast needs no leases beside one another: of a small rate they could have no parts.
    fn ranges_at(&self, per_minute: Option<NonZeroU32>) -> NonZeroU16 {
        let ranges = per_minute.map_or(u32::MAX, |rate| rate.get() / FOR_A_RANGE);
        NonZeroU16::new(u16::try_from(ranges).unwrap_or(u16::MAX)).unwrap_or(NonZeroU16::MIN).min(self.ranges)
    }

    /// The numbers of a channel, for a page that shows them.
    ///
    /// # Errors
    ///
    /// [`JournalError`] when the journal fails.
    ///
    /// # Cancel safety
    ///
    /// It only reads.
    pub async fn statistics(&self, channel: &ChannelName) -> Result<ChannelStatistics, JournalError> {
        let count = self.journal.count(&Audience::Channel(channel.clone())).await?;
        let totals = self.journal.totals(channel).await?;
        Ok(ChannelStatistics {
            members: count.members,
            subscriptions: count.subscriptions,
            broadcasts: totals.broadcasts,
            counts: totals.counts,
            pruned: totals.pruned,
        })
    }

    /// The journal: reports, failures, pauses, aborts.
    #[must_use]
    pub fn journal(&self) -> &Arc<dyn Journal> {
        &self.journal
    }
}

/// As unique as a worker's.
fn random_id() -> Result<BroadcastId, JournalError> {
    BroadcastId::new(base64url::encode(WorkerId::random().as_bytes()))
        .map_err(|error| JournalError::new(JournalErrorKind::Invalid).with_source(error))
}

/// What only this process can send.
#[derive(Debug, thiserror::Error)]
#[error(
    "a broadcast with payloads, a filter or exceptions cannot be stored: publish it from here, or enqueue one \
     for each group of users"
)]
struct Tailored;

/// A broadcast was not enqueued, as far as is known.
#[derive(Debug)]
pub struct EnqueueError {
    source: JournalError,
}

impl EnqueueError {
    const fn new(source: JournalError) -> Self {
        Self { source }
    }

    /// What kind of failure it is. [`JournalErrorKind::Conflict`]: another publication has this
    /// id.
    #[must_use]
    pub const fn kind(&self) -> JournalErrorKind {
        self.source.kind()
    }

    /// Whether enqueuing it again under the same id may succeed later.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        self.source.is_retryable()
    }
}

impl std::fmt::Display for EnqueueError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self.kind() {
            JournalErrorKind::Conflict => {
                "another publication was enqueued under this broadcast id: choose another id"
            }
            JournalErrorKind::Unavailable => {
                "the broadcast may not be enqueued: enqueue it again under the same id"
            }
            _ => "the broadcast could not be enqueued: see the cause, repeating will not help",
        })
    }
}

impl std::error::Error for EnqueueError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}
