//! The frames of the protocol: JSON texts, told apart by `messageType`.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::testing::push_service::message::Stored;
use crate::testing::push_service::mozilla::stripped;
use crate::{PublicKey, base64url};

/// The name of a browser's profile.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Uaid(Box<str>);

impl Uaid {
    /// A new name.
    ///
    /// # Panics
    ///
    /// When the operating system has no randomness.
    pub(super) fn random() -> Self {
        let mut octets = [0; 16];
        getrandom::fill(&mut octets).expect("the operating system gives randomness");
        Self(octets.iter().map(|octet| format!("{octet:02x}")).collect())
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Uaid {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let is_hex = text.len() == 32 && text.bytes().all(|octet| octet.is_ascii_hexdigit());
        if is_hex { Ok(Self(text.into())) } else { Err("a uaid has 32 hexadecimal digits") }
    }
}

/// The name that a browser gave to a subscription: a UUID.
#[derive(Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd)]
#[serde(try_from = "String")]
pub(super) struct ChannelId(Box<str>);

impl ChannelId {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for ChannelId {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let fits = |(at, octet): (usize, u8)| match at {
            8 | 13 | 18 | 23 => octet == b'-',
            _ => octet.is_ascii_hexdigit(),
        };
        let is_uuid = text.len() == 36 && text.bytes().enumerate().all(fits);
        if is_uuid { Ok(Self(text.into())) } else { Err("a channelID is a UUID") }
    }
}

/// An `applicationServerKey`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct ServerKey(pub(super) [u8; 65]);

impl TryFrom<String> for ServerKey {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let octets = base64url::decode(&text).map_err(|_| "a key is base64url")?;
        match PublicKey::from_bytes(&octets) {
            Ok(key) => Ok(Self(*key.as_bytes())),
            Err(_) => Err("a key is a point on P-256"),
        }
    }
}

/// What a browser says.
#[derive(Debug, Deserialize)]
#[serde(tag = "messageType", rename_all = "snake_case")]
pub(super) enum Said {
    Hello {
        /// One that is malformed is as good as unknown.
        uaid: Option<String>,
        use_webpush: bool,
    },
    Register {
        #[serde(rename = "channelID")]
        channel: ChannelId,
        key: Option<ServerKey>,
    },
    Unregister {
        #[serde(rename = "channelID")]
        channel: ChannelId,
    },
    Ack {
        updates: Vec<Update>,
    },
    /// The other use of the connection, which carries no pushes.
    BroadcastSubscribe {},
    #[serde(skip)]
    Ping,
}

/// What became of a message at its browser.
#[derive(Debug, Deserialize)]
pub(super) struct Update {
    #[serde(rename = "channelID")]
    pub(super) channel: ChannelId,
    pub(super) version: String,
    /// 100: delivered. 101: could not be decrypted. 102: not delivered for another reason.
    pub(super) code: Option<u16>,
}

impl Said {
    /// Reads a frame; `None` when it is none of the protocol.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if text.trim() == "{}" {
            return Some(Self::Ping);
        }
        serde_json::from_str(text).ok().filter(|said| !matches!(said, Self::Hello { use_webpush: false, .. }))
    }
}

pub(super) fn hello(uaid: &Uaid) -> String {
    let uaid = uaid.as_str();
    json!({"messageType": "hello", "status": 200, "use_webpush": true, "uaid": uaid, "broadcasts": {}})
        .to_string()
}

pub(super) fn registered(channel: &ChannelId, endpoint: &str) -> String {
    let channel = channel.as_str();
    json!({"messageType": "register", "status": 200, "channelID": channel, "pushEndpoint": endpoint})
        .to_string()
}

pub(super) fn unregistered(channel: &ChannelId) -> String {
    json!({"messageType": "unregister", "status": 200, "channelID": channel.as_str()}).to_string()
}

/// A message as the browser gets it; without `data` and `headers` it has no payload.
pub(super) fn notification(channel: &ChannelId, message: &Stored) -> String {
    let mut frame = json!({
        "messageType": "notification",
        "channelID": channel.as_str(),
        "version": message.number.to_string(),
    });
    if !message.body.is_empty() {
        frame["data"] = base64url::encode(&message.body).into();
        frame["headers"] = coding(message).into();
    }
    frame.to_string()
}

/// The request's headers that tell how to decrypt, as browsers take them.
fn coding(message: &Stored) -> Map<String, Value> {
    let mut coding = Map::new();
    for (name, header) in
        [("encoding", "content-encoding"), ("encryption", "encryption"), ("crypto_key", "crypto-key")]
    {
        if let Some(text) = message.headers.get(header).and_then(|value| value.to_str().ok()) {
            coding.insert(name.to_owned(), stripped(text).into());
        }
    }
    coding
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHANNEL: &str = "c0ffee00-1234-4321-8888-0123456789ab";

    #[test]
    fn the_browser_s_frames_are_told_apart() {
        let key = base64url::encode(crate::testing::UserAgent::seeded(1).keys().p256dh().as_bytes());
        let register = format!(r#"{{"channelID":"{CHANNEL}","messageType":"register","key":"{key}="}}"#);
        assert!(matches!(Said::parse(&register), Some(Said::Register { key: Some(_), .. })));
        let hello = r#"{"messageType":"hello","broadcasts":{},"use_webpush":true}"#;
        assert!(matches!(Said::parse(hello), Some(Said::Hello { uaid: None, .. })));
        let subscribe = r#"{"messageType":"broadcast_subscribe","broadcasts":{}}"#;
        assert!(matches!(Said::parse(subscribe), Some(Said::BroadcastSubscribe {})));
        assert!(matches!(Said::parse("{}"), Some(Said::Ping)));
    }

    #[test]
    fn other_frames_are_none() {
        for text in [
            "",
            "[]",
            "null",
            "{",
            r#"{"messageType":"ping"}"#,
            r#"{"messageType":"hello"}"#,
            r#"{"messageType":"hello","use_webpush":false}"#,
            r#"{"messageType":"register"}"#,
            r#"{"messageType":"register","channelID":"1"}"#,
            r#"{"messageType":"register","channelID":"c0ffee00-1234-4321-8888-0123456789ab","key":"AAAA"}"#,
            r#"{"messageType":"ack","updates":{}}"#,
            r#"{"messageType":"unregister","channelID":"c0ffee00x1234-4321-8888-0123456789ab"}"#,
        ] {
            assert!(Said::parse(text).is_none(), "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(text in ".{0,200}") {
            let said = Said::parse(&text);
            proptest::prop_assert_eq!(said.is_some(), text.trim() == "{}");
        }
    }
}
