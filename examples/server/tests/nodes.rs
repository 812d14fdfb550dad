//! Several servers on one PostgreSQL, and a database that is away. `scripts/postgres run --fast` has a server for it.

#![cfg(unix)]
#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]

#[path = "../../../tests/support/postgres.rs"]
mod postgres;
#[path = "support/process.rs"]
mod process;
#[path = "../../../tests/support/proxy.rs"]
mod proxy;
#[path = "support/storage.rs"]
mod storage;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use postgres::{Database, port};
use process::Server;
use proxy::Proxy;
use reqwest::{Client, Response};
use serde_json::Value;
use storage::{CHANNEL, fill, report, until};
use webpush_channels::store::journal::Journal;
use webpush_channels::testing::PushService;
use webpush_channels::{BroadcastId, BroadcastState, OutcomeKind, Report, Subscription};

/// Enough for seven ranges, of which a server takes four at once.
const USERS: u64 = 1600;
/// With it and 32 requests in flight, one server needs five seconds for a broadcast.
const LATENCY: Duration = Duration::from_millis(100);

/// A database with members, whose push service is slow.
struct World {
    directory: tempfile::TempDir,
    database: Database,
    store: Arc<dyn Journal>,
    push: PushService,
    subscriptions: Vec<Subscription>,
}

impl World {
    async fn new() -> Self {
        let database = Database::new().await;
        let store: Arc<dyn Journal> = Arc::new(database.store().await);
        let push = PushService::builder().latency(LATENCY).start().await.unwrap();
        let subscriptions = fill(&*store, &push, USERS).await;
        Self { directory: tempfile::tempdir().unwrap(), database, store, push, subscriptions }
    }

    /// One that shares the database and the VAPID key.
    async fn server(&self, name: &str, url: &str) -> Server {
        let key = self.directory.path().join("vapid.pem");
        let flags = ["--in-flight", "32", "--term", "5", "--database-url", url, "--vapid-key"];
        let flags = flags.map(Path::new).into_iter().chain([key.as_path()]);
        Server::start(&self.directory.path().join(name), flags).await
    }

    /// Until the broadcast has ended and everybody has the message.
    async fn end(&self, id: &BroadcastId) -> (Report, usize) {
        until("it ends", async || report(&*self.store, id).await.state != BroadcastState::Running).await;
        let report = report(&*self.store, id).await;
        assert_eq!(report.state, BroadcastState::Finished, "{report}");
        assert_eq!(report.counts[OutcomeKind::Accepted], USERS, "each counts once: {report}");
        let times: Vec<_> = self.subscriptions.iter().map(|it| self.push.received(it).len()).collect();
        assert!(times.iter().all(|times| *times > 0), "somebody was left out: {report}");
        (report, times.iter().sum::<usize>() - times.len())
    }
}

/// Messages that this server's push services accepted.
async fn accepted(server: &Server) -> u64 {
    let text = reqwest::get(format!("{}/metrics", server.base)).await.unwrap().text().await.unwrap();
    let name = r#"webpush_requests_total{service="other",result="2xx"} "#;
    text.lines().find_map(|line| line.strip_prefix(name)).unwrap().parse().unwrap()
}

#[tokio::test]
async fn two_servers_share_a_broadcast() {
    let world = World::new().await;
    let one = world.server("one", world.database.url()).await;
    let other = world.server("other", world.database.url()).await;
    let id = one.publish(CHANNEL).await;
    let (report, repeats) = world.end(&id).await;
    assert_eq!((report.takeovers, repeats), (0, 0), "{report}");
    let (by_one, by_other) = (accepted(&one).await, accepted(&other).await);
    assert_eq!(by_one + by_other, USERS);
    assert!(by_one >= USERS / 10 && by_other >= USERS / 10, "{by_one} and {by_other}");
    assert!(one.terminate().await.success() && other.terminate().await.success());
}

#[tokio::test]
async fn what_a_killed_server_had_in_hand_another_sends() {
    let world = World::new().await;
    let one = world.server("one", world.database.url()).await;
    let other = world.server("other", world.database.url()).await;
    let id = other.publish(CHANNEL).await;
    until("both are at work", async || accepted(&one).await >= 32 && accepted(&other).await >= 32).await;
    one.kill().await;
    let (report, repeats) = world.end(&id).await;
    assert!(report.takeovers > 0, "{report}");
    // It repeats at most what the killed one had in hand, and nothing of its own.
    let by_other = accepted(&other).await;
    assert!(by_other <= USERS, "{by_other} sent, {repeats} of them again: {report}");
    assert!(other.terminate().await.success());
}

async fn get(server: &Server, path: &str) -> Response {
    let request = Client::new().get(format!("{}{path}", server.base));
    request.basic_auth("ada", Some("secret")).send().await.unwrap()
}

#[tokio::test]
async fn while_the_database_is_away_clients_are_told_to_come_back() {
    let world = World::new().await;
    let mut proxy = Proxy::new(port(world.database.url())).await;
    let server = world.server("one", &proxy.url(world.database.url())).await;
    let id = server.publish(CHANNEL).await;
    world.push.wait_for(|counters| counters.accepted >= USERS / 8).await;
    assert_eq!(get(&server, "/v0/__heartbeat__").await.status(), 200);
    proxy.stop().await;
    for path in ["/v0/channels", "/v0/subscriptions", "/v0/channels/news"] {
        let response = get(&server, path).await;
        assert_eq!(
            (response.status().as_u16(), &response.headers()["retry-after"]),
            (503, &"3".parse().unwrap())
        );
        let error: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
        assert_eq!((&error["code"], &error["errno"]), (&503.into(), &201.into()), "{path}");
    }
    let heartbeat = get(&server, "/v0/__heartbeat__").await;
    assert_eq!(heartbeat.status(), 503);
    let heartbeat: Value = serde_json::from_str(&heartbeat.text().await.unwrap()).unwrap();
    assert_eq!(heartbeat["storage"], false);
    assert_eq!(get(&server, "/v0/__lbheartbeat__").await.status(), 200);
    let metrics = get(&server, "/metrics").await.text().await.unwrap();
    assert!(metrics.contains("webpush_channels_database_up 0\n"), "{metrics}");
    // The pages that it has are sent meanwhile.
    let before = report(&*world.store, &id).await;
    assert_eq!(before.state, BroadcastState::Running, "it ended too early to tell: {before}");
    proxy.start();
    let (report, repeats) = world.end(&id).await;
    assert_eq!((report.takeovers, repeats), (0, 0), "its leases outlived that: {report}");
    assert_eq!(get(&server, "/v0/__heartbeat__").await.status(), 200);
    assert!(server.terminate().await.success());
}

#[tokio::test]
async fn a_server_that_can_send_no_more_takes_nothing_more() {
    let world = World::new().await;
    let server = world.server("one", world.database.url()).await;
    // As an administrator's mistake.
    let damage = world.database.client().await;
    damage.batch_execute("ALTER TABLE webpush_channels.leases RENAME TO mislaid").await.unwrap();
    assert!(!server.end().await.success());
}
