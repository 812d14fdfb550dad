//! Entries that no client has put for a while.

use std::time::{Duration, SystemTime};

use super::{Entry, Page, Position};
use crate::clock::unix_seconds;

/// An entry, and for how long nobody has put it.
#[derive(Clone, Debug)]
#[allow(clippy::exhaustive_structs, reason = "stores build it, and it is no more than this")]
pub struct Unseen {
    /// The entry.
    pub entry: Entry,
    /// How long ago it was put last, in whole seconds, by the store's clock.
    pub age: Duration,
}

/// Some entries of [`unseen`](super::SubscriptionStore::unseen).
#[derive(Clone, Debug, Default)]
#[allow(clippy::exhaustive_structs, reason = "stores build it, and a page is no more than this")]
pub struct UnseenPage {
    /// The entries, at most as many as were asked for. May be fewer, or none, before the end.
    pub entries: Vec<Unseen>,
    /// Where to go on. `None` ends it, and only that does.
    pub next: Option<Position>,
}

impl UnseenPage {
    /// For store authors: a page of entries that were found, with their ages by the store's clock.
    ///
    /// ```
    /// use std::time::{Duration, SystemTime};
    /// use webpush_channels::store::{Entry, NewEntry, Page, UnseenPage};
    /// use webpush_channels::{Subscription, UserId};
    /// # let subscription = Subscription::from_json(r#"{"endpoint": "https://push.example.net/p/x", "keys": {
    /// #     "p256dh": "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",
    /// #     "auth": "BTBZMqHH6r4Tts7J_aSIgg"}}"#)?;
    ///
    /// let then = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    /// let entry = Entry::first(&NewEntry::new(UserId::new("alice")?, subscription), then);
    /// let page = Page { entries: vec![entry], next: None };
    /// let page = UnseenPage::at(then + Duration::from_secs(60), page);
    /// assert_eq!(page.entries[0].age, Duration::from_secs(60));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn at(now: SystemTime, page: Page) -> Self {
        let now = unix_seconds(now);
        let entries = page.entries.into_iter().map(|entry| {
            // A clock that went back makes nobody older.
            let age = now.saturating_sub(unix_seconds(entry.seen));
            Unseen { entry, age: Duration::from_secs(age) }
        });
        Self { entries: entries.collect(), next: page.next }
    }
}

/// An age in whole seconds is at least this where it is at least so long.
#[cfg(any(feature = "memory", feature = "sqlite", feature = "postgres"))]
pub(in crate::store) fn whole_seconds(for_at_least: Duration) -> u64 {
    for_at_least.as_secs().saturating_add(u64::from(for_at_least.subsec_nanos() > 0))
}

/// Who was seen in this second (since 1970) or before has not been seen for so long by `now`. Nobody
/// was where the time would lie before 1970.
#[cfg(any(feature = "memory", feature = "sqlite"))]
pub(in crate::store) fn seen_by(now: SystemTime, for_at_least: Duration) -> Option<u64> {
    // That is everybody, also after a clock went back.
    if for_at_least.is_zero() {
        return Some(u64::MAX);
    }
    unix_seconds(now).checked_sub(whole_seconds(for_at_least))
}

#[cfg(all(test, any(feature = "memory", feature = "sqlite")))]
mod tests {
    use super::*;

    #[test]
    fn ages_are_whole_seconds() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_millis(100_900);
        let second = Duration::from_secs(1);
        assert_eq!(seen_by(now, Duration::ZERO), Some(u64::MAX));
        assert_eq!(seen_by(now, second), Some(99));
        assert_eq!(seen_by(now, second + Duration::from_nanos(1)), Some(98));
        assert_eq!(seen_by(now, 100 * second), Some(0));
        assert_eq!(seen_by(now, 101 * second), None);
        assert_eq!(seen_by(now, Duration::MAX), None);
    }
}
