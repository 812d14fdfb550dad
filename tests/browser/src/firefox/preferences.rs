use std::fmt::Write as _;

/// A value of `user.js`.
#[derive(Clone, Copy, Debug)]
enum Preference {
    Is(bool),
    Number(i32),
    Text(&'static str),
}

use Preference::{Is, Number, Text};

/// Push without a vendor: endpoints and sockets without TLS, no prompt, no quota for pushes that show nothing.
const PUSH: &[(&str, Preference)] = &[
    ("dom.push.testing.allowInsecureServerURL", Is(true)),
    ("dom.push.testing.ignorePermission", Is(true)),
    ("dom.push.connection.enabled", Is(true)),
    ("dom.push.maxQuotaPerSubscription", Number(1_000_000)),
    ("dom.push.retryBaseInterval", Number(500)),
    ("dom.serviceWorkers.testing.enabled", Is(true)),
    // A hidden browser that makes thumbnails would load the page, and subscribe a second time.
    ("browser.pagethumbnails.capturing_disabled", Is(true)),
];

/// Notifications without a desktop that would show them: windows of the browser's own, which can be clicked.
const NOTIFICATIONS: &[(&str, Preference)] = &[
    ("permissions.default.desktop-notification", Number(1)),
    ("dom.webnotifications.requireuserinteraction", Is(false)),
    ("alerts.useSystemBackend", Is(false)),
    ("alerts.disableSlidingEffect", Is(true)),
];

/// Loopback and nothing else: the proxy's port is closed.
const LOOPBACK: &[(&str, Preference)] = &[
    ("network.proxy.type", Number(1)),
    ("network.proxy.http", Text("127.0.0.1")),
    ("network.proxy.http_port", Number(9)),
    ("network.proxy.ssl", Text("127.0.0.1")),
    ("network.proxy.ssl_port", Number(9)),
    ("network.proxy.socks", Text("127.0.0.1")),
    ("network.proxy.socks_port", Number(9)),
    ("network.proxy.no_proxies_on", Text("localhost, 127.0.0.1")),
    ("network.trr.mode", Number(5)),
    ("network.captive-portal-service.enabled", Is(false)),
    ("network.connectivity-service.enabled", Is(false)),
    ("network.dns.disablePrefetch", Is(true)),
    ("network.prefetch-next", Is(false)),
    ("network.http.speculative-parallel-limit", Number(0)),
    ("services.settings.server", Text("data:,#remote-settings-dummy/v1")),
];

/// What a browser does besides showing pages.
const QUIET: &[(&str, Preference)] = &[
    ("app.normandy.enabled", Is(false)),
    ("app.shield.optoutstudies.enabled", Is(false)),
    ("app.update.auto", Is(false)),
    ("app.update.disabledForTesting", Is(true)),
    ("browser.aboutwelcome.enabled", Is(false)),
    ("browser.contentblocking.report.lockwise.enabled", Is(false)),
    ("browser.newtabpage.activity-stream.feeds.system.topstories", Is(false)),
    ("browser.newtabpage.enabled", Is(false)),
    ("browser.places.speculativeConnect.enabled", Is(false)),
    ("browser.region.update.enabled", Is(false)),
    ("browser.safebrowsing.blockedURIs.enabled", Is(false)),
    ("browser.safebrowsing.downloads.enabled", Is(false)),
    ("browser.safebrowsing.malware.enabled", Is(false)),
    ("browser.safebrowsing.phishing.enabled", Is(false)),
    ("browser.search.update", Is(false)),
    ("browser.sessionstore.resume_from_crash", Is(false)),
    ("browser.shell.checkDefaultBrowser", Is(false)),
    ("browser.startup.homepage", Text("about:blank")),
    ("browser.startup.homepage_override.mstone", Text("ignore")),
    ("browser.startup.page", Number(0)),
    ("browser.topsites.contile.enabled", Is(false)),
    ("browser.tabs.warnOnClose", Is(false)),
    ("browser.warnOnQuit", Is(false)),
    ("datareporting.healthreport.uploadEnabled", Is(false)),
    ("datareporting.policy.dataSubmissionEnabled", Is(false)),
    ("datareporting.usage.uploadEnabled", Is(false)),
    ("extensions.getAddons.cache.enabled", Is(false)),
    ("extensions.systemAddon.update.enabled", Is(false)),
    ("extensions.update.enabled", Is(false)),
    ("geo.provider.testing", Is(true)),
    ("media.gmp-manager.updateEnabled", Is(false)),
    ("nimbus.rollouts.enabled", Is(false)),
    ("signon.autofillForms", Is(false)),
    ("signon.rememberSignons", Is(false)),
    ("termsofuse.bypassNotification", Is(true)),
    ("toolkit.cosmeticAnimations.enabled", Is(false)),
    ("toolkit.telemetry.enabled", Is(false)),
    ("toolkit.telemetry.reportingpolicy.firstRun", Is(false)),
    ("toolkit.telemetry.server", Text("")),
    ("toolkit.telemetry.unified", Is(false)),
];

/// Scrollbars take room from the page, and no phone has such.
const LOOKS: &[(&str, Preference)] = &[("ui.useOverlayScrollbars", Number(1))];

/// The port is the system's choice; what pages and workers log goes to the browser's log.
const REMOTE: &[(&str, Preference)] =
    &[("marionette.port", Number(0)), ("devtools.console.stdout.content", Is(true))];

const ALL: [&[(&str, Preference)]; 6] = [PUSH, NOTIFICATIONS, LOOPBACK, QUIET, LOOKS, REMOTE];

/// The text of `user.js` for a browser whose pushes come from this WebSocket.
pub(super) fn user_js(push_server: &str) -> String {
    let mut text = String::new();
    line(&mut text, "dom.push.serverURL", &quoted(push_server));
    for (name, value) in ALL.into_iter().flatten() {
        let value = match value {
            Is(value) => value.to_string(),
            Number(value) => value.to_string(),
            Text(value) => quoted(value),
        };
        line(&mut text, name, &value);
    }
    text
}

fn line(text: &mut String, name: &str, value: &str) {
    writeln!(text, "user_pref({}, {value});", quoted(name)).expect("text takes everything");
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_preference_is_one_line_of_javascript() {
        let text = user_js("ws://127.0.0.1:1/\"");
        assert!(text.starts_with(r#"user_pref("dom.push.serverURL", "ws://127.0.0.1:1/\"");"#));
        assert!(text.lines().all(|line| line.starts_with("user_pref(\"") && line.ends_with(");")));
        assert!(text.contains("\nuser_pref(\"network.proxy.type\", 1);\n"));
    }

    #[test]
    fn none_is_set_twice() {
        let names: Vec<_> = ALL.into_iter().flatten().collect();
        let different: HashSet<_> = names.iter().map(|(name, _)| name).collect();
        assert_eq!(different.len(), names.len());
    }
}
