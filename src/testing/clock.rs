//! A clock that tests move.

use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use crate::Clock;

/// A [`Clock`] that stands still until it is moved.
///
/// ```
/// use std::time::Duration;
/// use webpush_channels::Clock;
/// use webpush_channels::testing::ManualClock;
///
/// let clock = ManualClock::at_unix(1_700_000_000);
/// let before = clock.now();
/// clock.advance(Duration::from_secs(60));
/// assert_eq!(clock.now(), before + Duration::from_secs(60));
/// ```
#[derive(Debug)]
pub struct ManualClock(Mutex<SystemTime>);

impl ManualClock {
    /// A clock at this time.
    #[must_use]
    pub const fn new(now: SystemTime) -> Self {
        Self(Mutex::new(now))
    }

    /// A clock at this many seconds since 1970.
    #[must_use]
    pub fn at_unix(seconds: u64) -> Self {
        Self::new(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
    }

    /// Moves it to this time, forwards or back.
    pub fn set(&self, now: SystemTime) {
        *super::lock(&self.0) = now;
    }

    /// Moves it forwards.
    pub fn advance(&self, by: Duration) {
        *super::lock(&self.0) += by;
    }
}

impl Clock for ManualClock {
    fn now(&self) -> SystemTime {
        *super::lock(&self.0)
    }
}
