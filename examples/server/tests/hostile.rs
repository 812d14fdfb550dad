//! What nobody should send: the documented error each, never a 500, and nothing changed.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, missing_docs, unreachable_pub, reason = "a test")]

#[path = "support/raw.rs"]
mod raw;
#[path = "support/world.rs"]
mod world;

#[path = "hostile/bodies.rs"]
mod bodies;
#[path = "hostile/framing.rs"]
mod framing;
#[path = "hostile/paths.rs"]
mod paths;
#[path = "hostile/strangers.rs"]
mod strangers;

use std::fmt::Write as _;

use raw::{Answer, basic, exchange, request};
use reqwest::Method;
use serde_json::json;
use webpush_channels::store::journal::Journal as _;
use webpush_channels::store::{SqliteStore, SubscriptionStore as _};
use webpush_channels::{Subscription, SubscriptionId};
use world::{PUBLISHER, World, user};

const ADA: &str = "ada:secret";
const BOB: &str = "bob:secret";

/// A service with something to lose: Ada has a device and is in a channel, where something was published.
#[derive(Debug)]
struct Victim {
    world: World,
    device: Subscription,
    broadcast: String,
    store: SqliteStore,
}

impl Victim {
    async fn new() -> Self {
        Self::with(&[]).await
    }

    async fn with(flags: &[&str]) -> Self {
        let world = World::with(&[&["--publishes-per-second", "1000"], flags].concat()).await;
        let device = world.subscription(1);
        let body = json!({"data": device});
        assert_eq!(
            world.by(ADA, Method::POST, "/v0/subscriptions").json(&body).send().await.unwrap().status(),
            201
        );
        let registration = "/v0/channels/news/registration";
        assert_eq!(world.by(ADA, Method::PUT, registration).send().await.unwrap().status(), 202);
        let published = world.by(PUBLISHER, Method::POST, "/v0/channels/news").send().await.unwrap();
        let location = published.headers()["location"].to_str().unwrap();
        let broadcast = location[location.find("/v0/").unwrap()..].to_owned();
        let events = world.by(PUBLISHER, Method::GET, &format!("{broadcast}/events")).send().await.unwrap();
        assert!(events.text().await.unwrap().contains("event: end"));
        let store = SqliteStore::open(&world.directory.path().join("push.sqlite")).await.unwrap();
        Self { world, device, broadcast, store }
    }

    fn id(&self) -> SubscriptionId {
        self.device.id()
    }

    /// `/v0/subscriptions/` and the device's id.
    fn record(&self) -> String {
        format!("/v0/subscriptions/{}", self.id())
    }

    /// Everything that is stored of those who are in the tests.
    async fn snapshot(&self) -> String {
        let mut text = String::new();
        for pair in [ADA, BOB, PUBLISHER] {
            let subscriptions = self.store.subscriptions(&user(pair)).await.unwrap();
            let versions: Vec<_> =
                subscriptions.iter().map(|entry| (entry.reference(), entry.seen)).collect();
            let channels = self.store.channels(&user(pair)).await.unwrap();
            writeln!(text, "{pair}: {versions:?} {channels:?}").unwrap();
        }
        let limit = std::num::NonZeroU16::new(100).unwrap();
        for summary in self.store.recent(None, limit).await.unwrap() {
            let report = summary.report;
            writeln!(text, "{}: {:?} {}", summary.id, report.state, report.counts).unwrap();
        }
        text
    }

    async fn send(&self, octets: &[u8]) -> Option<Answer> {
        exchange(self.world.service.address(), octets).await
    }

    /// Sends each attack, and compares its verdict and what is stored.
    async fn withstands(&self, attacks: &[Attack]) {
        let before = self.snapshot().await;
        let mut wrong = Vec::new();
        for attack in attacks {
            let answer = self.send(&attack.octets).await;
            let verdict = answer.as_ref().map(Answer::verdict);
            if verdict.is_none_or(|verdict| !attack.verdicts.contains(&verdict)) {
                wrong.push(format!(
                    "{}: {verdict:?} instead of {:?}: {answer:?}",
                    attack.name, attack.verdicts
                ));
            }
        }
        assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), attacks.len(), wrong.join("\n"));
        assert_eq!(self.snapshot().await, before);
    }
}

/// Octets, and the answers that are right: status and errno, which is 0 where the HTTP library refuses.
#[derive(Debug)]
struct Attack {
    name: String,
    octets: Vec<u8>,
    verdicts: Vec<(u16, u64)>,
}

impl Attack {
    fn new(name: impl Into<String>, octets: Vec<u8>, verdicts: &[(u16, u64)]) -> Self {
        Self { name: name.into(), octets, verdicts: verdicts.to_vec() }
    }

    /// A request with a user and, where there is a body, JSON's content type.
    fn by(pair: &str, line: &str, body: &[u8], verdict: (u16, u64)) -> Self {
        let shown: String = String::from_utf8_lossy(body).chars().take(60).collect();
        let headers = [("Authorization", &*basic(pair)), ("Content-Type", "application/json")];
        let headers = if body.is_empty() { &headers[..1] } else { &headers };
        Self::new(format!("{line} {shown}"), request(line, headers, body), &[verdict])
    }
}
