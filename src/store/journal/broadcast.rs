//! A broadcast as a journal keeps it.

use std::num::NonZeroU32;
use std::time::{Duration, SystemTime};

use sha2::{Digest, Sha256};

use crate::store::Audience;
use crate::{BroadcastId, Counts, Message, Padding, Payload, Report};

/// A broadcast to be remembered: everything that a worker on another node needs to send it. The
/// payload is among it, in the clear.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct NewBroadcast {
    /// Its name: beginning it twice is beginning it once.
    pub id: BroadcastId,
    /// To whom.
    pub audience: Audience,
    /// What.
    pub message: Message,
    /// How long it may take, from its beginning.
    pub send_within: Duration,
    /// How fast it goes on at first, until [`Journal::control`](super::Journal::control) says
    /// otherwise. Unpaused and unlimited unless it is set. In a lease it says nothing: there
    /// [`Lease::control`](super::Lease::control) holds.
    pub control: Control,
}

/// In front of the hashed octets: another way to write them would be another number.
const FORMAT: u8 = 1;
/// With a fallback at the end.
const FORMAT_WITH_FALLBACK: u8 = 2;

impl NewBroadcast {
    /// A broadcast of parsed parts.
    #[must_use]
    pub const fn new(id: BroadcastId, audience: Audience, message: Message, send_within: Duration) -> Self {
        let control = Control { paused: false, per_minute: None };
        Self { id, audience, message, send_within, control }
    }

    /// A hash of everything but the id and the control: what tells a repeated publication from another one under
    /// the same id. The same in every journal and on every node. The control is no part of it, because it
    /// changes while the broadcast runs, and may depend on the size of the audience at that moment.
    ///
    /// ```
    /// use std::time::Duration;
    /// use webpush_channels::store::Audience;
    /// use webpush_channels::store::journal::NewBroadcast;
    /// use webpush_channels::{BroadcastId, ChannelName, Message, Payload, Ttl};
    ///
    /// let broadcast = |id, text| {
    ///     let message = Message::new(Payload::new(text)?, Ttl::hours(1));
    ///     let to = Audience::Channel(ChannelName::new("news")?);
    ///     Ok::<_, Box<dyn std::error::Error>>(NewBroadcast::new(
    ///         BroadcastId::new(id)?,
    ///         to,
    ///         message,
    ///         Duration::from_secs(3600),
    ///     ))
    /// };
    /// assert_eq!(broadcast("a", "goal!")?.fingerprint(), broadcast("b", "goal!")?.fingerprint());
    /// assert_ne!(broadcast("a", "goal!")?.fingerprint(), broadcast("a", "foul!")?.fingerprint());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn fingerprint(&self) -> [u8; 32] {
        let Self { id: _, audience, message, send_within, control: _ } = self;
        let (kind, name) = match audience {
            Audience::Channel(name) => (0, name.as_str()),
            Audience::User(name) => (1, name.as_str()),
        };
        let (padding, size) = match message.padding() {
            Padding::None => (0, 0),
            Padding::Fixed(size) => (1, size),
            Padding::MultipleOf(size) => (2, size.get()),
        };
        let collapse = message.collapse_key().map_or("", |key| key.as_str());
        // A message without one has the fingerprint that it had before there were any.
        let format = if message.fallback().is_some() { FORMAT_WITH_FALLBACK } else { FORMAT };
        let mut hash = Sha256::new();
        hash.update([format, kind, padding, u8::from(message.collapse_key().is_some())]);
        hash.update(size.to_be_bytes());
        hash.update(message.ttl().as_secs().to_be_bytes());
        hash.update(send_within.as_millis().to_be_bytes());
        // What varies in length carries it in front.
        let urgency = message.urgency().as_str();
        let parts = [name.as_bytes(), collapse.as_bytes(), urgency.as_bytes(), message.payload().as_bytes()];
        for part in parts.into_iter().chain(message.fallback().map(Payload::as_bytes)) {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        hash.finalize().into()
    }
}

/// What became of a beginning.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Begun {
    /// It was stored.
    Created,
    /// It was there already, the same in all but perhaps its ranges.
    Known,
}

/// How fast a broadcast goes on. By default: unpaused, without a limit of its own.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub struct Control {
    /// Whether it waits.
    pub paused: bool,
    /// The most first attempts in a minute, over all workers; in a lease and in the answer to a
    /// checkpoint, that lease's share.
    pub per_minute: Option<NonZeroU32>,
}

#[cfg(any(all(feature = "memory", feature = "channel"), feature = "sqlite", feature = "postgres"))]
impl Control {
    /// How fast each of so many leases may go: all together keep to the limit, as far as each makes
    /// some progress.
    pub(in crate::store) fn shared_by(self, leases: usize) -> Self {
        let among = u32::try_from(leases.max(1)).unwrap_or(u32::MAX);
        let share = |all: NonZeroU32| NonZeroU32::new(all.get() / among).unwrap_or(NonZeroU32::MIN);
        Self { per_minute: self.per_minute.map(share), ..self }
    }
}

/// How a broadcast stands after a checkpoint.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum State {
    /// Somebody aborted it: stop.
    Aborted,
    /// That was the last of it.
    Finished,
    /// It goes on, like this.
    Running(Control),
}

/// A broadcast, seen from outside.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Summary {
    /// Which.
    pub id: BroadcastId,
    /// To whom.
    pub audience: Audience,
    /// When it began, by the storage's clock, to the millisecond. For people, and the same whenever
    /// and wherever it is asked for: no other clock is to be compared with it, for that there is `age`.
    pub created: SystemTime,
    /// How long ago that was, by the storage's clock.
    pub age: Duration,
    /// How it stands.
    pub report: Report,
}

impl Summary {
    /// A summary of its parts.
    #[must_use]
    pub const fn new(
        id: BroadcastId,
        audience: Audience,
        created: SystemTime,
        age: Duration,
        report: Report,
    ) -> Self {
        Self { id, audience, created, age, report }
    }
}

/// What all finished broadcasts to one channel add up to.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Totals {
    /// How many there were.
    pub broadcasts: u64,
    /// Their deliveries by outcome.
    pub counts: Counts,
    /// How many subscriptions they removed.
    pub pruned: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ChannelName, Ttl};

    fn hex(fallback: Option<&'static str>) -> String {
        let mut message = Message::new(Payload::new("goal!").unwrap(), Ttl::hours(1));
        if let Some(fallback) = fallback {
            message = message.with_fallback(Payload::new(fallback).unwrap());
        }
        let to = Audience::Channel(ChannelName::new("news").unwrap());
        let new = NewBroadcast::new(BroadcastId::new("b").unwrap(), to, message, Duration::from_secs(3600));
        new.fingerprint().iter().map(|octet| format!("{octet:02x}")).collect()
    }

    /// Computed elsewhere: databases are full of them.
    #[test]
    fn fingerprints_stay_what_they_were() {
        assert_eq!(hex(None), "26db51cb003cb7133809664f55464d6bc3c3abc78bc8f0c5d2cca4062550432a");
        assert_eq!(hex(Some("!")), "b8765d8d26fc144ccac1938f41da4691f1ba72061540709d6e78bb5db661bff0");
        assert_eq!(hex(Some("")), "2bcc3070301a2bf33e59f9ffd1e518f2639be713c60389a0098272c683e52ef6");
    }
}
