//! Declarative Web Push: notifications that the browser shows by itself.
//!
//! A declarative message is a payload in a JSON format that the browser knows (W3C Push API).
//! Where it is known, the notification is shown and opened without a service worker; elsewhere the
//! message is an ordinary one, and the worker gets the same JSON. Safari shows them since iOS 18.4
//! and macOS 18.5, and does not hold them against a page as it does silent pushes.
//!
//! Whether a message is declarative is decided by its decrypted payload alone (D-1). The request is
//! that of any other message (D-2, D-3): declarative messages can be sent with everything here.
//!
//! ```
//! # #[cfg(feature = "testing")]
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! use webpush_channels::channel::{Channel, Channels};
//! use webpush_channels::declarative::Declarative;
//! use webpush_channels::engine::vapid::{Vapid, VapidKey};
//! use webpush_channels::sender::Sender;
//! use webpush_channels::store::MemoryStore;
//! use webpush_channels::testing::declarative::DeclarativeReader;
//! use webpush_channels::testing::{StubTransport, UserAgent};
//! use webpush_channels::{ChannelName, Message, OutcomeKind, Ttl, UserId};
//!
//! let letters = Declarative::builder("3 new letters", "https://post.example/inbox")
//!     .body("From Ada, Grace and Joan")
//!     .tag("inbox")
//!     .icon("https://post.example/icon.png")
//!     .action("read", "Mark as read", "https://post.example/inbox?read")
//!     .app_badge(3)
//!     .build()?;
//!
//! let vapid = Vapid::new(VapidKey::generate()?, "mailto:ops@example.org".parse()?);
//! let transport = StubTransport::new();
//! let channels = Channels::new(MemoryStore::new(), Sender::builder(vapid, transport.clone()).build());
//! let (browser, ada) = (UserAgent::new(), UserId::new("ada")?);
//! channels.subscribe(&ada, browser.subscribe("https://push.example.net/p/1".parse()?), None).await?;
//! let inbox = channels.channel(&ChannelName::new("inbox")?);
//! inbox.join(&ada).await?;
//! let report = inbox.publish(Message::new(letters.into(), Ttl::hours(4)).into()).await?;
//! assert_eq!(report.counts[OutcomeKind::Accepted], 1);
//!
//! // What the browser makes of it.
//! let plaintext = browser.decrypt(transport.requests()[0].get().body())?;
//! let shown = DeclarativeReader::WebKit.read(&plaintext, "https://post.example/")?;
//! assert_eq!((shown.title.as_str(), shown.app_badge), ("3 new letters", Some(3)));
//! assert_eq!(shown.navigate, "https://post.example/inbox");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).unwrap();
//! ```

use std::fmt;

use serde::Serialize;

use crate::Payload;

mod builder;
mod error;
mod lang;
mod url;
mod wire;

pub use self::builder::DeclarativeBuilder;
pub use self::error::{DeclarativeError, UrlProblem};

/// A payload that every browser which knows declarative messages shows by itself.
///
/// That is less than the standard allows (D-18, D-19). What cannot be known here is not checked:
/// whether a host exists, and what the letters after `xn--` stand for. `Debug` shows the length
/// only.
///
/// ```
/// use webpush_channels::Payload;
/// use webpush_channels::declarative::Declarative;
///
/// let declarative = Declarative::builder("Rain", "https://weather.example/today").build()?;
/// assert_eq!(
///     Payload::from(declarative).as_bytes(),
///     br#"{"web_push":8030,"notification":{"title":"Rain","navigate":"https://weather.example/today"}}"#
/// );
/// # Ok::<(), webpush_channels::declarative::DeclarativeError>(())
/// ```
#[derive(Clone, Eq, PartialEq)]
pub struct Declarative(Payload);

impl Declarative {
    /// A declarative message in the making: the title of its notification, and the absolute https
    /// URL that is opened when somebody clicks on it.
    pub fn builder(title: impl Into<String>, navigate: impl Into<String>) -> DeclarativeBuilder {
        DeclarativeBuilder::new(title.into(), navigate.into())
    }

    /// The JSON. Over [`Payload::PORTABLE_LEN`] octets it does not reach every Firefox.
    #[must_use]
    pub const fn payload(&self) -> &Payload {
        &self.0
    }
}

impl From<Declarative> for Payload {
    fn from(declarative: Declarative) -> Self {
        declarative.0
    }
}

impl fmt::Debug for Declarative {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Declarative({} octets)", self.0.len())
    }
}

/// The direction of a notification's text.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
#[allow(clippy::exhaustive_enums, reason = "the Notifications standard fixes the three values")]
pub enum Direction {
    /// As the browser finds it.
    #[default]
    Auto,
    /// Left to right.
    Ltr,
    /// Right to left.
    Rtl,
}
