//! What WebKit does: `NotificationJSONParser`, as of 2025.

use serde_json::{Map, Value};

use super::url::Base;
use super::{Declared, Ordinary, direction, unsigned};

pub(super) fn read(
    document: &Map<String, Value>,
    notification: &Map<String, Value>,
) -> Result<Declared, Ordinary> {
    let texts = |name| member(notification, name, |value| value.as_str().map(str::to_owned));
    let flag = |object, name| member(object, name, Value::as_bool);
    let navigate = texts("navigate").ok().flatten().and_then(|url| Base::parse(&url));
    Ok(Declared {
        navigate: navigate.ok_or(Ordinary::Navigate)?.to_string(),
        title: texts("title").ok().flatten().filter(|title| !title.is_empty()).ok_or(Ordinary::Title)?,
        app_badge: member(document, "app_badge", badge)?.or(member(notification, "app_badge", badge)?),
        dir: member(notification, "dir", |value| value.as_str().and_then(direction))?,
        lang: texts("lang")?,
        body: texts("body")?,
        tag: texts("tag")?,
        icon: member(notification, "icon", |value| value.as_str().and_then(Base::parse))?
            .map(|url| url.to_string()),
        silent: flag(notification, "silent")?,
        data: notification.get("data").map(Value::to_string),
        mutable: flag(document, "mutable")?.or(flag(notification, "mutable")?).unwrap_or_default(),
        ..Declared::default()
    })
}

/// An optional member, which must be right if it is there.
fn member<T>(
    object: &Map<String, Value>,
    name: &'static str,
    read: impl Fn(&Value) -> Option<T>,
) -> Result<Option<T>, Ordinary> {
    object.get(name).map(|value| read(value).ok_or(Ordinary::Member { name })).transpose()
}

/// A number, or one in decimal digits.
fn badge(value: &Value) -> Option<u64> {
    match value.as_str() {
        Some(digits) if digits.bytes().all(|octet| octet.is_ascii_digit()) => digits.parse().ok(),
        Some(_) => None,
        None => unsigned(value),
    }
}
