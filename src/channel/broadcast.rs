//! What is published, to whom, and what comes of it.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use super::content::Tailoring;
use super::controls::{Speed, Steering};
use super::{Controls, Progress};
use crate::store::{Audience, Entry, StoreError};
use crate::{BroadcastId, Message, Outcome, Payload, Report, ResponseDetail, SubscriptionId};

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
    tailoring: Tailoring,
    speed: Option<Speed>,
    controls: Option<Controls>,
}

impl Broadcast {
    /// A broadcast of `message` that may take as long as the message lives, and an hour at least.
    #[must_use]
    pub fn new(message: Message) -> Self {
        let send_within = message.ttl().as_duration().max(Duration::from_secs(3600));
        Self {
            id: None,
            message,
            send_within,
            progress: None,
            tailoring: Tailoring::default(),
            speed: None,
            controls: None,
        }
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

    /// The same broadcast with a payload for each subscription instead of the message's: in its
    /// language, with its badge count. None is no message for it:
    /// [`Filtered`](crate::SkipReason::Filtered).
    ///
    /// The function is called once for each attempt, on the threads that encrypt
    /// ([`Limits`](super::Limits)) or, without such threads, where the broadcast is polled. Nothing
    /// of what it returns is kept while an entry waits, so that memory stays bounded. It must be
    /// pure, quick (it runs beside encryptions of 50 microseconds) and never block: what it needs
    /// is in memory before the broadcast begins. Where it panics, that one subscription has
    /// [`GaveUp`](Outcome::GaveUp). Equal payloads are encrypted in one batch. Padding, the rest of
    /// the message and its [fallback](Message::with_fallback) hold for every payload.
    ///
    /// Only for broadcasts that are sent from here: a function cannot be enqueued.
    ///
    /// ```
    /// # #[cfg(feature = "testing")]
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// use std::collections::HashMap;
    /// use webpush_channels::channel::{Broadcast, Channels, Publication};
    /// use webpush_channels::store::{Audience, MemoryStore};
    /// use webpush_channels::{Message, Payload, Ttl, UserId};
    /// # use webpush_channels::engine::vapid::{Vapid, VapidKey};
    /// # use webpush_channels::sender::Sender;
    /// # use webpush_channels::testing::{StubTransport, UserAgent};
    ///
    /// # let vapid = Vapid::new(VapidKey::generate()?, "mailto:ops@example.org".parse()?);
    /// # let sender = Sender::builder(vapid, StubTransport::new()).build();
    /// let channels = Channels::new(MemoryStore::new(), sender);
    /// # let ada = UserId::new("ada")?;
    /// # let phone = UserAgent::new().subscribe("https://push.example.net/p/1".parse()?);
    /// # let laptop = UserAgent::new().subscribe("https://push.example.net/p/2".parse()?);
    /// # let her_laptop = laptop.id();
    /// # channels.subscribe(&ada, phone, None).await?;
    /// # channels.subscribe(&ada, laptop, None).await?;
    /// let (hello, bonjour) = (Payload::new("hello")?, Payload::new("bonjour")?);
    /// let speaks_french = HashMap::from([(UserId::new("ada")?, true)]);
    /// let broadcast = Broadcast::new(Message::new(hello.clone(), Ttl::hours(1)))
    ///     .with_payloads(move |entry| {
    ///         let french = speaks_french.get(&entry.user).is_some_and(|french| *french);
    ///         Some(if french { bonjour.clone() } else { hello.clone() })
    ///     })
    ///     .except(her_laptop); // where it was written
    /// let report = channels.publish(Publication::new(Audience::User(ada), broadcast)).await?;
    /// assert_eq!(report.counts.to_string(), "accepted 1, skipped 1");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    #[must_use]
    pub fn with_payloads(
        mut self,
        payloads: impl Fn(&Entry) -> Option<Payload> + Send + Sync + 'static,
    ) -> Self {
        self.tailoring.payloads = Some(Arc::new(payloads));
        self
    }

    /// The same broadcast for those entries only for which this is true; to the others nothing is
    /// sent, and they count as skipped ([`Filtered`](crate::SkipReason::Filtered)). A later filter
    /// takes the place of an earlier one.
    ///
    /// It is called once for each entry that is read, where the broadcast is polled: it must be
    /// pure, quick and never block. Where it panics, that one entry has
    /// [`GaveUp`](Outcome::GaveUp). Only for broadcasts that are sent from here.
    #[must_use]
    pub fn with_filter(mut self, keep: impl Fn(&Entry) -> bool + Send + Sync + 'static) -> Self {
        self.tailoring.filter = Some(Arc::new(keep));
        self
    }

    /// The same broadcast without this subscription, which counts as skipped
    /// ([`Filtered`](crate::SkipReason::Filtered)): the device that the message was written on, for
    /// instance. May be given several times. Only for broadcasts that are sent from here.
    #[must_use]
    pub fn except(mut self, subscription: SubscriptionId) -> Self {
        self.tailoring.except.push(subscription);
        self
    }

    /// The same broadcast at a limited rate: the most first attempts in a minute. Repeats are not
    /// counted; they are few, and their own pauses hold them back. They are spread evenly, and what was
    /// not sent within the last second may be made up for. Whoever is left out or cannot be sent to uses
    /// up its part: the audience is read at this rate.
    ///
    /// Whoever was not reached when [`send_within`](Self::with_send_within) is over is left out. It
    /// takes the place of [`spread_over`](Self::spread_over), and the other way round.
    #[must_use]
    pub const fn with_rate(mut self, per_minute: NonZeroU32) -> Self {
        self.speed = Some(Speed::PerMinute(per_minute));
        self
    }

    /// The same broadcast, spread evenly over this long: at the rate at which its audience is through
    /// by then. [`send_within`](Self::send_within) becomes an hour more than that where it was less.
    ///
    /// The audience is counted at the start, and nothing is sent before. A store that cannot count
    /// it ends the broadcast with its error, because to send without a limit is not what was asked
    /// for. An enqueued broadcast is spread at whole messages a minute, one at least.
    ///
    /// ```
    /// use std::time::Duration;
    /// use webpush_channels::channel::Broadcast;
    /// use webpush_channels::{Message, Payload, Ttl};
    ///
    /// let message = Message::new(Payload::new("Tomorrow's timetable")?, Ttl::hours(12));
    /// let broadcast = Broadcast::new(message).spread_over(Duration::from_secs(10 * 60));
    /// assert_eq!(broadcast.send_within(), Duration::from_secs(12 * 3600));
    /// # Ok::<(), webpush_channels::PayloadError>(())
    /// ```
    #[must_use]
    pub fn spread_over(mut self, time: Duration) -> Self {
        self.speed = Some(Speed::Over(time));
        self.send_within = self.send_within.max(time.saturating_add(Duration::from_secs(3600)));
        self
    }

    /// The same broadcast, doing as these controls say while it runs.
    #[must_use]
    pub fn with_controls(mut self, controls: &Controls) -> Self {
        self.controls = Some(controls.clone());
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

    pub(super) const fn tailoring(&self) -> &Tailoring {
        &self.tailoring
    }

    pub(super) fn steering(&self) -> Steering {
        Steering::new(self.controls.as_ref(), self.speed)
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

/// What kind of audience it is, for spans: they name nobody.
pub(super) const fn kind(audience: &Audience) -> &'static str {
    match audience {
        Audience::Channel(_) => "channel",
        Audience::User(_) => "user",
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
