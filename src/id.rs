//! Names that callers choose ([`UserId`], [`ChannelName`], [`BroadcastId`]) and the one that is
//! computed ([`KeyId`]).

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::base64url;

/// Why a name was refused.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// The name has no characters.
    #[error("a {what} must not be empty")]
    Empty {
        /// The kind of name.
        what: &'static str,
    },
    /// The name is longer than its kind allows.
    #[error("a {what} holds at most {limit} octets of UTF-8, this one has {len}")]
    TooLong {
        /// The kind of name.
        what: &'static str,
        /// Octets found.
        len: usize,
        /// Octets allowed.
        limit: usize,
    },
    /// The name holds a control character (line breaks and NUL are among them).
    #[error("a {what} must not hold control characters")]
    Control {
        /// The kind of name.
        what: &'static str,
    },
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal, $limit:literal) => {
        $(#[$doc])*
        ///
        /// Cloning is cheap: the text is shared.
        #[derive(Clone, Eq, Hash, Ord, PartialEq, PartialOrd, Deserialize, Serialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// The most octets of UTF-8 that a name of this kind may have.
            pub const MAX_LEN: usize = $limit;

            /// Parses a name.
            ///
            /// # Errors
            ///
            /// [`NameError`] when the text is empty, too long or holds a control character.
            pub fn new(text: impl AsRef<str>) -> Result<Self, NameError> {
                checked($what, $limit, text.as_ref()).map(|text| Self(text.into()))
            }

            /// The text as it was given.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({:?})"), &self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::new(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;

            fn try_from(text: String) -> Result<Self, NameError> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0.as_ref().to_owned()
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

name! {
    /// The application's own name for a person or account: who owns subscriptions and joins
    /// channels.
    ///
    /// It must come from the session that the application authenticated, never from a request
    /// body (S-10): whoever chooses it chooses whose devices receive.
    ///
    /// ```
    /// use webpush_channels::UserId;
    ///
    /// assert_eq!(UserId::new("alice")?.as_str(), "alice");
    /// assert!(UserId::new("a\nb").is_err());
    /// # Ok::<(), webpush_channels::NameError>(())
    /// ```
    UserId, "user id", 255
}

name! {
    /// The name of a channel. Channels exist implicitly: joining one is enough.
    ///
    /// ```
    /// use webpush_channels::{ChannelName, NameError};
    ///
    /// assert_eq!(ChannelName::new("news/zurich")?.to_string(), "news/zurich");
    /// let error = ChannelName::new("x".repeat(4096)).unwrap_err();
    /// assert_eq!(error.to_string(), "a channel name holds at most 1024 octets of UTF-8, this one has 4096");
    /// # Ok::<(), NameError>(())
    /// ```
    ChannelName, "channel name", 1024
}

name! {
    /// The caller's name for one broadcast: publishing the same id twice is publishing once
    /// where a journal remembers it.
    BroadcastId, "broadcast id", 128
}

fn checked<'a>(what: &'static str, limit: usize, text: &'a str) -> Result<&'a str, NameError> {
    if text.is_empty() {
        return Err(NameError::Empty { what });
    }
    if text.len() > limit {
        return Err(NameError::TooLong { what, len: text.len(), limit });
    }
    if text.chars().any(char::is_control) {
        return Err(NameError::Control { what });
    }
    Ok(text)
}

/// Which VAPID key a subscription is bound to: the first 16 octets of the SHA-256 of the public
/// key, written in base64url.
///
/// It is computed, never chosen, so that two nodes with the same key agree without configuration
/// (V-13).
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct KeyId([u8; 16]);

impl KeyId {
    /// The id of an uncompressed public key of 65 octets.
    #[must_use]
    pub(crate) fn of_public_key(key: &[u8; 65]) -> Self {
        let digest = Sha256::digest(key);
        let mut id = [0; 16];
        id.copy_from_slice(&digest[..16]);
        Self(id)
    }

    /// The octets, as a store keeps them.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// The id that a store kept.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }
}

/// The text is not a [`KeyId`]: 22 characters of base64url.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a key id is 22 characters of base64url")]
#[non_exhaustive]
pub struct KeyIdError;

impl FromStr for KeyId {
    type Err = KeyIdError;

    fn from_str(text: &str) -> Result<Self, KeyIdError> {
        base64url::decode_array(text).map(Self).map_err(|_| KeyIdError)
    }
}

impl TryFrom<String> for KeyId {
    type Error = KeyIdError;

    fn try_from(text: String) -> Result<Self, KeyIdError> {
        text.parse()
    }
}

impl From<KeyId> for String {
    fn from(id: KeyId) -> Self {
        id.to_string()
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&base64url::encode(&self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_round_trips_through_json() {
        let name = ChannelName::new("caf\u{e9}").unwrap();
        let json = serde_json::to_string(&name).unwrap();
        assert_eq!(serde_json::from_str::<ChannelName>(&json).unwrap(), name);
        assert!(serde_json::from_str::<ChannelName>("\"\"").is_err());
    }

    #[test]
    fn names_are_bounded_and_printable() {
        assert_eq!(UserId::new(""), Err(NameError::Empty { what: "user id" }));
        assert!(UserId::new("u".repeat(255)).is_ok());
        assert!(matches!(UserId::new("u".repeat(256)), Err(NameError::TooLong { len: 256, .. })));
        assert!(matches!(BroadcastId::new("a\0"), Err(NameError::Control { .. })));
    }

    #[test]
    fn a_key_id_round_trips_through_text() {
        let id = KeyId::of_public_key(&[4; 65]);
        assert_eq!(id.to_string().parse::<KeyId>(), Ok(id));
        assert_eq!("short".parse::<KeyId>(), Err(KeyIdError));
    }
}
