//! The example `send`, run in this process against the push service of the test kit.

#![allow(clippy::unwrap_used, reason = "a test may")]

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use webpush_channels::engine::vapid::VapidKey;
use webpush_channels::testing::{Answer, PushService, UserAgent};

#[allow(dead_code, reason = "its main is not called")]
#[path = "../examples/send.rs"]
mod send;

/// The files of one test, and its push service.
struct Fixture {
    dir: PathBuf,
    service: PushService,
    subscription: webpush_channels::Subscription,
}

impl Fixture {
    async fn new(test: &str, tls: bool) -> Self {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("send-{test}"));
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).unwrap();
        let service = PushService::builder().tls(tls).start().await.unwrap();
        let subscription = service.subscribe(&UserAgent::seeded(1));
        fs::write(dir.join("key"), VapidKey::generate().unwrap().to_pkcs8_pem().expose()).unwrap();
        fs::write(dir.join("subscription"), serde_json::to_string(&subscription).unwrap()).unwrap();
        fs::write(dir.join("ca"), service.ca_pem().unwrap_or_default()).unwrap();
        Self { dir, service, subscription }
    }

    fn file(&self, name: &str) -> String {
        self.dir.join(name).to_str().unwrap().to_owned()
    }

    /// The line that is printed, or the complaint.
    async fn send(&self, more: &[&str], payload: &str) -> Result<serde_json::Value, String> {
        let (key, subscription) = (self.file("key"), self.file("subscription"));
        let given = ["--vapid-key", &key, "--contact", "mailto:ops@example.org"];
        let args: Vec<_> = [&given, more, &[&subscription]].concat().iter().map(OsString::from).collect();
        let sent = send::run(args, payload.as_bytes().to_vec()).await;
        sent.map(|sent| send::describe(&sent)).map_err(|error| error.to_string())
    }
}

#[tokio::test]
async fn a_message_arrives_over_tls_with_what_was_asked_for() {
    let fixture = Fixture::new("tls", true).await;
    let ca = fixture.file("ca");
    let options =
        ["--allow-loopback", "--ca", &ca, "--ttl", "60", "--urgency", "high", "--collapse", "inbox"];
    let line = fixture.send(&options, "hello").await.unwrap();
    assert_eq!(line, serde_json::json!({"outcome": "accepted", "attempts": 1}));
    let received = fixture.service.received(&fixture.subscription);
    assert_eq!(received[0].payload().unwrap(), Some(&b"hello"[..]));
    assert_eq!(received[0].ttl().as_secs(), 60);
    assert_eq!(received[0].urgency(), Some("high"));
    assert_eq!(received[0].topic().map(str::len), Some(32));
}

#[cfg(feature = "ece")]
#[tokio::test]
async fn a_message_arrives_in_the_legacy_coding() {
    let fixture = Fixture::new("legacy", false).await;
    let line = fixture.send(&["--allow-loopback", "--encoding", "aesgcm"], "hello").await.unwrap();
    assert_eq!(line, serde_json::json!({"outcome": "accepted", "attempts": 1}));
    let received = fixture.service.received(&fixture.subscription);
    assert_eq!(received[0].payload().unwrap(), Some(&b"hello"[..]));
    let headers = received[0].headers();
    assert_eq!(headers["content-encoding"], "aesgcm");
    assert!(headers["authorization"].to_str().unwrap().starts_with("WebPush "));
    assert!(headers["crypto-key"].to_str().unwrap().contains(";p256ecdsa=B"));
}

#[cfg(not(feature = "ece"))]
#[tokio::test]
async fn the_legacy_coding_names_the_feature_that_it_needs() {
    let fixture = Fixture::new("legacy", false).await;
    let error = fixture.send(&["--allow-loopback", "--encoding", "aesgcm"], "hello").await.unwrap_err();
    assert!(error.contains("--features ece"), "{error}");
}

#[tokio::test]
async fn the_coding_is_that_of_rfc_8291_unless_it_is_given() {
    let fixture = Fixture::new("coding", false).await;
    for more in [&["--allow-loopback"][..], &["--allow-loopback", "--encoding", "aes128gcm"]] {
        fixture.send(more, "hello").await.unwrap();
    }
    let received = fixture.service.received(&fixture.subscription);
    assert_eq!(received.len(), 2);
    for message in received {
        assert_eq!(message.headers()["content-encoding"], "aes128gcm");
    }
}

#[tokio::test]
async fn a_subscription_that_is_gone_is_said_to_be() {
    let fixture = Fixture::new("gone", false).await;
    fixture.service.script(&fixture.subscription, [Answer::gone_410()]);
    let line = fixture.send(&["--allow-loopback"], "hello").await.unwrap();
    assert_eq!((&line["outcome"], &line["attempts"]), (&"gone".into(), &1.into()));
    assert!(line["detail"].as_str().unwrap().contains("410"), "{line}");
}

#[tokio::test]
async fn loopback_needs_the_option() {
    let fixture = Fixture::new("loopback", false).await;
    assert_eq!(fixture.send(&[], "hello").await.unwrap()["outcome"], "refused");
    assert_eq!(fixture.service.counters().connections, 0);
}

#[tokio::test]
async fn bad_arguments_are_named() {
    let fixture = Fixture::new("bad", false).await;
    for (more, complaint) in [
        (["--ttl", "-1"], "TTL"),
        (["--urgency", "urgent"], "very-low"),
        (["--encoding", "gzip"], "aes128gcm or aesgcm"),
        (["--contact", "mailto:a@localhost"], "contact"),
        (["--what", "x"], "usage"),
    ] {
        let error = fixture.send(&more, "hello").await.unwrap_err();
        assert!(error.contains(complaint), "{more:?}: {error}");
    }
}
