//! One of everything that is secret.

use std::sync::Arc;
use std::time::SystemTime;

use http::Response;
use webpush_channels::engine::response::{Classified, Verdict, classify};
use webpush_channels::engine::vapid::{Topic, TopicInput, Vapid, VapidKey};
use webpush_channels::testing::{ManualClock, UserAgent};
use webpush_channels::{
    BroadcastId, CollapseKey, Message, MessageUrl, Payload, ReceiptUrl, Subscription, Ttl, UserId,
};

use crate::needles::Needles;

pub(crate) const ORIGIN: &str = "https://push.example.net";
pub(crate) const PATH: &str = "/wpush/v2/gAAAAABkTheEndpoint-7Qx_LmZpWv?token=BQYAAAC4h6Kt2";
pub(crate) const PLAINTEXT: &str = "Your-Test-Result-Is-Negative-9Zt";
const COLLAPSE: &str = "patient-4711-result-5Rm";
const RESOURCE: &str = "/m/gAAAAABkTheMessage-3Bv_XyNcQe";
const RECEIPTS: &str = "/r/gAAAAABkTheReceipts-8Kd_WuTzMq";

pub(crate) const USER_AGENT: [u8; 32] = [
    0x3a, 0x91, 0x5c, 0xe7, 0x02, 0xb8, 0x4d, 0x66, 0xf1, 0x2f, 0x83, 0xd9, 0x70, 0x1e, 0xa5, 0xc4, 0x5b,
    0x97, 0xe2, 0x38, 0x0d, 0x6f, 0xb3, 0x49, 0x8c, 0xd1, 0x27, 0xfa, 0x64, 0x1b, 0xee, 0x50,
];
pub(crate) const DATABASE_PASSWORD: &str = "kQ8-vestibule-0Zr-lantern";
const AUTH: [u8; 16] =
    [0xd4, 0x1f, 0x88, 0x63, 0xb7, 0x2c, 0xe9, 0x05, 0x7a, 0xc6, 0x31, 0x9d, 0x4e, 0xf8, 0x12, 0xab];
const VAPID: [u8; 32] = [
    0x77, 0x0a, 0xd3, 0x5e, 0x94, 0xc1, 0x28, 0xbf, 0x6b, 0x13, 0xe0, 0x4c, 0x99, 0xf5, 0x36, 0xa2, 0x81,
    0x5d, 0x0f, 0xc8, 0x7e, 0xb4, 0x23, 0x9a, 0xd6, 0x40, 0x6c, 0xe1, 0x1b, 0xf7, 0x52, 0x8d,
];

/// Of a key that cannot be read.
pub(crate) const TOPIC_KEY: [u8; 32] = [
    0x19, 0xe4, 0x70, 0xab, 0x3d, 0x5a, 0xc8, 0x06, 0xf2, 0x91, 0x4f, 0x2b, 0xd7, 0x68, 0x0c, 0xb3, 0x85,
    0xee, 0x34, 0x7b, 0xa9, 0x12, 0xdf, 0x56, 0xc0, 0x8b, 0x21, 0xf6, 0x6d, 0x9e, 0x03, 0x47,
];

/// Everything secret, and what it is made from.
pub(crate) struct World {
    pub(crate) agent: UserAgent,
    pub(crate) subscription: Subscription,
    pub(crate) vapid: Vapid,
    pub(crate) vapid_key: VapidKey,
    pub(crate) topics: [Topic; 2],
    pub(crate) collapse: CollapseKey,
    pub(crate) payload: Payload,
    pub(crate) message_url: MessageUrl,
    pub(crate) receipt_url: ReceiptUrl,
    pub(crate) accepted: Classified,
}

impl World {
    pub(crate) fn new() -> Self {
        let agent = UserAgent::from_keys(USER_AGENT, AUTH).unwrap();
        let subscription = agent.subscribe(format!("{ORIGIN}{PATH}").parse().unwrap());
        let vapid_key = VapidKey::from_scalar(&VAPID).unwrap();
        let vapid =
            Vapid::new(vapid_key.clone(), "mailto:ops@example.org".parse().unwrap()).with_clock(clock());
        let collapse = CollapseKey::new(COLLAPSE).unwrap();
        let inputs = [TopicInput::Collapse(&collapse), TopicInput::Broadcast(&broadcast())];
        let topics = inputs.map(|input| vapid.topic(&subscription.id(), input));
        let response = Response::builder()
            .status(202)
            .header("location", RESOURCE)
            .header("link", format!("<{RECEIPTS}>; rel=\"urn:ietf:params:push:receipt\""))
            .header("ttl", "60")
            .body([].as_slice().into());
        let accepted =
            classify(subscription.endpoint(), Ttl::hours(1), &response.unwrap(), SystemTime::UNIX_EPOCH);
        let Verdict::Accepted { message_url: Some(message_url), receipt_url: Some(receipt_url), .. } =
            accepted.verdict.clone()
        else {
            panic!("a 202 with a Location and a Link is accepted: {accepted:?}");
        };
        let payload = Payload::new(PLAINTEXT).unwrap();
        Self {
            agent,
            subscription,
            vapid,
            vapid_key,
            topics,
            collapse,
            payload,
            message_url,
            receipt_url,
            accepted,
        }
    }

    pub(crate) fn needles(&self) -> Needles {
        let mut needles = Needles::default();
        let keys = self.subscription.keys();
        needles
            .text("the endpoint", PATH)
            .octets("p256dh", keys.p256dh().as_bytes())
            .octets("auth", &AUTH)
            .octets("the user agent's private key", &USER_AGENT)
            .octets("the VAPID key", &VAPID)
            .octets("the topic key", &TOPIC_KEY)
            .text("the token", &self.token())
            .text("the topic", self.topics[0].as_str())
            .text("the topic", self.topics[1].as_str())
            .text("the collapse key", COLLAPSE)
            .text("the plaintext", PLAINTEXT)
            .text("the database's password", DATABASE_PASSWORD)
            .text("the message URL", self.message_url.as_str().strip_prefix(ORIGIN).unwrap())
            .text("the receipt URL", self.receipt_url.as_str().strip_prefix(ORIGIN).unwrap());
        needles
    }

    /// `t` and its signature, without `k`, which is public.
    pub(crate) fn token(&self) -> String {
        let header = self.vapid.authorization(&self.subscription.endpoint().origin()).unwrap().header;
        let (_, token) = header.to_str().unwrap().split_once("t=").unwrap();
        token.split_once(',').unwrap().0.to_owned()
    }

    pub(crate) fn message(&self) -> Message {
        Message::new(self.payload.clone(), Ttl::hours(1)).with_collapse_key(self.collapse.clone())
    }

    pub(crate) fn json(&self) -> String {
        serde_json::to_string(&self.subscription).unwrap()
    }
}

/// When all of it happens.
pub(crate) fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at_unix(1_700_000_000))
}

pub(crate) fn user() -> UserId {
    UserId::new("alice").unwrap()
}

pub(crate) fn broadcast() -> BroadcastId {
    BroadcastId::new("2024-05-01").unwrap()
}
