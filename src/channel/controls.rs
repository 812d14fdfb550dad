//! What a running broadcast is told from elsewhere.

use std::future::pending;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::sender::Pace;
use crate::store::journal::Control;

/// Pauses a broadcast that runs here, lets it go on, and changes its rate: a handle to be used from
/// elsewhere, and cloned. What it says holds at once.
///
/// While it is paused no request starts, repeats included; what is in flight or in the encryption
/// lands. Time goes on: the messages' lifetimes and the broadcast's
/// [`send_within`](super::Broadcast::with_send_within), at whose end a paused broadcast ends, too.
///
/// Any number of broadcasts may have the same handle: each does as it says, and each has the rate
/// for itself. To end a broadcast, drop its stream or future. One that was
/// [enqueued](super::DurableChannel) is controlled by
/// [`Journal::control`](crate::store::journal::Journal::control).
///
/// ```
/// # #[cfg(feature = "testing")]
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// use std::num::NonZeroU32;
/// use webpush_channels::channel::{Broadcast, Channel, Channels, Controls};
/// # use webpush_channels::engine::vapid::{Vapid, VapidKey};
/// # use webpush_channels::sender::Sender;
/// # use webpush_channels::store::MemoryStore;
/// # use webpush_channels::testing::StubTransport;
/// # use webpush_channels::{ChannelName, Message, Payload, Ttl};
/// #
/// # let vapid = Vapid::new(VapidKey::generate()?, "mailto:ops@example.org".parse()?);
/// # let sender = Sender::builder(vapid, StubTransport::new()).build();
/// # let news = Channels::new(MemoryStore::new(), sender).channel(&ChannelName::new("news")?);
/// # let message = Message::new(Payload::new("hello")?, Ttl::hours(1));
///
/// let controls = Controls::default();
/// let broadcast = Broadcast::new(message).with_controls(&controls);
/// let sending = tokio::spawn(async move { news.publish(broadcast).await });
///
/// controls.pause();
/// controls.set_rate(NonZeroU32::new(1000)); // a minute
/// controls.resume();
/// sending.await??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct Controls(Arc<watch::Sender<Told>>);

/// What a handle says now.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Told {
    paused: bool,
    rate: Rate,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Rate {
    /// What the broadcast was made with.
    #[default]
    Own,
    Unlimited,
    PerMinute(NonZeroU32),
}

impl Default for Controls {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::default()))
    }
}

impl Controls {
    /// Starts nothing any more, until it is let go on.
    pub fn pause(&self) {
        self.tell(|told| told.paused = true);
    }

    /// Lets it go on.
    pub fn resume(&self) {
        self.tell(|told| told.paused = false);
    }

    /// The most first attempts in a minute from now on, or no limit. It takes the place of what the
    /// broadcast was made with.
    pub fn set_rate(&self, per_minute: Option<NonZeroU32>) {
        self.tell(|told| told.rate = per_minute.map_or(Rate::Unlimited, Rate::PerMinute));
    }

    /// Whether it is paused.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.0.borrow().paused
    }

    fn tell(&self, change: impl FnOnce(&mut Told)) {
        self.0.send_if_modified(|told| {
            let before = *told;
            change(told);
            *told != before
        });
    }
}

/// The rate that a broadcast is made with.
#[derive(Clone, Copy, Debug)]
pub(super) enum Speed {
    PerMinute(NonZeroU32),
    /// Its audience in this time.
    Over(Duration),
}

impl Speed {
    /// With an audience of this size.
    fn pace(self, audience: u64) -> Option<Pace> {
        match self {
            Self::PerMinute(rate) => Some(Pace::per_minute(rate)),
            Self::Over(time) => Pace::over(audience, time),
        }
    }

    /// In whole messages a minute: not slower than asked for.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates; not negative")]
    fn per_minute(self, audience: u64) -> Option<NonZeroU32> {
        match self {
            Self::PerMinute(rate) => Some(rate),
            Self::Over(time) => Pace::over(audience, time)
                .and_then(|pace| NonZeroU32::new(pace.within(Duration::from_secs(60)).ceil() as u32)),
        }
    }
}

/// What a broadcast was made with and what it is told: how fast it goes on.
#[derive(Debug)]
pub(super) struct Steering {
    told: Option<watch::Receiver<Told>>,
    /// Keeps the other end.
    _controls: Option<Controls>,
    speed: Option<Speed>,
    /// None until it is counted.
    audience: Option<u64>,
}

/// How a broadcast goes on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Course {
    pub(super) paused: bool,
    pub(super) pace: Option<Pace>,
}

impl Steering {
    pub(super) fn new(controls: Option<&Controls>, speed: Option<Speed>) -> Self {
        let told = controls.map(|controls| {
            let mut told = controls.0.subscribe();
            told.mark_changed();
            told
        });
        Self { told, _controls: controls.cloned(), speed, audience: None }
    }

    /// Whether the rate depends on the size of the audience.
    pub(super) const fn needs_count(&self) -> bool {
        matches!(self.speed, Some(Speed::Over(_)))
    }

    pub(super) const fn counted(&mut self, audience: u64) {
        self.audience = Some(audience);
    }

    /// Whether [`course`](Self::course) would be another than the last time.
    pub(super) fn has_changed(&self) -> bool {
        self.told.as_ref().is_some_and(|told| told.has_changed().unwrap_or(false))
    }

    /// How it goes on. It waits, too, until the count that its rate depends on is there.
    pub(super) fn course(&mut self) -> Course {
        let Told { paused, rate } =
            self.told.as_mut().map(|told| *told.borrow_and_update()).unwrap_or_default();
        let counting = rate == Rate::Own && self.needs_count() && self.audience.is_none();
        let pace = match rate {
            Rate::Own => self.speed.and_then(|speed| speed.pace(self.audience.unwrap_or_default())),
            Rate::Unlimited => None,
            Rate::PerMinute(rate) => Some(Pace::per_minute(rate)),
        };
        Course { paused: paused || counting, pace }
    }

    /// The same for a journal, which a count was made for where one is needed.
    pub(super) fn control(&self) -> Control {
        let Told { paused, rate } = self.told.as_ref().map(|told| *told.borrow()).unwrap_or_default();
        let per_minute = match rate {
            Rate::Own => self.speed.and_then(|speed| speed.per_minute(self.audience.unwrap_or_default())),
            Rate::Unlimited => None,
            Rate::PerMinute(rate) => Some(rate),
        };
        Control { paused, per_minute }
    }

    /// Waits until it is told something. Cancel safe.
    pub(super) async fn changed(&mut self) {
        if let Some(told) = &mut self.told
            && told.changed().await.is_ok()
        {
            // For `has_changed`: it was not looked at yet.
            told.mark_changed();
            return;
        }
        pending::<()>().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn per_minute(n: u32) -> Option<Pace> {
        NonZeroU32::new(n).map(Pace::per_minute)
    }

    #[test]
    fn what_is_told_takes_the_place_of_the_broadcasts_own_rate() {
        let controls = Controls::default();
        let mut steering = Steering::new(Some(&controls), NonZeroU32::new(7).map(Speed::PerMinute));
        assert!(steering.has_changed(), "also what was told before");
        assert_eq!(steering.course(), Course { paused: false, pace: per_minute(7) });
        assert!(!steering.has_changed());
        controls.pause();
        assert!(steering.has_changed() && controls.is_paused());
        assert_eq!(steering.course(), Course { paused: true, pace: per_minute(7) });
        controls.clone().resume();
        controls.set_rate(NonZeroU32::new(8));
        assert_eq!(steering.course(), Course { paused: false, pace: per_minute(8) });
        controls.set_rate(None);
        assert_eq!(steering.course(), Course { paused: false, pace: None });
        controls.resume();
        assert!(!steering.has_changed(), "nothing new");
    }

    #[test]
    fn a_rate_that_depends_on_the_audience_waits_for_its_size() {
        let mut steering = Steering::new(None, Some(Speed::Over(10 * MINUTE)));
        assert!(steering.course().paused);
        steering.counted(1005);
        assert_eq!(steering.course(), Course { paused: false, pace: Pace::over(1005, 10 * MINUTE) });
        assert_eq!(steering.control().per_minute, NonZeroU32::new(101), "not slower than asked for");
        steering.counted(0);
        assert_eq!(steering.course(), Course { paused: false, pace: None });
        assert_eq!(steering.control(), Control::default());

        let controls = Controls::default();
        let mut steering = Steering::new(Some(&controls), Some(Speed::Over(MINUTE)));
        controls.set_rate(NonZeroU32::new(9));
        assert_eq!(steering.course(), Course { paused: false, pace: per_minute(9) });
    }
}
