//! A push subscription, parsed once.

use std::fmt;
use std::time::{Duration, SystemTime};

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

mod endpoint;
mod id;
mod json;
mod keys;
mod policy;
mod vendor;

pub use self::endpoint::{Endpoint, EndpointError, Origin};
pub use self::id::{SubscriptionId, SubscriptionIdError};
pub use self::keys::{AuthSecret, KeyError, PublicKey, SubscriptionKeys};
pub use self::policy::{EndpointPolicy, PolicyError};
pub use self::vendor::Vendor;

/// Longer JSON is refused unread: the longest endpoint, two keys and room for unknown members.
const MAX_JSON_LEN: usize = 16 * 1024;

/// A push subscription: where to send, and for whom to encrypt.
///
/// Reads and writes what `PushSubscription.toJSON()` does in a browser (E-2). A value in hand has
/// an absolute http(s) endpoint, a public key on P-256 and a secret of 16 octets; whether the
/// endpoint is *acceptable* is the question of an [`EndpointPolicy`].
///
/// Everything in it is secret: the endpoint is a capability URL (RFC 8030 section 8.3), so
/// `Debug` shows its origin only.
///
/// ```
/// use webpush_channels::Subscription;
///
/// let json = r#"{
///     "endpoint": "https://push.example.net/p/x",
///     "expirationTime": null,
///     "keys": {
///         "p256dh": "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",
///         "auth": "BTBZMqHH6r4Tts7J_aSIgg"
///     }
/// }"#;
/// let subscription = Subscription::from_json(json)?;
/// assert_eq!(subscription.endpoint().origin().as_str(), "https://push.example.net");
/// assert_eq!(serde_json::from_str::<Subscription>(json)?, subscription);
/// assert!(!format!("{subscription:?}").contains("/p/x"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Eq, PartialEq, Serialize)]
#[serde(into = "RawSubscription")]
pub struct Subscription {
    endpoint: Endpoint,
    keys: SubscriptionKeys,
    /// Milliseconds since 1970.
    expiration_time: Option<u64>,
}

impl Subscription {
    /// A subscription of parsed parts.
    #[must_use]
    pub const fn new(endpoint: Endpoint, keys: SubscriptionKeys) -> Self {
        Self { endpoint, keys, expiration_time: None }
    }

    /// Parses what a browser's `JSON.stringify(subscription)` wrote: at most 16 KiB, unknown
    /// members ignored, padded base64url accepted (E-3).
    ///
    /// # Errors
    ///
    /// [`SubscriptionError`], saying which part is wrong but never what stood there.
    pub fn from_json(json: impl AsRef<[u8]>) -> Result<Self, SubscriptionError> {
        let json = json.as_ref();
        if json.len() > MAX_JSON_LEN {
            return Err(SubscriptionError::TooLong { len: json.len() });
        }
        let Wire(raw) = serde_json::from_slice(json)
            .map_err(|error| SubscriptionError::Json { line: error.line(), column: error.column() })?;
        raw.try_into()
    }

    /// The same subscription, expiring at this time (R-52).
    #[must_use]
    pub fn with_expiration_time(mut self, at: Option<SystemTime>) -> Self {
        self.expiration_time = at.map(|at| {
            let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
            u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
        });
        self
    }

    /// Where to send.
    #[must_use]
    pub const fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// For whom to encrypt.
    #[must_use]
    pub const fn keys(&self) -> &SubscriptionKeys {
        &self.keys
    }

    /// When the push service will end the subscription, where it said so. Nothing is sent after
    /// it (R-52).
    #[must_use]
    pub fn expiration_time(&self) -> Option<SystemTime> {
        SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(self.expiration_time?))
    }

    /// The id: a hash of the endpoint. Computed at each call.
    #[must_use]
    pub fn id(&self) -> SubscriptionId {
        SubscriptionId::of(&self.endpoint)
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription")
            .field("id", &self.id())
            .field("endpoint", &self.endpoint)
            .finish_non_exhaustive()
    }
}

/// Why a subscription was refused.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SubscriptionError {
    /// The `endpoint` is not a usable URL.
    #[error("the subscription's endpoint is not usable")]
    Endpoint(#[source] EndpointError),
    /// `expirationTime` is neither null nor a time in milliseconds since 1970.
    #[error("expirationTime must be null or a number of milliseconds since 1970")]
    ExpirationTime,
    /// Not the JSON of a subscription.
    #[error(
        "not the JSON of a push subscription (line {line}, column {column}): send what JSON.stringify(subscription) wrote"
    )]
    Json {
        /// The line, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
    },
    /// A key is not usable.
    #[error("the subscription's keys are not usable")]
    Key(#[source] KeyError),
    /// The JSON is longer than 16 KiB.
    #[error("the JSON of a push subscription has at most 16384 octets, this one has {len}")]
    TooLong {
        /// Octets found.
        len: usize,
    },
}

impl<'de> Deserialize<'de> for Subscription {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let raw: RawSubscription = json::object(from)?;
        raw.try_into().map_err(D::Error::custom)
    }
}

/// The wire form (E-2).
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct RawSubscription {
    endpoint: String,
    /// Any JSON: what it is not is judged apart, by an error that quotes nothing.
    #[serde(default)]
    expiration_time: Value,
    #[serde(deserialize_with = "json::object")]
    keys: RawKeys,
}

/// For `from_json`, which tells its own errors from those of the JSON.
struct Wire(RawSubscription);

impl<'de> Deserialize<'de> for Wire {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        json::object(from).map(Self)
    }
}

#[derive(Deserialize, Serialize)]
struct RawKeys {
    p256dh: String,
    auth: String,
}

impl TryFrom<RawSubscription> for Subscription {
    type Error = SubscriptionError;

    fn try_from(raw: RawSubscription) -> Result<Self, SubscriptionError> {
        let keys = SubscriptionKeys::from_base64url(&raw.keys.p256dh, &raw.keys.auth);
        Ok(Self {
            endpoint: raw.endpoint.parse().map_err(SubscriptionError::Endpoint)?,
            keys: keys.map_err(SubscriptionError::Key)?,
            expiration_time: match raw.expiration_time {
                Value::Null => None,
                Value::Number(number) => Some(milliseconds(&number)?),
                _ => return Err(SubscriptionError::ExpirationTime),
            },
        })
    }
}

impl From<Subscription> for RawSubscription {
    fn from(subscription: Subscription) -> Self {
        Self {
            endpoint: subscription.endpoint.as_str().to_owned(),
            expiration_time: subscription.expiration_time.into(),
            keys: RawKeys {
                p256dh: subscription.keys.p256dh().to_base64url(),
                auth: subscription.keys.auth().to_base64url(),
            },
        }
    }
}

/// JavaScript has one kind of number, so a whole time may come as `1.7e12`.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "checked to be a number between 0 and 2^53"
)]
fn milliseconds(number: &serde_json::Number) -> Result<u64, SubscriptionError> {
    const MAX_SAFE_INTEGER: f64 = 9_007_199_254_740_991.0;
    match (number.as_u64(), number.as_f64()) {
        (Some(whole), _) => Ok(whole),
        (None, Some(float)) if (0.0..=MAX_SAFE_INTEGER).contains(&float) => Ok(float as u64),
        _ => Err(SubscriptionError::ExpirationTime),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const P256DH: &str =
        "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4";
    const AUTH: &str = "BTBZMqHH6r4Tts7J_aSIgg";

    fn json(expiration: &str, extra: &str) -> String {
        format!(
            r#"{{"endpoint":"https://push.example.net/p"{expiration},"keys":{{"p256dh":"{P256DH}","auth":"{AUTH}","x":1}}{extra}}}"#
        )
    }

    #[test]
    fn expiration_time_may_be_absent_null_or_numeric() {
        for (text, expected) in [
            ("", None),
            (r#","expirationTime":null"#, None),
            (r#","expirationTime":1700000000123"#, Some(1_700_000_000_123)),
            (r#","expirationTime":1.7e12"#, Some(1_700_000_000_000)),
        ] {
            let parsed = Subscription::from_json(json(text, "")).unwrap();
            assert_eq!(parsed.expiration_time, expected, "{text}");
        }
        for wrong in ["-1", "1e300", r#""soon""#, "[1]", "true"] {
            let text = format!(r#","expirationTime":{wrong}"#);
            assert_eq!(Subscription::from_json(json(&text, "")), Err(SubscriptionError::ExpirationTime));
        }
    }

    #[test]
    fn unknown_members_are_ignored_and_the_rest_round_trips() {
        let parsed = Subscription::from_json(json("", r#","options":{"a":[1]}"#)).unwrap();
        let written = serde_json::to_string(&parsed).unwrap();
        assert_eq!(
            written,
            format!(
                r#"{{"endpoint":"https://push.example.net/p","expirationTime":null,"keys":{{"p256dh":"{P256DH}","auth":"{AUTH}"}}}}"#
            )
        );
        assert_eq!(Subscription::from_json(&written).unwrap(), parsed);
    }

    #[test]
    fn an_error_names_the_part_and_hides_its_content() {
        let error = Subscription::from_json(json("", "").replace(AUTH, "c2VjcmV0")).unwrap_err();
        assert!(matches!(error, SubscriptionError::Key(KeyError::AuthLength { octets: 6 })), "{error:?}");
        let broken = Subscription::from_json(r#"{"endpoint": 7}"#).unwrap_err();
        assert!(matches!(broken, SubscriptionError::Json { line: 1, .. }), "{broken:?}");
        let deep = "[".repeat(10_000);
        assert!(matches!(Subscription::from_json(deep), Err(SubscriptionError::Json { .. })));
        let long = " ".repeat(20_000);
        assert_eq!(Subscription::from_json(long), Err(SubscriptionError::TooLong { len: 20_000 }));
    }
}
