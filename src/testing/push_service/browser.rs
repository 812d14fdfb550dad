//! Browsers: Firefox's side of a push service, over a WebSocket.
//!
//! A browser says `hello` once for each connection and is known by its `uaid` from then on. It
//! registers channels, each of which is a subscription with an endpoint, gets the messages to them
//! and acknowledges each. What it has not acknowledged when it goes away waits for its return.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use self::frame::Uaid;
use self::remote::Remote;
use super::PushService;
use crate::Endpoint;
use crate::testing::lock;

mod frame;
mod remote;
mod session;
mod upgrade;

pub(super) use self::remote::Channel;
pub(super) use self::upgrade::serve;

/// A browser that is connected to a [`PushService`](super::PushService).
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Browser {
    uaid: String,
    channels: Vec<String>,
}

impl Browser {
    /// What the service calls the browser's profile: 32 hexadecimal digits.
    #[must_use]
    pub fn uaid(&self) -> &str {
        &self.uaid
    }

    /// The ids of its channels, one for each subscription: UUIDs that the browser chose.
    #[must_use]
    pub fn channels(&self) -> &[String] {
        &self.channels
    }
}

impl PushService {
    /// Where browsers connect: what Firefox calls `dom.push.serverURL`.
    ///
    /// Only a service built with [`mozilla`](super::PushServiceBuilder::mozilla) answers there.
    /// A Firefox whose profile has these preferences subscribes at it:
    ///
    /// ```
    /// use webpush_channels::testing::PushService;
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// let service = PushService::builder().mozilla().start().await?;
    /// let user_js = format!(
    ///     r#"
    ///     user_pref("dom.push.serverURL", "{}");
    ///     // Its own endpoints need not be https: either.
    ///     user_pref("dom.push.testing.allowInsecureServerURL", true);
    ///     // No prompt, and no gesture before it.
    ///     user_pref("dom.push.testing.ignorePermission", true);
    ///     user_pref("permissions.default.desktop-notification", 1);
    ///     // A worker may take any number of messages without showing one.
    ///     user_pref("dom.push.maxQuotaPerSubscription", 1000000);
    ///     // Connects again soon.
    ///     user_pref("dom.push.retryBaseInterval", 500);
    ///     "#,
    ///     service.websocket_url(),
    /// );
    /// assert!(user_js.contains(&format!("ws://{}/", service.address())));
    /// // Started with that profile and a page on http://localhost that subscribes, it is seen in
    /// // `browsers`, and what it makes of the messages in `counters`.
    /// assert!(service.browsers().is_empty());
    /// assert_eq!(service.counters().browser_acks, 0);
    /// # std::io::Result::Ok(())
    /// # })?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// While `dom.push.connection.enabled` is false, that browser is offline.
    #[must_use]
    pub fn websocket_url(&self) -> String {
        // `http` becomes `ws`, and so `https` becomes `wss`.
        format!("{}/", self.service.origin.as_str().replacen("http", "ws", 1))
    }

    /// The browsers that are connected.
    #[must_use]
    pub fn browsers(&self) -> Vec<Browser> {
        self.service.browsers.connected()
    }

    /// Waits until the connected browsers are so.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    pub async fn wait_for_browsers(&self, mut until: impl FnMut(&[Browser]) -> bool) {
        self.wait(|| until(&self.browsers()).then_some(())).await;
    }

    /// Forgets a browser, as if its record were lost: its connection ends, its subscriptions are
    /// gone, and at its next `hello` it gets a new name, which tells it to subscribe anew.
    ///
    /// # Panics
    ///
    /// When no browser has this name.
    pub fn forget_browser(&self, uaid: &str) {
        assert!(self.service.browsers.forget(uaid), "the browser said hello to this push service");
        self.service.changed.notify_waiters();
    }

    /// Ends the subscription with this endpoint: 410 from now on. As
    /// [`unsubscribe`](Self::unsubscribe), where a browser holds the rest of the subscription.
    ///
    /// # Panics
    ///
    /// When the endpoint is another service's.
    pub fn expire(&self, endpoint: &Endpoint) {
        self.find_endpoint(endpoint).1.unsubscribe();
        self.service.changed.notify_waiters();
    }
}

/// All browsers that ever said `hello`, connected or not.
#[derive(Debug, Default)]
pub(super) struct Browsers {
    known: Mutex<BTreeMap<Uaid, Arc<Remote>>>,
}

impl Browsers {
    /// The browser with this `uaid`, or a new one.
    fn greet(&self, uaid: Option<&Uaid>) -> Arc<Remote> {
        let mut known = lock(&self.known);
        if let Some(remote) = uaid.and_then(|uaid| known.get(uaid)) {
            return Arc::clone(remote);
        }
        let uaid = Uaid::random();
        let remote = Arc::new(Remote::new(uaid.clone()));
        known.insert(uaid, Arc::clone(&remote));
        remote
    }

    /// Forgets a browser; returns whether it was known.
    pub(super) fn forget(&self, uaid: &str) -> bool {
        let Ok(uaid) = Uaid::try_from(uaid.to_owned()) else { return false };
        let removed = lock(&self.known).remove(&uaid);
        removed.is_some_and(|remote| {
            remote.end();
            true
        })
    }

    /// Those that are connected.
    pub(super) fn connected(&self) -> Vec<Browser> {
        lock(&self.known).values().filter_map(|remote| remote.look()).collect()
    }
}
