//! The parser of the W3C Push API, and what makes creating the notification fail.

use serde_json::{Map, Value};

use super::url::Base;
use super::{Declared, DeclaredAction, Ordinary, direction, text, unsigned};

pub(super) fn read(
    document: &Map<String, Value>,
    notification: &Map<String, Value>,
    scope: &Base,
) -> Result<Declared, Ordinary> {
    let flag = |name: &str| notification.get(name).and_then(Value::as_bool);
    // A picture whose URL does not parse is left out.
    let picture = |name: &str| text(notification, name).and_then(|url| scope.join(&url));
    let navigate = text(notification, "navigate").ok_or(Ordinary::Navigate)?;
    let declared = Declared {
        title: text(notification, "title").ok_or(Ordinary::Title)?,
        navigate: scope.join(&navigate).ok_or(Ordinary::Navigate)?,
        dir: text(notification, "dir").as_deref().and_then(direction),
        lang: text(notification, "lang"),
        body: text(notification, "body"),
        tag: text(notification, "tag"),
        image: picture("image"),
        icon: picture("icon"),
        badge: picture("badge"),
        vibrate: notification.get("vibrate").and_then(pattern),
        timestamp: notification.get("timestamp").and_then(unsigned),
        renotify: flag("renotify"),
        silent: flag("silent"),
        require_interaction: flag("requireInteraction"),
        data: notification.get("data").map(Value::to_string),
        actions: actions(notification, scope)?,
        mutable: document.get("mutable").and_then(Value::as_bool).unwrap_or_default(),
        app_badge: None,
    };
    if declared.silent == Some(true) && declared.vibrate.is_some() {
        return Err(Ordinary::SilentVibration);
    }
    if declared.renotify == Some(true) && declared.tag.as_deref().unwrap_or_default().is_empty() {
        return Err(Ordinary::RenotifyWithoutTag);
    }
    Ok(declared)
}

/// All of 32 bits, or none at all (D-11).
fn pattern(value: &Value) -> Option<Vec<u32>> {
    let item = |item: &Value| unsigned(item).and_then(|millis| u32::try_from(millis).ok());
    value.as_array()?.iter().map(item).collect()
}

/// Those that lack something are skipped; a URL that does not parse spoils everything (D-12).
fn actions(notification: &Map<String, Value>, scope: &Base) -> Result<Vec<DeclaredAction>, Ordinary> {
    let mut actions = Vec::new();
    let given = notification.get("actions").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    for (index, one) in given.iter().enumerate() {
        let Some(one) = one.as_object() else { continue };
        let (Some(name), Some(title), Some(navigate)) =
            (text(one, "action"), text(one, "title"), text(one, "navigate"))
        else {
            continue;
        };
        let navigate = scope.join(&navigate).ok_or(Ordinary::Action { index })?;
        let icon = text(one, "icon").and_then(|url| scope.join(&url));
        actions.push(DeclaredAction { name, title, navigate, icon });
    }
    Ok(actions)
}
