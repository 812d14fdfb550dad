//! Servers that end in the middle of a broadcast, in their own process: nobody is left out.

#![cfg(unix)]
#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]

#[path = "support/process.rs"]
mod process;
#[path = "support/storage.rs"]
mod storage;

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use process::Server;
use serde_json::Value;
use storage::{CHANNEL, fill, report, sqlite, until};
use tokio::time::Instant;
use webpush_channels::store::journal::Journal;
use webpush_channels::testing::PushService;
use webpush_channels::{BroadcastId, BroadcastState, OutcomeKind, Report, Subscription};

const USERS: u64 = 240;
/// With it and eight requests in flight, a broadcast takes three seconds.
const LATENCY: Duration = Duration::from_millis(100);
const FLAGS: [&str; 4] = ["--in-flight", "8", "--term", "2"];

/// A broadcast that is being sent by a server.
struct Running {
    data: tempfile::TempDir,
    push: PushService,
    subscriptions: Vec<Subscription>,
    store: Arc<dyn Journal>,
    id: BroadcastId,
    server: Server,
}

impl Running {
    async fn start() -> Self {
        let data = tempfile::tempdir().unwrap();
        let push = PushService::builder().latency(LATENCY).start().await.unwrap();
        let server = Server::start(data.path(), FLAGS).await;
        let store = sqlite(data.path()).await;
        let subscriptions = fill(&*store, &push, USERS).await;
        let id = server.publish(CHANNEL).await;
        push.wait_for(|counters| counters.accepted >= USERS / 5).await;
        Self { data, push, subscriptions, store, id, server }
    }

    /// Until the broadcast has ended; how often each got the message is in it.
    async fn end(&self) -> (Report, Vec<usize>) {
        until("it ends", async || report(&*self.store, &self.id).await.state != BroadcastState::Running)
            .await;
        let times = self.subscriptions.iter().map(|it| self.push.received(it).len()).collect();
        (report(&*self.store, &self.id).await, times)
    }
}

#[track_caller]
fn everybody_was_reached(report: &Report, times: &[usize]) {
    assert_eq!(report.state, BroadcastState::Finished, "{report}");
    assert_eq!(report.counts[OutcomeKind::Accepted], USERS, "each counts once: {report}");
    let left_out = times.iter().filter(|times| **times == 0).count();
    assert_eq!(left_out, 0, "somebody was left out: {report}");
}

async fn key(server: &Server) -> String {
    let body = reqwest::get(format!("{}/v0/vapid", server.base)).await.unwrap().text().await.unwrap();
    let body: Value = serde_json::from_str(&body).unwrap();
    body["data"]["applicationServerKey"].as_str().unwrap().to_owned()
}

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn a_first_start_makes_everything_and_the_next_finds_it() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("new").join("data");
    let server = Server::start(&data, FLAGS).await;
    let made = key(&server).await;
    assert_eq!((made.len(), mode(&data)), (87, 0o700));
    assert_eq!(mode(&data.join("vapid.pem")), 0o600);
    assert!(data.join("push.sqlite").is_file());
    assert!(server.terminate().await.success());
    // Only those of the database and of the key: what made them is gone.
    let files = std::fs::read_dir(&data).unwrap().map(|file| file.unwrap());
    for file in files {
        let name = file.file_name().into_string().unwrap();
        assert!(name == "vapid.pem" || name.starts_with("push.sqlite"), "{name}");
        assert_eq!(mode(&file.path()), 0o600, "{name}");
    }
    let again = Server::start(&data, FLAGS).await;
    assert_eq!(key(&again).await, made, "browsers are bound to the key");
    assert!(again.terminate().await.success());
}

#[tokio::test]
async fn a_key_that_others_can_read_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let key = directory.path().join("vapid.pem");
    assert!(Server::start(directory.path(), FLAGS).await.terminate().await.success());
    for (mode, told) in [(0o600, false), (0o400, false), (0o640, true), (0o604, true)] {
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(mode)).unwrap();
        let log = directory.path().join("log");
        let mut command = process::command();
        command.args(["--listen", "127.0.0.1:0", "--log", "warn", "--data-dir"]).arg(directory.path());
        command.stderr(std::fs::File::create(&log).unwrap());
        assert!(Server::of(command).await.terminate().await.success());
        let log = std::fs::read_to_string(&log).unwrap();
        assert_eq!(log.contains("others can read the VAPID key"), told, "{mode:o}: {log}");
        assert!(!told || log.contains(&format!("{mode:o}")), "{log}");
    }
}

#[tokio::test]
async fn a_server_that_is_asked_to_end_leaves_nobody_out_and_repeats_nothing() {
    let running = Running::start().await;
    let asked = Instant::now();
    let status = running.server.terminate().await;
    assert!(status.success(), "{status}");
    assert!(asked.elapsed() < Duration::from_secs(10), "it took {:?}", asked.elapsed());
    let halfway = report(&*running.store, &running.id).await;
    assert_eq!(halfway.state, BroadcastState::Running, "it ended too early to tell: {halfway}");
    let running = Running { server: Server::start(running.data.path(), FLAGS).await, ..running };
    let (report, times) = running.end().await;
    everybody_was_reached(&report, &times);
    assert_eq!(report.takeovers, 0, "it gave its leases back: {report}");
    assert!(times.iter().all(|times| *times == 1), "{times:?}");
}

#[tokio::test]
async fn a_server_that_is_killed_leaves_nobody_out() {
    let running = Running::start().await;
    running.server.kill().await;
    let sent = running.push.counters().accepted;
    let halfway = report(&*running.store, &running.id).await;
    assert_eq!(halfway.state, BroadcastState::Running, "it ended too early to tell: {halfway}");
    let running = Running { server: Server::start(running.data.path(), FLAGS).await, ..running };
    let (report, times) = running.end().await;
    everybody_was_reached(&report, &times);
    assert!(report.takeovers > 0, "{report}");
    // What it had in hand: less than it had sent, because some of that was written down, or all of it.
    let repeats: usize = times.iter().map(|times| times - 1).sum();
    assert!(repeats as u64 <= sent, "{repeats} of {sent}: {report}");
    assert!(running.server.terminate().await.success());
}
