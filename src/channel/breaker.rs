//! Withholds removals when too many subscriptions seem gone at once (R-51).

use std::collections::HashMap;
use std::fmt;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use lru::LruCache;

mod watch;

use self::watch::{Change, Rule, Watch};
use super::{RemovalHook, Removals, Review};
use crate::{Clock, Origin, OriginLabel, OutcomeKind, SystemClock, Vendor};

/// Origins come from endpoints that strangers chose: the table of those that are no vendors' is
/// bounded (S-31).
const MAX_ORIGINS: NonZeroUsize = NonZeroUsize::new(4096).expect("not zero");

/// The [`RemovalHook`] that [`Channels`](super::Channels) have unless they are given another: when
/// too many subscriptions of one push service seem gone at once, none of them is removed (R-51).
///
/// A push service that refuses a sender may say 410 to everything, and its own mistakes look the same;
/// a subscription that was removed comes back only when its page is opened again. So, by push service
/// (a vendor's hosts are one), over all broadcasts of this process, direct and durable:
///
/// * What is watched are the last 1000 to 2000 deliveries that were accepted or gone, as far as they are
///   not older than an hour.
/// * Of these 50 at least, and clearly more than 20 %, are gone; or 50 are gone and none was accepted
///   in between: from here on removals are withheld. *Clearly* is by two standard deviations, so that
///   it makes no difference in which order a broadcast comes to its stale subscriptions.
/// * It ends when the share of the next 250 such deliveries is not too large any more, or where
///   [`allow`](Self::allow) says so. What was called gone until then stays withheld, also where it is
///   reviewed later; the next broadcast calls it gone again.
///
/// So where a push service suddenly calls everything gone, 49 subscriptions are removed. Where it does
/// that to a part, in the midst of others that are accepted, it is a quarter of what was accepted lately,
/// which is 500 at most. Each process counts for itself and begins anew: the bound is for each
/// start of each node, because a journal keeps none of this.
///
/// When it begins to withhold, and once an hour while it does, it logs an error; withheld removals are
/// counted in [`Report::withheld`](crate::Report::withheld) and by the metric
/// `webpush_removals_total`. Clones share what they know: keep one to [`allow`](Self::allow) with.
///
/// ```
/// # #[cfg(feature = "testing")]
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// use std::time::Duration;
/// use webpush_channels::channel::{Channels, MassPruneBreaker, Publication};
/// use webpush_channels::{Message, Payload, Ttl};
/// # use webpush_channels::engine::vapid::{Vapid, VapidKey};
/// # use webpush_channels::sender::Sender;
/// # use webpush_channels::store::{Audience, MemoryStore, NewEntry, SubscriptionStore as _};
/// # use webpush_channels::testing::{StubReply, StubTransport, UserAgent};
/// # use webpush_channels::UserId;
/// # let vapid = Vapid::new(VapidKey::generate()?, "mailto:ops@example.org".parse()?);
/// # let sender = Sender::builder(vapid, StubTransport::answering(|_| StubReply::status(http::StatusCode::GONE))).build();
/// # let store = MemoryStore::builder().max_subscriptions_per_user(1000.try_into()?).build();
/// # let ada = UserId::new("ada")?;
/// # let old = |n| UserAgent::seeded(1).subscribe(format!("https://push.example.net/p/{n}").parse().unwrap());
/// # store.put(&(0..60).map(|n| NewEntry::new(ada.clone(), old(n))).collect::<Vec<_>>()).await?;
/// # let origin = old(0).endpoint().origin();
/// # let publication = Publication::new(Audience::User(ada), Message::new(Payload::empty(), Ttl::ZERO));
///
/// let breaker = MassPruneBreaker::new().with_percent(10).with_minimum(20);
/// let channels = Channels::builder(store, sender).removal_hook(breaker.clone()).build();
///
/// let report = channels.publish(publication.clone()).await?;
/// assert_eq!((report.pruned, report.withheld), (0, 60));
///
/// // Somebody looked: they are browsers of years ago.
/// breaker.allow(&origin, Duration::from_secs(3600));
/// let report = channels.publish(publication).await?;
/// assert_eq!((report.pruned, report.withheld), (60, 0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[derive(Clone)]
pub struct MassPruneBreaker {
    rule: Rule,
    clock: Arc<dyn Clock>,
    table: Arc<Mutex<Table>>,
}

struct Table {
    /// These are never forgotten for strangers' origins.
    vendors: HashMap<Vendor, Watch>,
    others: LruCache<Origin, Watch>,
}

impl Default for MassPruneBreaker {
    fn default() -> Self {
        Self::new()
    }
}

impl MassPruneBreaker {
    /// The breaker with its defaults: more than 20 %, and 50 at least.
    #[must_use]
    pub fn new() -> Self {
        let table = Table { vendors: HashMap::new(), others: LruCache::new(MAX_ORIGINS) };
        Self {
            rule: Rule::default(),
            clock: Arc::new(SystemClock::new()),
            table: Arc::new(Mutex::new(table)),
        }
    }

    /// The same with another share, in percent: from 1 to 100, and the nearer of these for any other
    /// number.
    #[must_use]
    pub fn with_percent(mut self, percent: u8) -> Self {
        self.rule.percent = percent.clamp(1, 100);
        self
    }

    /// The same with another number of subscriptions that must be gone at least: what is removed before
    /// the share is looked at. Zero means one.
    #[must_use]
    pub fn with_minimum(mut self, gone: u32) -> Self {
        self.rule.minimum = gone.max(1);
        self
    }

    /// The same by another clock than the operating system's.
    #[must_use]
    pub fn with_clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Lets subscriptions of this push service be removed for so long, whatever their share: somebody
    /// looked, and they are stale. For a vendor's origin it holds for all the vendor's hosts. When the
    /// time is over, the breaker begins anew; zero ends it at once.
    ///
    /// It holds for this process. What was withheld goes with the next broadcast that reaches it.
    pub fn allow(&self, origin: &Origin, time: Duration) {
        let until = self.clock.now().checked_add(time).unwrap_or_else(far);
        self.lock().watch(origin).allow(until);
        tracing::warn!(
            service = %OriginLabel::of(origin.vendor(), origin),
            seconds = time.as_secs(),
            "removals are allowed, whatever their share"
        );
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        // A panic elsewhere leaves whole entries.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// As good as for ever.
fn far() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 36)
}

impl Table {
    fn watch(&mut self, origin: &Origin) -> &mut Watch {
        match origin.vendor() {
            Vendor::Other => self.others.get_or_insert_mut_ref(origin, Watch::default),
            vendor => self.vendors.entry(vendor).or_default(),
        }
    }
}

impl RemovalHook for MassPruneBreaker {
    fn delivered(&self, origin: &Origin, outcome: OutcomeKind) {
        let gone = match outcome {
            OutcomeKind::Gone => true,
            OutcomeKind::Accepted | OutcomeKind::AcceptedDropped => false,
            // Other outcomes do not say whether the subscription lives, and hide no share of those that do.
            _ => return,
        };
        let now = self.clock.now();
        let change = self.lock().watch(origin).delivered(gone, self.rule, now);
        Self::tell(origin, change);
    }

    fn review(&self, removals: &Removals<'_>) -> Review {
        let now = self.clock.now();
        let entries = u32::try_from(removals.entries.len()).unwrap_or(u32::MAX);
        let (withhold, change) = self.lock().watch(removals.origin).review(entries, self.rule, now);
        Self::tell(removals.origin, change);
        if withhold { Review::Withhold } else { Review::Apply }
    }
}

impl MassPruneBreaker {
    fn tell(origin: &Origin, change: Option<Change>) {
        match change {
            Some(Change::Withholds { gone, deliveries }) => tracing::error!(
                service = %OriginLabel::of(origin.vendor(), origin),
                gone,
                deliveries,
                "a push service calls many subscriptions gone at once: none of them is removed until that \
                 changes, or somebody allows it"
            ),
            Some(Change::Ends) => tracing::info!(
                service = %OriginLabel::of(origin.vendor(), origin),
                "subscriptions that are gone are removed again"
            ),
            None => {}
        }
    }
}

impl fmt::Debug for MassPruneBreaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MassPruneBreaker").field("rule", &self.rule).finish_non_exhaustive()
    }
}
