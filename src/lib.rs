//! Pub/sub channels over Web Push: publish one message to a channel, and every subscription of
//! every member gets it, individually encrypted (RFC 8291), signed (RFC 8292), sent, retried,
//! pruned and counted.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod address;
mod base64url;
#[cfg(feature = "channel")]
pub mod channel;
mod clock;
pub mod engine;
mod id;
mod message;
mod outcome;
mod report;
#[cfg(feature = "channel")]
pub mod sender;
pub mod store;
mod subscription;
#[cfg(feature = "testing")]
pub mod testing;
pub mod transport;

pub use self::address::AddressPolicy;
pub use self::clock::{Clock, SystemClock};
pub use self::id::{BroadcastId, ChannelName, KeyId, KeyIdError, NameError, UserId};
pub use self::message::{
    CollapseKey, CollapseKeyError, Message, Padding, Payload, PayloadError, Ttl, TtlError, Urgency,
    UrgencyError,
};
pub use self::outcome::{LastFailure, MessageUrl, Outcome, OutcomeKind, Refusal, ResponseDetail, SkipReason};
pub use self::report::{BroadcastState, Counts, Failure, OriginLabel, OriginReport, Report};
pub use self::subscription::{
    AuthSecret, Endpoint, EndpointError, EndpointPolicy, KeyError, Origin, PolicyError, PublicKey,
    Subscription, SubscriptionError, SubscriptionId, SubscriptionIdError, SubscriptionKeys, Vendor,
};
