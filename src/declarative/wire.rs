//! The format, in the words of the W3C Push API.

use serde::Serialize;
use serde_json::{Map, Value};

use super::Direction;

/// What tells a declarative message from other JSON: the number of the RFC of Web Push.
pub(super) const MARKER: u16 = 8030;

/// The members that no application may use for itself.
pub(super) const RESERVED: [&str; 4] = ["app_badge", "mutable", "notification", "web_push"];

#[derive(Clone, Serialize)]
pub(super) struct Document {
    pub(super) web_push: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) mutable: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) app_badge: Option<u64>,
    pub(super) notification: Notification,
    #[serde(flatten)]
    pub(super) members: Map<String, Value>,
}

#[derive(Clone, Default, Serialize)]
pub(super) struct Notification {
    pub(super) title: String,
    pub(super) navigate: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) dir: Option<Direction>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) lang: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) body: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tag: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) image: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) icon: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) badge: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) vibrate: Option<Vec<u32>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) timestamp: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) renotify: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) silent: Option<bool>,
    /// The only one in camel case (D-11).
    #[serde(rename = "requireInteraction", skip_serializing_if = "Option::is_none")]
    pub(super) require_interaction: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) data: Option<Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) actions: Vec<Action>,
    /// Where older WebKit and Firefox look for it (D-16).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) mutable: Option<bool>,
    /// Where WebKit looked first, in decimal (D-17).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) app_badge: Option<String>,
}

#[derive(Clone, Serialize)]
pub(super) struct Action {
    #[serde(rename = "action")]
    pub(super) name: String,
    pub(super) title: String,
    pub(super) navigate: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) icon: Option<String>,
}
