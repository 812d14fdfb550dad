//! How urgent a message is.

use std::fmt;
use std::str::FromStr;

/// Whether a message is worth waking a device for (RFC 8030 section 5.3, in its order).
///
/// ```
/// use webpush_channels::Urgency;
///
/// assert_eq!("very-low".parse(), Ok(Urgency::VeryLow));
/// assert!(Urgency::Low < Urgency::High);
/// assert!("urgent".parse::<Urgency>().is_err());
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[allow(clippy::exhaustive_enums, reason = "RFC 8030 fixes the four values")]
pub enum Urgency {
    /// On power and Wi-Fi: advertisements.
    VeryLow,
    /// On either power or Wi-Fi: topic updates.
    Low,
    /// On neither: chat and calendar messages.
    #[default]
    Normal,
    /// Even on a low battery: calls and time-sensitive alerts.
    High,
}

impl Urgency {
    /// The value of the `Urgency` header.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::VeryLow => "very-low",
            Self::Low => "low",
            Self::Normal => "normal",
            Self::High => "high",
        }
    }
}

/// The text is not an [`Urgency`].
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("an urgency is one of very-low, low, normal, high")]
#[non_exhaustive]
pub struct UrgencyError;

impl FromStr for Urgency {
    type Err = UrgencyError;

    fn from_str(text: &str) -> Result<Self, UrgencyError> {
        [Self::VeryLow, Self::Low, Self::Normal, Self::High]
            .into_iter()
            .find(|urgency| urgency.as_str() == text)
            .ok_or(UrgencyError)
    }
}

impl fmt::Display for Urgency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
