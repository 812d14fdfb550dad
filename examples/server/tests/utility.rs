//! The endpoints that tell what the service is and how it does.

#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]

#[path = "support/world.rs"]
mod world;

use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use world::{PUBLISHER, World, read, user};

#[tokio::test]
async fn the_root_says_what_it_is_and_who_asks() {
    let world = World::start().await;
    let (status, root) = read(world.request(Method::GET, "/v0/").send().await.unwrap()).await;
    assert_eq!(status, 200);
    assert_eq!(root["project_name"], "webpush-channels");
    assert_eq!(root["http_api_version"], "0.1");
    assert_eq!(root["settings"], json!({"readonly": false, "batch_max_requests": 25}));
    assert_eq!(root["url"], format!("http://{}/v0/", world.service.address()));
    assert!(root["capabilities"]["basicauth"]["url"].is_string() && root.get("user").is_none());

    let (_, root) = read(world.by(PUBLISHER, Method::GET, "/v0/").send().await.unwrap()).await;
    assert_eq!(root["user"]["id"], user(PUBLISHER).as_str());
    assert_eq!(root["user"]["publishes"], json!(["*"]));
}

#[tokio::test]
async fn heartbeats_and_version() {
    let world = World::start().await;
    for (path, expected) in [
        ("/v0/__heartbeat__", (200, json!({"storage": true, "permission": true, "cache": true}))),
        ("/v0/__lbheartbeat__", (200, json!({}))),
    ] {
        assert_eq!(read(world.request(Method::GET, path).send().await.unwrap()).await, expected, "{path}");
    }
    let (status, error) = read(world.request(Method::GET, "/v0/__version__").send().await.unwrap()).await;
    assert_eq!((status, &error["errno"]), (404, &json!(111)));
}

#[tokio::test]
async fn paths_without_the_prefix_lead_to_it() {
    let world = World::start().await;
    for (path, target) in [
        ("/", "/v0/"),
        ("/v0", "/v0/"),
        ("/subscriptions?_limit=1", "/v0/subscriptions?_limit=1"),
        ("/v0/subscriptions/", "/v0/subscriptions"),
        ("//example.org/x", "/v0//example.org/x"),
    ] {
        let response = world.request(Method::GET, path).send().await.unwrap();
        assert_eq!(response.status(), 307, "{path}");
        assert_eq!(response.headers()["location"], target);
    }
    for (path, errno) in [("/v9/x", 116), ("/v0/unknown", 111)] {
        let (status, error) = read(world.request(Method::GET, path).send().await.unwrap()).await;
        assert_eq!((status, &error["errno"]), (404, &json!(errno)), "{path}");
    }
}

#[tokio::test]
async fn a_key_is_made_once_and_all_files_are_their_owners_alone() {
    let world = World::start().await;
    let key = world.directory.path().join("vapid.pem");
    let made = std::fs::read_to_string(&key).unwrap();
    #[cfg(unix)]
    for entry in std::fs::read_dir(world.directory.path()).unwrap() {
        let entry = entry.unwrap();
        let bits = std::os::unix::fs::PermissionsExt::mode(&entry.metadata().unwrap().permissions());
        assert_eq!(bits & 0o777, 0o600, "{:?}", entry.path());
    }
    let again =
        webpush_channels_server::Service::start(world::settings(&world.directory, &[])).await.unwrap();
    assert_eq!(std::fs::read_to_string(&key).unwrap(), made);
    again.shutdown().await.unwrap();
}

/// A remembered password goes with whatever another site's page makes a browser send without a preflight.
#[tokio::test]
async fn a_page_of_another_site_changes_nothing_without_a_preflight() {
    let world = World::start().await;
    let path = "/v0/channels/news";
    for (site, mode, status) in [
        ("cross-site", "navigate", 403),
        ("same-site", "no-cors", 403),
        ("cross-site", "cors", 202),
        ("same-origin", "cors", 202),
        ("none", "navigate", 202),
    ] {
        let request = world.by(PUBLISHER, Method::POST, path);
        let request = request.header("sec-fetch-site", site).header("sec-fetch-mode", mode);
        assert_eq!(request.send().await.unwrap().status(), status, "{site} {mode}");
    }
    // A body without a type needs no preflight either.
    let body = r#"{"data":{"a":1}}"#;
    let request = world.by(PUBLISHER, Method::POST, path).body(body);
    let (status, error) = read(request.header("origin", "https://a.example").send().await.unwrap()).await;
    assert_eq!((status, &error["errno"]), (415, &json!(107)));
    let request = world.by(PUBLISHER, Method::POST, path).body(body);
    assert_eq!(request.send().await.unwrap().status(), 202);
    // Links from elsewhere lead here.
    let request = world.request(Method::GET, "/v0/vapid").header("sec-fetch-site", "cross-site");
    assert_eq!(request.header("sec-fetch-mode", "navigate").send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn the_end_is_told_in_every_language() {
    let message = "La fin de l'\u{e9}t\u{e9}";
    let world = World::with(&["--eos", "2100-01-01", "--eos-message", message]).await;
    let response = world.request(Method::GET, "/v0/vapid").send().await.unwrap();
    let alert: serde_json::Value =
        serde_json::from_str(response.headers()["alert"].to_str().unwrap()).unwrap();
    assert_eq!(alert, json!({"code": "soft-eol", "message": message}));
}

/// Each would keep its place for ever: hyper's limit on a head begins when it knows the version of HTTP.
#[tokio::test]
async fn connections_on_which_nothing_moves_are_ended() {
    let world = World::start().await;
    for begun in ["", "PRI * HT", "GET /v0/ HTTP/1.1\r\nHost: "] {
        let mut stream = TcpStream::connect(world.service.address()).await.unwrap();
        stream.write_all(begun.as_bytes()).await.unwrap();
        tokio::time::pause();
        // However it is ended.
        let ended = tokio::time::timeout(Duration::from_secs(60), stream.read_u8()).await;
        tokio::time::resume();
        assert!(ended.is_ok(), "{begun:?}");
    }
}

#[tokio::test]
async fn other_methods_are_refused_and_told_which_are_not() {
    let world = World::start().await;
    let response = world.request(Method::PATCH, "/v0/vapid").send().await.unwrap();
    let allow = response.headers()["allow"].to_str().unwrap().to_owned();
    let (status, error) = read(response).await;
    assert_eq!((status, &error["errno"]), (405, &json!(115)));
    assert!(allow.contains("GET"), "{allow}");
}
