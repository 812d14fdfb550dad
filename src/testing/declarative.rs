//! Declarative messages as browsers read them.
//!
//! [`DeclarativeReader`] decides over a decrypted payload: a notification that is shown without a
//! service worker, or an [`Ordinary`] message for one.

use std::fmt;

use serde_json::{Map, Value};

use crate::declarative::Direction;

mod standard;
mod url;
mod webkit;

/// Who reads. They differ: what [`Declarative`](crate::declarative::Declarative) makes is read
/// alike by both.
///
/// Written from the rules, and sharing no code with the builder, so that a mistake in one cannot
/// hide in the other. Two things are simpler than in a browser: a host in letters beyond ASCII does
/// not parse, and a URL of another scheme than http and https is taken as it stands.
///
/// ```
/// use webpush_channels::testing::declarative::{DeclarativeReader, Ordinary};
///
/// let relative = br#"{"web_push": 8030, "notification": {"title": "Rain", "navigate": "today"}}"#;
/// let shown = DeclarativeReader::Standard.read(relative, "https://weather.example/app/")?;
/// assert_eq!(shown.navigate, "https://weather.example/app/today");
///
/// let refused = DeclarativeReader::WebKit.read(relative, "https://weather.example/app/");
/// assert_eq!(refused.unwrap_err(), Ordinary::Navigate);
/// let other = DeclarativeReader::Standard.read(br#"{"title": "Rain"}"#, "https://weather.example/app/");
/// assert_eq!(other.unwrap_err(), Ordinary::Marker);
/// # Ok::<(), Ordinary>(())
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum DeclarativeReader {
    /// The W3C Push API and the Notifications standard: optional members of the wrong type are
    /// ignored one by one (D-10).
    Standard,
    /// Safari: such members are errors, URLs must be absolute, and the title must not be empty
    /// (D-18). Reads `mutable` and `app_badge` also where they stood first (D-16, D-17).
    WebKit,
}

impl DeclarativeReader {
    /// What is shown of a decrypted payload, at a subscription of this scope.
    ///
    /// # Errors
    ///
    /// [`Ordinary`], with the first thing that makes it an ordinary message.
    ///
    /// # Panics
    ///
    /// When the scope is not an absolute URL.
    pub fn read(self, payload: &[u8], scope: &str) -> Result<Declared, Ordinary> {
        let scope = url::Base::parse(scope).expect("a scope is an absolute URL");
        // As "parse JSON from bytes" has it: what is no UTF-8 becomes replacement characters.
        let text = String::from_utf8_lossy(payload);
        let json = text.strip_prefix('\u{feff}').unwrap_or(&text);
        let Ok(Value::Object(document)) = serde_json::from_str(json) else {
            return Err(Ordinary::NotJson);
        };
        if document.get("web_push").and_then(unsigned) != Some(8030) {
            return Err(Ordinary::Marker);
        }
        let Some(Value::Object(notification)) = document.get("notification") else {
            return Err(Ordinary::Notification);
        };
        match self {
            Self::Standard => standard::read(&document, notification, &scope),
            Self::WebKit => webkit::read(&document, notification),
        }
    }
}

/// The notification that a browser shows. Absent members are those that were not there or were
/// ignored. URLs are absolute, as the browser writes them. `Debug` says nothing of it.
#[derive(Clone, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Declared {
    /// The title.
    pub title: String,
    /// What a click opens.
    pub navigate: String,
    /// The direction of the text.
    pub dir: Option<Direction>,
    /// The language of the text.
    pub lang: Option<String>,
    /// The text below the title.
    pub body: Option<String>,
    /// What it replaces.
    pub tag: Option<String>,
    /// The URL of the picture in it.
    pub image: Option<String>,
    /// The URL of the picture beside it.
    pub icon: Option<String>,
    /// The URL of the picture instead of it.
    pub badge: Option<String>,
    /// Milliseconds of vibration and pause in turn.
    pub vibrate: Option<Vec<u32>>,
    /// Milliseconds since 1970.
    pub timestamp: Option<u64>,
    /// Whether replacing sounds again.
    pub renotify: Option<bool>,
    /// Whether it is without sound.
    pub silent: Option<bool>,
    /// Whether it stays.
    pub require_interaction: Option<bool>,
    /// What the page gets, as JSON.
    pub data: Option<String>,
    /// The choices beside the click.
    pub actions: Vec<DeclaredAction>,
    /// Whether a service worker may change it first.
    pub mutable: bool,
    /// The number on the application's icon. The standard does not know it yet.
    pub app_badge: Option<u64>,
}

/// One choice of a notification. `Debug` says nothing of it.
#[derive(Clone, Eq, PartialEq)]
#[non_exhaustive]
pub struct DeclaredAction {
    /// Its name.
    pub name: String,
    /// Its title.
    pub title: String,
    /// What it opens.
    pub navigate: String,
    /// The URL of its picture.
    pub icon: Option<String>,
}

impl fmt::Debug for Declared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Declared([redacted])")
    }
}

impl fmt::Debug for DeclaredAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DeclaredAction([redacted])")
    }
}

/// Why a payload is an ordinary message: the service worker gets it, and if there is none, nobody.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Ordinary {
    /// The URL of an action does not parse (D-12).
    #[error("the URL of actions[{index}] does not parse")]
    Action {
        /// Which, from 0.
        index: usize,
    },
    /// `web_push` is missing, or not the number 8030.
    #[error("`web_push` is not the number 8030")]
    Marker,
    /// A member is not what WebKit takes.
    #[error("`{name}` is not of the type or form that WebKit takes")]
    Member {
        /// Which.
        name: &'static str,
    },
    /// `navigate` is missing, no text, or does not parse.
    #[error("`navigate` is no URL that this browser takes")]
    Navigate,
    /// `notification` is missing, or no object.
    #[error("`notification` is not an object")]
    Notification,
    /// No JSON object.
    #[error("the payload is not a JSON object")]
    NotJson,
    /// `renotify` without a tag (D-14).
    #[error("`renotify` without a `tag`")]
    RenotifyWithoutTag,
    /// Silent and vibrating (D-14).
    #[error("`silent` together with `vibrate`")]
    SilentVibration,
    /// The title is missing or no text; to WebKit also if it is empty.
    #[error("`title` is no text that this browser takes")]
    Title,
}

/// A number without a fraction that 64 bits hold, also one that is written `8030.0`.
fn unsigned(value: &Value) -> Option<u64> {
    let whole = |number: &f64| number.fract() == 0.0 && *number >= 0.0;
    value
        .as_u64()
        .or_else(|| value.as_f64().filter(whole).and_then(|number| format!("{number:.0}").parse().ok()))
}

fn text(object: &Map<String, Value>, name: &str) -> Option<String> {
    object.get(name).and_then(Value::as_str).map(str::to_owned)
}

fn direction(text: &str) -> Option<Direction> {
    match text {
        "auto" => Some(Direction::Auto),
        "ltr" => Some(Direction::Ltr),
        "rtl" => Some(Direction::Rtl),
        _ => None,
    }
}
