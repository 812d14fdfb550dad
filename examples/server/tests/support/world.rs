//! A service of its own for a test: in this process, on a free port, with a push service on this host.

#![allow(dead_code, reason = "a part of the tests that use it")]

use std::ffi::OsString;

use reqwest::{Client, Method, RequestBuilder, Response};
use serde_json::Value;
use tempfile::TempDir;
use webpush_channels::testing::{PushService, UserAgent};
use webpush_channels::{Subscription, UserId};
use webpush_channels_server::auth::Basic;
use webpush_channels_server::{Service, Settings};

/// Its credentials, `user:password`.
pub(crate) const PUBLISHER: &str = "publisher:secret";

/// A service, its directory, and a push service.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) service: Service,
    pub(crate) push: PushService,
    pub(crate) client: Client,
    pub(crate) directory: TempDir,
}

impl World {
    /// The publisher may publish everywhere.
    pub(crate) async fn start() -> Self {
        Self::with(&[]).await
    }

    /// With more flags.
    pub(crate) async fn with(flags: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let service = Service::start(settings(&directory, flags)).await.unwrap();
        let push = PushService::start().await.unwrap();
        let client = Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        Self { service, push, client, directory }
    }

    /// A request to a path by nobody.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("http://{}{path}", self.service.address()))
    }

    /// A request of the user `user:password`.
    pub(crate) fn by(&self, pair: &str, method: Method, path: &str) -> RequestBuilder {
        let (user, password) = pair.split_once(':').unwrap();
        self.request(method, path).basic_auth(user, Some(password))
    }

    /// A subscription that was never seen before, of a simulated browser.
    pub(crate) fn subscription(&self, seed: u64) -> Subscription {
        self.push.subscribe(&UserAgent::seeded(seed))
    }
}

/// Settings for a directory of this test's own.
pub(crate) fn settings(directory: &TempDir, flags: &[&str]) -> Settings {
    let publisher = format!("{}=*", user(PUBLISHER));
    let data = directory.path().to_str().unwrap();
    let own = ["server", "--listen", "127.0.0.1:0", "--allow-loopback-endpoints", "--data-dir", data];
    let own = own.into_iter().chain(["--publisher", &publisher]);
    Settings::parse(own.chain(flags.iter().copied()).map(OsString::from)).unwrap()
}

/// The user id of a pair.
pub(crate) fn user(pair: &str) -> UserId {
    Basic::new("").user_id(pair)
}

/// Status and JSON of a response.
pub(crate) async fn read(response: Response) -> (u16, Value) {
    let status = response.status().as_u16();
    let text = response.text().await.unwrap();
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}
