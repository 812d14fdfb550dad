//! What only the browser itself knows: preferences, notifications on the screen, consoles.

use serde_json::{Value, json};

use super::{Firefox, text};
use crate::{Context, Failure, MarionetteError, eventually};

/// A notification as a person sees it.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Alert {
    /// The bold line.
    pub title: String,
    /// The text below.
    pub body: String,
}

/// With `arguments[0]`, clicks the first whose title it is.
const ALERTS: &str = r#"
    const alerts = [];
    for (const shown of Services.wm.getEnumerator("alert:alert")) {
        const text = id => shown.document.getElementById(id)?.getAttribute("value")
            ?? shown.document.getElementById(id)?.textContent ?? "";
        alerts.push({ title: text("alertTitleLabel"), body: text("alertTextLabel"), shown });
    }
    if (arguments.length === 0) return alerts.map(({ title, body }) => ({ title, body }));
    const wanted = alerts.find(alert => alert.title === arguments[0]);
    wanted?.shown.document.getElementById("alertBox").click();
    return wanted !== undefined;"#;

const CONSOLE: &str = r#"
    const events = Cc["@mozilla.org/consoleAPI-storage;1"].getService(Ci.nsIConsoleAPIStorage).getEvents()
        .map(event => `${event.filename}:${event.lineNumber} ${event.level}: ${event.arguments.map(String).join(" ")}`);
    return [...Services.console.getMessageArray().map(String), ...events].join("\n")"#;

/// What pages at the address in `arguments[0]` did not catch, and what their policies forbade. Firefox keeps what service
/// workers throw from here.
const ERRORS: &str = r#"
    const errors = Services.console.getMessageArray()
        .filter(message => message instanceof Ci.nsIScriptError && message.sourceName.startsWith(arguments[0]))
        .filter(message => !(message.flags & Ci.nsIScriptError.warningFlag))
        .map(message => `${message.sourceName}:${message.lineNumber} ${message.errorMessage}`);
    return errors.join("\n")"#;

impl Firefox {
    /// Runs the body of an async function with the browser's own rights.
    pub async fn privileged(&self, body: &str, arguments: &[Value]) -> Result<Value, MarionetteError> {
        self.session.lock().await.run(Context::Chrome, body, arguments).await
    }

    /// Sets a preference to a boolean or to a number.
    pub async fn set_preference(&self, name: &str, value: impl Into<Value>) -> Result<(), MarionetteError> {
        let body = "const [name, value] = arguments;
            if (typeof value === 'boolean') Services.prefs.setBoolPref(name, value);
            else Services.prefs.setIntPref(name, value)";
        self.privileged(body, &[name.into(), value.into()]).await.map(drop)
    }

    /// Whether pages are told that their reader likes it dark.
    pub async fn set_dark(&self, dark: bool) -> Result<(), MarionetteError> {
        let scheme = i32::from(!dark);
        self.set_preference("layout.css.prefers-color-scheme.content-override", scheme).await
    }

    /// Cuts the connection that pushes come over, and only that, or lets the browser make it again.
    pub async fn set_online(&self, online: bool) -> Result<(), MarionetteError> {
        self.set_preference("dom.push.connection.enabled", online).await
    }

    /// The notifications that are on the screen.
    pub async fn alerts(&self) -> Result<Vec<Alert>, MarionetteError> {
        let shown = self.privileged(ALERTS, &[]).await?;
        let alert = |alert: &Value| Ok(Alert { title: text(&alert["title"])?, body: text(&alert["body"])? });
        shown.as_array().into_iter().flatten().map(alert).collect()
    }

    /// Clicks on the notification with this title, as soon as it is on the screen.
    pub async fn click_alert(&self, title: &str) -> Result<(), Failure> {
        let what = format!("notification {title:?} to click on");
        eventually(&what, async || {
            let clicked = self.privileged(ALERTS, &[title.into()]).await?;
            Ok((clicked == true).then_some(()))
        })
        .await
    }

    /// The address of each tab, and whether it is in front.
    pub async fn tabs(&self) -> Result<Vec<(String, bool)>, MarionetteError> {
        let body = "return gBrowser.tabs.map(tab => [tab.linkedBrowser.currentURI.spec, tab.selected])";
        let tabs = self.privileged(body, &[]).await?;
        let tab = |tab: &Value| Ok((text(&tab[0])?, tab[1] == true));
        tabs.as_array().into_iter().flatten().map(tab).collect()
    }

    /// What the browser logged, and the errors of pages. What pages and workers log themselves is in the browser's log.
    pub async fn console(&self) -> Result<String, MarionetteError> {
        text(&self.privileged(CONSOLE, &[]).await?)
    }

    /// Errors of the pages whose addresses begin like this, a line each; not those of their service workers.
    pub async fn errors_of(&self, origin: &str) -> Result<String, MarionetteError> {
        text(&self.privileged(ERRORS, &[json!(origin)]).await?)
    }
}
