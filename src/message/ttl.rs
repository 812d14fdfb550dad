//! How long a push service keeps a message.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// How long a push service may keep a message for a device that is offline: whole seconds
/// (RFC 8030 section 5.2).
///
/// Zero means: deliver now or drop. Push services clamp long ones: FCM to 28 days, Mozilla and
/// Apple to 30 (H-6).
///
/// ```
/// use std::time::Duration;
/// use webpush_channels::Ttl;
///
/// assert_eq!(Ttl::hours(1), Ttl::from_secs(3600));
/// assert_eq!(Ttl::from(Duration::from_millis(1900)).as_secs(), 1);
/// assert_eq!("60".parse(), Ok(Ttl::from_secs(60)));
/// assert!("-1".parse::<Ttl>().is_err());
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Ttl(u32);

impl Ttl {
    /// Deliver now or drop.
    pub const ZERO: Self = Self(0);

    /// The largest that the header can say: receivers clamp what is above 2^31 (H-4).
    pub const MAX: Self = Self(1 << 31);

    /// This many seconds, clamped to [`MAX`](Self::MAX) as receivers do.
    #[must_use]
    pub const fn from_secs(seconds: u32) -> Self {
        if seconds > Self::MAX.0 { Self::MAX } else { Self(seconds) }
    }

    /// This many hours.
    #[must_use]
    pub const fn hours(hours: u16) -> Self {
        Self(hours as u32 * 3600)
    }

    /// This many days.
    #[must_use]
    pub const fn days(days: u8) -> Self {
        Self(days as u32 * 86_400)
    }

    /// Whole seconds.
    #[must_use]
    pub const fn as_secs(self) -> u32 {
        self.0
    }

    /// The same as a duration.
    #[must_use]
    pub const fn as_duration(self) -> Duration {
        Duration::from_secs(self.0 as u64)
    }
}

impl From<Duration> for Ttl {
    /// Whole seconds, rounded down and clamped.
    fn from(duration: Duration) -> Self {
        Self::from_secs(u32::try_from(duration.as_secs()).unwrap_or(u32::MAX))
    }
}

/// The text is not a [`Ttl`].
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a TTL is a whole number of seconds, at most 2147483648")]
#[non_exhaustive]
pub struct TtlError;

impl FromStr for Ttl {
    type Err = TtlError;

    fn from_str(text: &str) -> Result<Self, TtlError> {
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        text.parse().ok().filter(|seconds| digits && *seconds <= Self::MAX.0).map(Self).ok_or(TtlError)
    }
}

impl fmt::Display for Ttl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
