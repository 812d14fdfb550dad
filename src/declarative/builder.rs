//! Building one, and refusing what is none.

use std::fmt;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;
use serde_json::{Map, Value};

use super::wire::{Action, Document, MARKER, Notification, RESERVED};
use super::{Declarative, DeclarativeError, Direction, lang, url};
use crate::Payload;

/// The largest integer that every JSON parser reads exactly.
pub(super) const MAX_INTEGER: u64 = (1 << 53) - 1;

/// A [`Declarative`] message in the making. Everything is optional but the title and the URL of
/// [`Declarative::builder`]; what was set twice has its last value; [`build`](Self::build) checks.
///
/// Browsers differ in what they show: Safari reads none of `image`, `badge`, `vibrate`,
/// `timestamp`, `renotify`, `require_interaction` and the actions (D-18). All take a message that
/// has them.
#[derive(Clone)]
#[must_use]
pub struct DeclarativeBuilder {
    document: Document,
    mutable: bool,
    nested_badge: bool,
    /// The first that cannot be written as JSON, or cannot be said at all.
    problem: Option<DeclarativeError>,
}

/// What the notification says.
impl DeclarativeBuilder {
    pub(super) fn new(title: String, navigate: String) -> Self {
        let notification = Notification { title, navigate, ..Notification::default() };
        Self {
            document: Document {
                web_push: MARKER,
                mutable: None,
                app_badge: None,
                notification,
                members: Map::new(),
            },
            mutable: false,
            nested_badge: false,
            problem: None,
        }
    }

    /// The text below the title.
    pub fn body(mut self, text: impl Into<String>) -> Self {
        self.document.notification.body = Some(text.into());
        self
    }

    /// The language of title and body, a BCP 47 tag such as `pt-BR`.
    pub fn lang(mut self, tag: impl Into<String>) -> Self {
        self.document.notification.lang = Some(tag.into());
        self
    }

    /// The direction of title and body.
    pub const fn dir(mut self, direction: Direction) -> Self {
        self.document.notification.dir = Some(direction);
        self
    }

    /// An absolute https URL of a picture that stands for the page.
    pub fn icon(mut self, url: impl Into<String>) -> Self {
        self.document.notification.icon = Some(url.into());
        self
    }

    /// An absolute https URL of a picture that is a part of what is said.
    pub fn image(mut self, url: impl Into<String>) -> Self {
        self.document.notification.image = Some(url.into());
        self
    }

    /// An absolute https URL of a picture for places without room for an icon.
    pub fn badge(mut self, url: impl Into<String>) -> Self {
        self.document.notification.badge = Some(url.into());
        self
    }

    /// The time that the notification is about, by default that of its arrival. Sent in whole
    /// milliseconds since 1970.
    pub fn timestamp(mut self, time: SystemTime) -> Self {
        let since = time.duration_since(UNIX_EPOCH).ok();
        let millis = since.and_then(|since| u64::try_from(since.as_millis()).ok());
        match millis.filter(|millis| *millis <= MAX_INTEGER) {
            Some(millis) => self.document.notification.timestamp = Some(millis),
            None => self.note(DeclarativeError::Timestamp),
        }
        self
    }

    /// A choice beside the click on the notification itself: its name, its title, and the absolute
    /// https URL that it opens. Browsers show as many as they have room for, the first ones first.
    pub fn action(
        self,
        name: impl Into<String>,
        title: impl Into<String>,
        navigate: impl Into<String>,
    ) -> Self {
        self.push_action(name.into(), title.into(), navigate.into(), None)
    }

    /// The same with an absolute https URL of a picture for it.
    pub fn action_with_icon(
        self,
        name: impl Into<String>,
        title: impl Into<String>,
        navigate: impl Into<String>,
        icon: impl Into<String>,
    ) -> Self {
        self.push_action(name.into(), title.into(), navigate.into(), Some(icon.into()))
    }

    fn push_action(mut self, name: String, title: String, navigate: String, icon: Option<String>) -> Self {
        self.document.notification.actions.push(Action { name, title, navigate, icon });
        self
    }
}

/// How it is said.
impl DeclarativeBuilder {
    /// Replaces the notification that is shown with this tag. For messages that the push service
    /// still holds there is [`Message::with_collapse_key`](crate::Message::with_collapse_key).
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        self.document.notification.tag = Some(tag.into());
        self
    }

    /// Whether to sound and vibrate again when the tag's notification is replaced. Needs a tag.
    pub const fn renotify(mut self, again: bool) -> Self {
        self.document.notification.renotify = Some(again);
        self
    }

    /// Whether to show it without sound and vibration. By default as the device is set.
    pub const fn silent(mut self, silent: bool) -> Self {
        self.document.notification.silent = Some(silent);
        self
    }

    /// How to vibrate: milliseconds of vibration and pause in turn. Not with `silent(true)`, not
    /// even if there are none.
    pub fn vibrate(mut self, pattern: impl IntoIterator<Item = u32>) -> Self {
        self.document.notification.vibrate = Some(pattern.into_iter().collect());
        self
    }

    /// Whether it stays until somebody reacts.
    pub const fn require_interaction(mut self, stays: bool) -> Self {
        self.document.notification.require_interaction = Some(stays);
        self
    }

    /// The number on the application's icon; 0 removes it. At most 2^53 - 1.
    ///
    /// Not in the standard yet: it goes where current WebKit reads it, and no other browser minds
    /// (D-17).
    pub const fn app_badge(mut self, number: u64) -> Self {
        self.document.app_badge = Some(number);
        self
    }

    /// Whether the number is written a second time where the first WebKit with declarative
    /// messages read it (D-17). Not unless asked for.
    pub const fn nested_app_badge(mut self, nested: bool) -> Self {
        self.nested_badge = nested;
        self
    }
}

/// What the page gets.
impl DeclarativeBuilder {
    /// Whether a service worker, where there is one, may change the notification before it is
    /// shown: it gets a push event whose `notification` is this one, and whose `data` is null
    /// (D-15).
    pub const fn mutable(mut self, mutable: bool) -> Self {
        self.mutable = mutable;
        self
    }

    /// What the page finds in `notification.data`.
    pub fn data<T: Serialize + ?Sized>(mut self, value: &T) -> Self {
        match serde_json::to_value(value) {
            Ok(value) => self.document.notification.data = Some(value),
            Err(error) => self.note(DeclarativeError::Json { member: "data", source: Arc::new(error) }),
        }
        self
    }

    /// A member of the application beside `notification`, which browsers ignore (D-10): for service
    /// workers in browsers that do not know declarative messages, which get the JSON as it is.
    pub fn member<T: Serialize + ?Sized>(mut self, name: impl Into<String>, value: &T) -> Self {
        let name = name.into();
        match (RESERVED.into_iter().find(|reserved| *reserved == name), serde_json::to_value(value)) {
            (Some(name), _) => self.note(DeclarativeError::Reserved { name }),
            (None, Ok(value)) => drop(self.document.members.insert(name, value)),
            (None, Err(error)) => {
                self.note(DeclarativeError::Json { member: "member", source: Arc::new(error) });
            }
        }
        self
    }

    /// The first problem is told.
    fn note(&mut self, problem: DeclarativeError) {
        self.problem.get_or_insert(problem);
    }
}

impl DeclarativeBuilder {
    /// The message.
    ///
    /// # Errors
    ///
    /// [`DeclarativeError`] when some browser would not show it, or when it is too large.
    pub fn build(self) -> Result<Declarative, DeclarativeError> {
        let Self { mut document, mutable, nested_badge, problem } = self;
        if let Some(problem) = problem {
            return Err(problem);
        }
        if document.app_badge.is_some_and(|number| number > MAX_INTEGER) {
            return Err(DeclarativeError::AppBadge);
        }
        let mut notification = checked(document.notification)?;
        if mutable {
            // In both places (D-16).
            document.mutable = Some(true);
            notification.mutable = Some(true);
        }
        notification.app_badge = document.app_badge.filter(|_| nested_badge).map(|number| number.to_string());
        document.notification = notification;
        write(&document)
    }
}

fn checked(mut notification: Notification) -> Result<Notification, DeclarativeError> {
    if notification.title.is_empty() {
        return Err(DeclarativeError::Title);
    }
    if notification.lang.as_deref().is_some_and(|tag| !lang::is_tag(tag)) {
        return Err(DeclarativeError::Lang);
    }
    if notification.silent == Some(true) && notification.vibrate.is_some() {
        return Err(DeclarativeError::SilentVibration);
    }
    if notification.renotify == Some(true) && notification.tag.as_deref().unwrap_or_default().is_empty() {
        return Err(DeclarativeError::RenotifyWithoutTag);
    }
    check_url(&mut notification.navigate, || "navigate".to_owned())?;
    let pictures = [
        ("icon", &mut notification.icon),
        ("image", &mut notification.image),
        ("badge", &mut notification.badge),
    ];
    for (member, url) in pictures {
        if let Some(url) = url {
            check_url(url, || member.to_owned())?;
        }
    }
    check_actions(&mut notification.actions)?;
    Ok(notification)
}

fn check_actions(actions: &mut [Action]) -> Result<(), DeclarativeError> {
    for index in 0..actions.len() {
        let (earlier, rest) = actions.split_at_mut(index);
        let action = &mut rest[0];
        // The empty name stands for the click on the notification itself.
        if action.name.is_empty() || action.title.is_empty() {
            return Err(DeclarativeError::Action { index });
        }
        if earlier.iter().any(|other| other.name == action.name) {
            return Err(DeclarativeError::ActionName { index });
        }
        check_url(&mut action.navigate, || format!("actions[{index}].navigate"))?;
        if let Some(icon) = &mut action.icon {
            check_url(icon, || format!("actions[{index}].icon"))?;
        }
    }
    Ok(())
}

fn check_url(url: &mut String, member: impl FnOnce() -> String) -> Result<(), DeclarativeError> {
    *url = url::https(url).map_err(|source| DeclarativeError::Url { member: member(), source })?;
    Ok(())
}

fn write(document: &Document) -> Result<Declarative, DeclarativeError> {
    let json = serde_json::to_vec(document).expect("texts, numbers and JSON values can be written");
    let len = json.len();
    let of_the_application = document.notification.data.is_some() || !document.members.is_empty();
    let payload =
        Payload::new(json).map_err(|_| DeclarativeError::TooLarge { len, limit: Payload::MAX_LEN })?;
    // Not every JSON parser goes deeper, and what cannot be parsed is not declarative.
    if of_the_application && serde_json::from_slice::<Value>(payload.as_bytes()).is_err() {
        return Err(DeclarativeError::TooDeep);
    }
    Ok(Declarative(payload))
}

/// Says nothing of what is in it.
impl fmt::Debug for DeclarativeBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DeclarativeBuilder([redacted])")
    }
}
