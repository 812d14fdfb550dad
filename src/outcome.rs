//! What became of one subscription's message.

use std::fmt;

use crate::{Endpoint, PolicyError, Ttl};

/// The final result for one subscription: exactly one for each entry that a broadcast read.
///
/// ```
/// use webpush_channels::{Outcome, OutcomeKind, SkipReason};
///
/// let outcome = Outcome::Skipped(SkipReason::Expired);
/// assert_eq!(outcome.kind(), OutcomeKind::Skipped);
/// assert_eq!(OutcomeKind::AuthRefused.as_str(), "auth_refused");
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Outcome {
    /// The push service took the message (RFC 8030 section 5). Whether a person saw it, nobody
    /// knows.
    Accepted {
        /// The push message resource, where the answer named one.
        message_url: Option<MessageUrl>,
        /// The lifetime that the push service granted, where it said so.
        granted_ttl: Option<Ttl>,
        /// Where it will say that the message arrived, where receipts were asked for and it offers
        /// them (202). Senders do not ask (H-18).
        receipt_url: Option<ReceiptUrl>,
    },
    /// The push service answered with success and said that it dropped the message (WNS).
    AcceptedDropped,
    /// The push service refuses our VAPID token or key, a fresh token too; or nothing was sent
    /// because it refused those of others just before. Our fault: check the key, the contact and
    /// the clock.
    AuthRefused,
    /// The push service found the request wrong. Our fault, and permanent for this message.
    BadRequest,
    /// The message's lifetime or the broadcast's time was used up.
    Expired,
    /// All attempts failed.
    GaveUp {
        /// Why the last one failed.
        last: LastFailure,
    },
    /// The subscription does not exist any more (404, 410). It is removed from the store.
    Gone,
    /// The subscription is bound to another VAPID key. It is kept: the client must subscribe
    /// anew.
    KeyMismatch,
    /// The push service redirects. Redirects are not followed (R-40).
    Moved {
        /// Where to, when it is a usable URL of the same origin.
        location: Option<Endpoint>,
        /// Whether the answer said that it is for good (301, 308).
        permanent: bool,
    },
    /// The endpoint, or the address behind it, is not one that the policy allows.
    Refused(Refusal),
    /// The push service refuses us as a sender.
    SenderBlocked,
    /// Nothing was sent, and the reason is in the subscription.
    Skipped(SkipReason),
    /// All attempts were answered with "slow down".
    Throttled,
    /// The payload is larger than this subscription takes.
    TooLarge,
    /// The last request may have arrived or not. It was not repeated because that might show the
    /// message twice (give it a collapse key to have it repeated, H-21), or because it could not be
    /// any more: no try, no time or no key is left.
    Unconfirmed,
    /// An answer that no rule covers.
    Unexpected,
}

impl Outcome {
    /// The outcome without its details, for counting.
    #[must_use]
    pub const fn kind(&self) -> OutcomeKind {
        match self {
            Self::Accepted { .. } => OutcomeKind::Accepted,
            Self::AcceptedDropped => OutcomeKind::AcceptedDropped,
            Self::AuthRefused => OutcomeKind::AuthRefused,
            Self::BadRequest => OutcomeKind::BadRequest,
            Self::Expired => OutcomeKind::Expired,
            Self::GaveUp { .. } => OutcomeKind::GaveUp,
            Self::Gone => OutcomeKind::Gone,
            Self::KeyMismatch => OutcomeKind::KeyMismatch,
            Self::Moved { .. } => OutcomeKind::Moved,
            Self::Refused(_) => OutcomeKind::Refused,
            Self::SenderBlocked => OutcomeKind::SenderBlocked,
            Self::Skipped(_) => OutcomeKind::Skipped,
            Self::Throttled => OutcomeKind::Throttled,
            Self::TooLarge => OutcomeKind::TooLarge,
            Self::Unconfirmed => OutcomeKind::Unconfirmed,
            Self::Unexpected => OutcomeKind::Unexpected,
        }
    }

    /// The resource of an accepted message, where the push service named one: what
    /// `Sender::cancel` takes it back with.
    #[must_use]
    pub const fn message_url(&self) -> Option<&MessageUrl> {
        match self {
            Self::Accepted { message_url, .. } => message_url.as_ref(),
            _ => None,
        }
    }

    /// Whether the push service took the message.
    #[must_use]
    pub const fn is_accepted(&self) -> bool {
        matches!(self, Self::Accepted { .. })
    }
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident = $text:literal,)*) => {
        /// An [`Outcome`] without its details: what counts are kept of.
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        #[non_exhaustive]
        pub enum OutcomeKind {
            $($(#[$doc])* $kind,)*
        }

        impl OutcomeKind {
            /// Every kind, in order.
            pub const ALL: &'static [Self] = &[$(Self::$kind,)*];

            /// The kind as a word, for reports and metrics.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$kind => $text,)*
                }
            }
        }
    };
}

kinds! {
    /// [`Outcome::Accepted`].
    Accepted = "accepted",
    /// [`Outcome::AcceptedDropped`].
    AcceptedDropped = "accepted_dropped",
    /// [`Outcome::AuthRefused`].
    AuthRefused = "auth_refused",
    /// [`Outcome::BadRequest`].
    BadRequest = "bad_request",
    /// [`Outcome::Expired`].
    Expired = "expired",
    /// [`Outcome::GaveUp`].
    GaveUp = "gave_up",
    /// [`Outcome::Gone`].
    Gone = "gone",
    /// [`Outcome::KeyMismatch`].
    KeyMismatch = "key_mismatch",
    /// [`Outcome::Moved`].
    Moved = "moved",
    /// [`Outcome::Refused`].
    Refused = "refused",
    /// [`Outcome::SenderBlocked`].
    SenderBlocked = "sender_blocked",
    /// [`Outcome::Skipped`].
    Skipped = "skipped",
    /// [`Outcome::Throttled`].
    Throttled = "throttled",
    /// [`Outcome::TooLarge`].
    TooLarge = "too_large",
    /// [`Outcome::Unconfirmed`].
    Unconfirmed = "unconfirmed",
    /// [`Outcome::Unexpected`].
    Unexpected = "unexpected",
}

impl fmt::Display for OutcomeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why an endpoint was refused.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Refusal {
    /// Its name leads to an address that the policy forbids (S-4).
    Address,
    /// The URL breaks the policy.
    Policy(PolicyError),
}

/// Why nothing was sent.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum SkipReason {
    /// The subscription's `expirationTime` has passed (R-52).
    Expired,
    /// The subscription is bound to a VAPID key that this sender does not have, or waits for its
    /// client to subscribe anew.
    NeedsRenewal,
    /// The subscription asks for a content coding that no encryptor of this sender writes.
    Coding,
    /// The broadcast leaves it out: by its filter, by its exceptions, or because there is no
    /// payload for it.
    Filtered,
    /// The subscription was removed between the first attempt and a retry.
    Removed,
}

/// Why the last attempt failed.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum LastFailure {
    /// The message could not be encrypted or signed.
    Engine,
    /// The push service answered with this status.
    Status(u16),
    /// No status arrived: the kind of transport error, as a word.
    Transport(&'static str),
}

impl fmt::Display for LastFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Engine => f.write_str("the message could not be encrypted or signed"),
            Self::Status(status) => write!(f, "status {status}"),
            Self::Transport(kind) => f.write_str(kind),
        }
    }
}

macro_rules! capability {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Eq, PartialEq)]
        pub struct $name(Box<str>);

        impl $name {
            /// The URL. Secret.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        /// For a URL that was kept as text: it parses as an [`Endpoint`] does.
        impl From<Endpoint> for $name {
            fn from(url: Endpoint) -> Self {
                Self(String::from(url).into())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "([redacted])"))
            }
        }
    };
}

capability! {
    /// The push message resource of an accepted message (H-15). A capability: whoever has it may
    /// read or delete the message where the push service supports it (`Sender::cancel`,
    /// [`engine::cancel`](crate::engine::cancel)). `Debug` hides it.
    MessageUrl
}

capability! {
    /// The receipt subscription resource that came with an accepted message (H-17): where the
    /// push service says which messages arrived. A capability as well: whoever has it may read the
    /// receipts of this sender. `Debug` hides it.
    ///
    /// Receipts come by HTTP/2 server push, which no client here takes, and no vendor is known to
    /// give any (H-18): this is kept for those who run a push service that does. Give it to the
    /// next request to the same origin: see
    /// [`PushRequest::with_receipts`](crate::engine::request::PushRequest::with_receipts).
    ReceiptUrl
}

impl MessageUrl {
    /// A URL at the origin of `endpoint`, or an absolute path there: what push services answer
    /// with, and nothing before the path needs to be parsed.
    pub(crate) fn at_origin_of(endpoint: &Endpoint, reference: &str) -> Option<Self> {
        let origin = endpoint.origin_str();
        let path = match reference.strip_prefix(origin) {
            Some(path) => path,
            // `//host` leads elsewhere.
            None => Some(reference).filter(|path| !path.starts_with("//"))?,
        };
        let url = [origin, path].concat();
        (path.starts_with('/') && Endpoint::has_usable_characters(&url)).then(|| Self(url.into()))
    }
}

/// What a push service said with a status that was no plain success: for the operator's logs.
///
/// The text comes from a stranger: it is cut to 256 characters, and control characters are
/// replaced (S-9). Do not show it to end users.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct ResponseDetail {
    /// The HTTP status.
    pub status: u16,
    /// The push service's own reason: Apple's `reason`, Mozilla's `errno` and message, FCM's
    /// sentence, WNS's header.
    pub reason: Option<Box<str>>,
    /// What usually causes it and what to do, for the reasons that are known.
    pub advice: Option<&'static str>,
}

impl fmt::Display for ResponseDetail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "status {}", self.status)?;
        if let Some(reason) = &self.reason {
            write!(f, ", {reason}")?;
        }
        self.advice.map_or(Ok(()), |advice| write!(f, " ({advice})"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_detail_reads_as_one_line() {
        let detail =
            ResponseDetail { status: 403, reason: Some("BadJwtToken".into()), advice: Some("check `sub`") };
        assert_eq!(detail.to_string(), "status 403, BadJwtToken (check `sub`)");
    }

    #[test]
    fn a_message_url_is_not_printed() {
        let url = MessageUrl::from("https://push.example.net/m/secret".parse::<Endpoint>().unwrap());
        let receipt_url = Some("https://push.example.net/r/secret".parse::<Endpoint>().unwrap().into());
        let outcome = Outcome::Accepted { message_url: Some(url.clone()), granted_ttl: None, receipt_url };
        assert_eq!(
            format!("{outcome:?}"),
            "Accepted { message_url: Some(MessageUrl([redacted])), granted_ttl: None, \
             receipt_url: Some(ReceiptUrl([redacted])) }"
        );
        assert_eq!(outcome.message_url(), Some(&url));
        assert!(url.as_str().ends_with("secret"));
    }
}
