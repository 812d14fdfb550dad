//! Wall time, injected.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::SystemTime;

/// Tells the wall time: VAPID `exp`, `expirationTime` and HTTP dates compare with it, nothing
/// else does. Delays and deadlines run on the runtime's monotonic timer.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use webpush_channels::Clock;
///
/// #[derive(Debug)]
/// struct Frozen;
///
/// impl Clock for Frozen {
///     fn now(&self) -> SystemTime {
///         SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000)
///     }
/// }
///
/// assert_eq!(Frozen.now(), Frozen.now());
/// ```
pub trait Clock: Debug + Send + Sync + 'static {
    /// The wall time now.
    fn now(&self) -> SystemTime;
}

impl<T: Clock + ?Sized> Clock for Arc<T> {
    fn now(&self) -> SystemTime {
        (**self).now()
    }
}

/// The operating system's clock.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct SystemClock;

impl SystemClock {
    /// The clock.
    #[must_use]
    pub const fn new() -> Self {
        Self
    }
}

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods, reason = "the one place that reads the wall clock")]
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }
}

/// Whole seconds since 1970, zero before.
pub(crate) fn unix_seconds(at: SystemTime) -> u64 {
    at.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
