//! The numbers of large channels, kept for a moment: counting members takes time for each of them, and all of them ask.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;
use webpush_channels::ChannelName;

/// From so many members on, a number may be a little old.
const LARGE: u64 = 1000;
/// How old.
const GOOD_FOR: Duration = Duration::from_secs(10);
/// The most channels that nothing is known of and that are counted at once: more would take the database's connections
/// from everybody else.
const AT_ONCE: usize = 4;
/// The most channels that are remembered.
const PLACES: usize = 1024;

/// What is told about a channel.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Numbers {
    pub(crate) members: u64,
    pub(crate) accepted: u64,
}

/// What is known of a channel's numbers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Known {
    /// They are good enough.
    Numbers(Numbers),
    /// They are old: the caller counts. Until that is done others get the old ones, so that one counts and not all.
    Old,
    /// Nothing: it is small, or nobody asked.
    Nothing,
}

/// The numbers of the large channels that somebody asked for.
#[derive(Debug)]
pub(crate) struct Popular {
    known: Mutex<HashMap<ChannelName, (Instant, Numbers)>>,
    places: Semaphore,
}

impl Popular {
    pub(crate) fn new() -> Self {
        Self { known: Mutex::default(), places: Semaphore::new(AT_ONCE) }
    }

    pub(crate) fn get(&self, channel: &ChannelName, now: Instant) -> Known {
        let mut all = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((counted, numbers)) = all.get_mut(channel) else { return Known::Nothing };
        if now.saturating_duration_since(*counted) < GOOD_FOR {
            return Known::Numbers(*numbers);
        }
        *counted = now;
        Known::Old
    }

    /// Waits for a place to count at. Whoever had it before may have counted the same channel.
    pub(crate) async fn place(&self) -> SemaphorePermit<'_> {
        self.places.acquire().await.expect("the semaphore is never closed")
    }

    /// Keeps what was counted, where counting it again is dear.
    pub(crate) fn note(&self, channel: ChannelName, numbers: Numbers, now: Instant) {
        let mut all = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if numbers.members < LARGE {
            all.remove(&channel);
            return;
        }
        if all.len() >= PLACES && !all.contains_key(&channel) {
            all.retain(|_, (counted, _)| now.saturating_duration_since(*counted) < GOOD_FOR);
        }
        // Where all are in use, the others are counted each time.
        if all.len() < PLACES || all.contains_key(&channel) {
            all.insert(channel, (now, numbers));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn channel(name: &str) -> ChannelName {
        ChannelName::new(name).unwrap()
    }

    const fn numbers(members: u64) -> Numbers {
        Numbers { members, accepted: 1 }
    }

    #[test]
    fn a_small_channel_is_counted_each_time() {
        let (popular, now, news) = (Popular::new(), Instant::now(), channel("news"));
        popular.note(news.clone(), numbers(LARGE - 1), now);
        assert_eq!(popular.get(&news, now), Known::Nothing);
        // One that has become small is forgotten.
        popular.note(news.clone(), numbers(LARGE), now);
        popular.note(news.clone(), numbers(1), now);
        assert_eq!(popular.get(&news, now), Known::Nothing);
    }

    #[test]
    fn a_large_one_is_counted_by_one_when_its_numbers_are_old() {
        let (popular, now, news) = (Popular::new(), Instant::now(), channel("news"));
        popular.note(news.clone(), numbers(LARGE), now);
        assert_eq!(popular.get(&news, now + GOOD_FOR / 2), Known::Numbers(numbers(LARGE)));
        let later = now + GOOD_FOR;
        assert_eq!(popular.get(&news, later), Known::Old, "one counts");
        assert_eq!(popular.get(&news, later), Known::Numbers(numbers(LARGE)), "the others do not wait");
        popular.note(news.clone(), numbers(LARGE + 1), later);
        assert_eq!(popular.get(&news, later), Known::Numbers(numbers(LARGE + 1)));
    }

    #[test]
    fn the_table_is_bounded() {
        let (popular, now) = (Popular::new(), Instant::now());
        for n in 0..=PLACES {
            popular.note(channel(&format!("channel-{n}")), numbers(LARGE), now);
        }
        assert_eq!(popular.known.lock().unwrap().len(), PLACES);
        popular.note(channel("another"), numbers(LARGE), now + GOOD_FOR);
        assert_eq!(popular.known.lock().unwrap().len(), 1);
    }
}
