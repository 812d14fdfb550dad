//! Pub/sub channels over Web Push: publish one message to a channel, and every subscription of
//! every member gets it, individually encrypted (RFC 8291), signed (RFC 8292), sent, retried,
//! pruned and counted.
//!
//! Storage, HTTP and cryptography are traits with implementations behind features; the engine
//! alone (`default-features = false`) has no runtime, no TLS and no C.
//!
//! ```no_run
//! use webpush_channels::channel::{Channel, Channels};
//! use webpush_channels::engine::vapid::{Vapid, VapidKey};
//! use webpush_channels::sender::Sender;
//! use webpush_channels::store::MemoryStore;
//! use webpush_channels::transport::HyperTransport;
//! use webpush_channels::{ChannelName, Message, Payload, Report, Subscription, Ttl, UserId};
//!
//! async fn announce(key: &str, subscription: &str) -> Result<Report, Box<dyn std::error::Error>> {
//!     let vapid = Vapid::new(VapidKey::from_text(key)?, "mailto:push@your-domain.net".parse()?);
//!     let sender = Sender::builder(vapid, HyperTransport::new()?).build();
//!     let channels = Channels::new(MemoryStore::new(), sender);
//!
//!     let ada = UserId::new("ada")?; // who is logged in
//!     let browser = Subscription::from_json(subscription)?; // what toJSON() gave there
//!     channels.subscribe(&ada, browser, None).await?;
//!     let news = channels.channel(&ChannelName::new("news")?);
//!     news.join(&ada).await?;
//!
//!     let message = Message::new(Payload::new("It is raining")?, Ttl::hours(4));
//!     Ok(news.publish(message.into()).await?)
//! }
//! ```
//!
//! The same with doubles, as a test that runs, is in the docs of `channel::Channels`.
//!
//! # Where what is
//!
//! | module | what it has | feature |
//! |---|---|---|
//! | the root | plain, parsed data: subscriptions, messages, outcomes, reports, policies | |
//! | [`declarative`] | notifications that browsers show without a service worker: a payload, built and checked | |
//! | [`engine`] | encryption, VAPID, requests, responses: for any HTTP client | |
//! | [`transport`] | the seam to HTTP, and the transports | `http-client`, `reqwest`, `tower`, `limit` |
//! | [`store`] | the seam to storage, the journal, and the stores | `memory`, `sqlite`, `postgres` |
//! | `sender` | one message to one subscription | `channel` |
//! | `channel` | the hub, channels, broadcasts; durable ones and their workers | `channel` |
//! | `testing` | a push service, a user agent, doubles, the conformance suites | `testing` |
//!
//! # Features
//!
//! | feature | default | what it adds |
//! |---|---|---|
//! | `channel` | yes | `sender` and `channel`, on tokio (rt, sync, time, no net) |
//! | `memory` | yes | `MemoryStore` |
//! | `http-client` | yes | `HyperTransport`: hyper, rustls, the address guard; implies `channel` |
//! | `aws-lc-rs` | yes | the fast encryptor; needs a C compiler |
//! | `ece` | | Mozilla's `ece` as an encryptor, on the system's OpenSSL |
//! | `sqlite` | | `SqliteStore`: subscriptions and broadcasts in one file; implies `channel` |
//! | `postgres` | | `PostgresStore`: the same on a server, for several nodes; implies `channel` |
//! | `reqwest` | | `ReqwestTransport`: through a client of the crate `reqwest`; implies `channel` |
//! | `tower` | | `TowerTransport`: through any `tower::Service` over `http`; implies `channel` |
//! | `limit` | | `RateLimited`: any transport, at a rate; implies `channel` |
//! | `metrics` | | counters, gauges and histograms through the crate `metrics`; implies `channel` |
//! | `testing` | | what tests need; implies `http-client` and `memory` |
//! | `testing-browser` | | Mozilla's rules and Firefox's WebSocket in the push service; implies `testing` |
//!
//! A feature only adds: none changes what another part does, and none excludes another.
//!
//! # Rules
//!
//! Comments cite RFC sections, or ids such as `H-21` and `S-4`: `docs/rules.md` says what they
//! ask for and where they come from.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod address;
mod base64url;
#[cfg(feature = "channel")]
pub mod channel;
mod clock;
pub mod declarative;
pub mod engine;
mod id;
mod message;
mod outcome;
mod report;
#[cfg(feature = "channel")]
pub mod sender;
pub mod store;
mod subscription;
mod telemetry;
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
pub use self::outcome::{
    LastFailure, MessageUrl, Outcome, OutcomeKind, ReceiptUrl, Refusal, ResponseDetail, SkipReason,
};
pub use self::report::{BroadcastState, Counts, Failure, OriginLabel, OriginReport, Report};
pub use self::subscription::{
    AuthSecret, Endpoint, EndpointError, EndpointPolicy, KeyError, Origin, PolicyError, PublicKey,
    Subscription, SubscriptionError, SubscriptionId, SubscriptionIdError, SubscriptionKeys, Vendor,
};

/// The README's example is compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// The documents of `docs/`, to be read beside the API.
#[cfg(any(doc, doctest))]
pub mod manual {
    #[doc = include_str!("../docs/design.md")]
    pub mod design {}
    #[doc = include_str!("../docs/durability.md")]
    pub mod durability {}
    #[doc = include_str!("../docs/migrating.md")]
    pub mod migrating {}
    #[doc = include_str!("../docs/operations.md")]
    pub mod operations {}
    #[doc = include_str!("../docs/reliability.md")]
    pub mod reliability {}
    #[doc = include_str!("../docs/rules.md")]
    pub mod rules {}
    #[doc = include_str!("../docs/security.md")]
    pub mod security {}
    #[doc = include_str!("../docs/service.md")]
    pub mod service {}
    #[doc = include_str!("../docs/writing_a_store.md")]
    pub mod writing_a_store {}
}
