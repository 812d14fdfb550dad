//! Why a declarative message cannot be built.

use super::builder::MAX_INTEGER;
use crate::EndpointError;

/// Why a message is not one that every browser takes for declarative. Holds none of its texts.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeclarativeError {
    /// An action without a name or a title.
    #[error("actions[{index}] needs a name and a title")]
    Action {
        /// Which, from 0.
        index: usize,
    },
    /// Two actions of one name: the page could not tell which was chosen.
    #[error("actions[{index}] has the name of an earlier one: give each its own")]
    ActionName {
        /// The second, from 0.
        index: usize,
    },
    /// A badge beyond what every JSON parser reads exactly.
    #[error("`app_badge` is at most {MAX_INTEGER}")]
    AppBadge,
    /// A value has no JSON form.
    #[error("the value of `{member}` cannot be written as JSON")]
    Json {
        /// `data`, or `member` for one beside the notification.
        member: &'static str,
        /// What the value, or serde, says about it.
        source: std::sync::Arc<dyn std::error::Error + Send + Sync>,
    },
    /// Not a language tag.
    #[error("`lang` is a BCP 47 language tag, such as de or pt-BR")]
    Lang,
    /// `renotify` without a tag: creating the notification fails (D-14).
    #[error("`renotify` needs a `tag`: it says what to do when the tag's notification is replaced")]
    RenotifyWithoutTag,
    /// A member of the format, given as one of the application's.
    #[error("`{name}` is a member of the format: set it with the method of that name")]
    Reserved {
        /// Which.
        name: &'static str,
    },
    /// Silent and vibrating at once: creating the notification fails (D-14).
    #[error("a silent notification cannot vibrate: leave out `silent` or `vibrate`")]
    SilentVibration,
    /// A time before 1970 or too far ahead.
    #[error("`timestamp` is between 1970 and {MAX_INTEGER} milliseconds later")]
    Timestamp,
    /// An empty title, which Safari refuses (D-18).
    #[error("a notification needs a title that is not empty")]
    Title,
    /// A value is nested deeper than browsers read.
    #[error(
        "the message is nested deeper than 127 levels: flatten `data` and the members beside the notification"
    )]
    TooDeep,
    /// More octets than fit a push message.
    #[error(
        "a declarative message has at most {limit} octets of JSON, this one has {} too many: shorten `body` or `data`",
        len - limit
    )]
    TooLarge {
        /// Octets of JSON.
        len: usize,
        /// Octets allowed.
        limit: usize,
    },
    /// A URL that not every browser takes as it stands.
    #[error("`{member}` must be an absolute https URL")]
    Url {
        /// Which, such as `icon` or `actions[0].navigate`.
        member: String,
        /// What is wrong with it.
        source: UrlProblem,
    },
}

/// What is wrong with a URL. Never holds the URL.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum UrlProblem {
    /// A character that a URL does not have.
    #[error("a URL is ASCII: percent-encode everything else, and write a percent sign as %25")]
    Character,
    /// The host is missing, or not a DNS name or an address in its usual spelling.
    #[error("the host must be a DNS name (xn-- for other alphabets) or an address")]
    Host,
    /// No scheme and authority.
    #[error("a URL without scheme and host means another page to each browser: https://host/path")]
    NotAbsolute,
    /// A port that is empty, zero, not decimal or above 65535.
    #[error("the port must be a number from 1 to 65535")]
    Port,
    /// Another scheme.
    #[error("the scheme must be https")]
    Scheme,
    /// Longer than an [`Endpoint`](crate::Endpoint) may be.
    #[error("a URL has at most 2048 octets")]
    TooLong,
    /// A user name or password.
    #[error("a URL must have no user name and no password")]
    Userinfo,
}

impl UrlProblem {
    /// What stands before the fragment is read as an endpoint is.
    pub(super) const fn of(error: EndpointError) -> Self {
        match error {
            EndpointError::Character | EndpointError::Fragment => Self::Character,
            EndpointError::Host => Self::Host,
            EndpointError::NotAbsolute => Self::NotAbsolute,
            EndpointError::Port => Self::Port,
            EndpointError::Scheme => Self::Scheme,
            EndpointError::TooLong { .. } => Self::TooLong,
            EndpointError::Userinfo => Self::Userinfo,
        }
    }
}
