//! A client that was written for the original: each of its requests, and what it relies on in the answers.

#![allow(clippy::unwrap_used, missing_docs, unreachable_pub, reason = "a test")]

#[path = "support/members.rs"]
#[allow(dead_code, reason = "shared")]
mod members;
#[path = "support/openapi.rs"]
mod openapi;
#[path = "support/world.rs"]
mod world;

#[path = "original/case.rs"]
mod case;
#[path = "original/channels.rs"]
mod channels;
#[path = "original/common.rs"]
mod common;
#[path = "original/differences.rs"]
mod differences;
#[path = "original/subscriptions.rs"]
mod subscriptions;
#[path = "original/utility.rs"]
mod utility;

use std::net::TcpListener;

use case::{Case, call, replay};
use members::{accepted, end, payloads, post};
use reqwest::Method;
use serde_json::{Value, json};
use subscriptions::Device;
use webpush_channels_server::Service;
use world::{PUBLISHER, World, read};

const ADA: &str = "ada:secret";
const BOB: &str = "bob:secret";
const MANUAL: &str = include_str!("../../../docs/service.md");
/// Differences that no request of the table shows: what is sent, and what only a failing database brings.
const TOLD_ELSEWHERE: [&str; 4] =
    [differences::REAL_ENDPOINTS, differences::RETRY_AFTER, differences::VAPID, differences::WORKING];

fn error(code: u16, errno: u16, error: &str, message: &str) -> Value {
    json!({"code": code, "errno": errno, "error": error, "message": message})
}

fn devices(world: &World) -> [Device; 3] {
    [1, 2, 3].map(|seed| device(world, seed))
}

fn device(world: &World, seed: u64) -> Device {
    let subscription = world.subscription(seed);
    let mut json = serde_json::to_value(&subscription).unwrap();
    json.as_object_mut().unwrap().remove("expirationTime");
    Device { json, id: subscription.id().to_string() }
}

async fn fits(world: &World, cases: &[Case]) {
    let wrong = replay(world, cases).await;
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

#[tokio::test]
async fn redirects_refusals_and_headers() {
    fits(&World::start().await, &common::cases()).await;
}

#[tokio::test]
async fn channels_and_publications() {
    fits(&World::with(&["--publishes-per-second", "1000"]).await, &channels::cases()).await;
}

#[tokio::test]
async fn subscriptions_and_lists() {
    let world = World::start().await;
    fits(&world, &subscriptions::cases(&devices(&world))).await;
}

#[tokio::test]
async fn what_the_service_says_about_itself() {
    fits(&World::start().await, &utility::cases()).await;
}

#[tokio::test]
async fn pages_follow_one_another() {
    let world = World::start().await;
    for seed in 0..3 {
        let body = json!({"data": device(&world, seed).json});
        assert_eq!(
            world.by(ADA, Method::POST, "/v0/subscriptions").json(&body).send().await.unwrap().status(),
            201
        );
    }
    let (mut next, mut seen) = (Some("/v0/subscriptions?_limit=1&_sort=id".to_owned()), Vec::new());
    while let Some(path) = next {
        let response = world.by(ADA, Method::GET, &path).send().await.unwrap();
        assert_eq!(response.headers()["total-records"], "3");
        next = response.headers().get("next-page").map(|url| url.to_str().unwrap().to_owned());
        next = next.map(|url| url[url.find("/v0/").unwrap()..].to_owned());
        seen.push(read(response).await.1["data"][0]["id"].as_str().unwrap().to_owned());
    }
    assert!(seen.len() == 3 && seen.is_sorted(), "{seen:?}");
}

#[tokio::test]
async fn settings_that_clients_see() {
    let version = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(version.path(), r#"{"name": "push", "commit": "abc"}"#).unwrap();
    let world = World::with(&[
        "--backoff=10",
        "--eos=2999-01-01",
        "--eos-message=Bye",
        "--eos-url=https://bye.example",
        "--version-json-path",
        version.path().to_str().unwrap(),
    ])
    .await;
    let alert = r#"{"code":"soft-eol","message":"Bye","url":"https://bye.example"}"#;
    fits(
        &world,
        &[
            call("GET", "/v0/__version__")
                .exactly(json!({"name": "push", "commit": "abc"}))
                .with("backoff", "10"),
            call("GET", "/v0/").part(json!({"eos": "2999-01-01"})).with("alert", alert),
            call("GET", "/v0/nothing").gives(404).with("backoff", "10").with("alert", alert),
        ],
    )
    .await;
    let ended = World::with(&["--eos=2001-01-01", "--eos-message=Bye"]).await;
    let gone = json!({"code": 410, "errno": 202, "error": "Gone", "message": "Bye"});
    fits(
        &ended,
        &[call("GET", "/v0/subscriptions")
            .by(ADA)
            .gives(410)
            .exactly(gone)
            .with("alert", r#"{"code":"hard-eol*"#)],
    )
    .await;
    let readonly = World::with(&["--readonly"]).await;
    fits(
        &readonly,
        &[
            call("GET", "/v0/").part(json!({"settings": {"readonly": true}})),
            call("GET", "/v0/subscriptions").by(ADA).exactly(json!({"data": []})),
            call("PUT", "/v0/channels/news/registration").by(ADA).gives(405).part(json!({"errno": 115})),
        ],
    )
    .await;
}

/// The example of the original's own documents.
const EXAMPLE: &str = "https://updates.push.services.mozilla.com/wpush/v1/gAAAAABYZNoTAeA9vv-_zHx79";
const EXAMPLE_ID: &str = "f7023896e08a42254fcbf4ffde1a7b36ce06bc2c857f4286c277221894ce2943";

/// `REAL_ENDPOINTS`
#[tokio::test]
async fn endpoints_must_be_public_and_have_the_ids_that_they_had() {
    let directory = tempfile::tempdir().unwrap();
    let mut settings = world::settings(&directory, &[]);
    settings.sending.allow_loopback_endpoints = false;
    let mut world = World::start().await;
    world.service = Service::start(settings).await.unwrap();
    let device = device(&world, 1);
    let data = json!({"data": {"endpoint": EXAMPLE, "keys": device.json["keys"]}});
    let stored = call("POST", "/v0/subscriptions").by(ADA).json(&data).gives(201);
    fits(&world, &[stored.part(json!({"data": {"id": EXAMPLE_ID}}))]).await;
    let cases: Vec<_> =
        ["http://127.0.0.1:9/x", "https://127.0.0.1/x", "https://10.0.0.1/x", "https://push.local/x"]
            .into_iter()
            .map(|endpoint| {
                let data = json!({"data": {"endpoint": endpoint, "keys": device.json["keys"]}});
                let refused = call("POST", "/v0/subscriptions").by(ADA).json(&data).gives(400);
                refused
                    .part(json!({"errno": 107, "details": [{"location": "body", "name": "data.endpoint"}]}))
            })
            .collect();
    fits(&world, &cases).await;
}

/// `VAPID`, `WORKING`, and what of `AT_ONCE` a publisher cannot see.
#[tokio::test]
async fn pushes_arrive_as_they_did_and_signed() {
    let world = World::start().await;
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let devices = [world.subscription(1), world.subscription(2)];
    for (pair, device) in [(ADA, &devices[0]), (BOB, &devices[1])] {
        let body = json!({"data": device});
        assert_eq!(
            world.by(pair, Method::POST, "/v0/subscriptions").json(&body).send().await.unwrap().status(),
            201
        );
        members::join(&world, pair, "news").await;
    }
    let data = json!({"b": [1, 2.5, null], "a": {"title": "caf\u{e9} \u{1f514}"}});
    let published = || post(&world, "news").json(&json!({"data": data}));
    let counts = async |path: String| {
        let broadcast = end(&world, &path).await;
        (broadcast["state"].clone(), broadcast["counts"]["accepted"].clone())
    };
    assert_eq!(counts(accepted(published()).await).await, (json!("finished"), json!(2)));
    assert_eq!(counts(accepted(post(&world, "news")).await).await, (json!("finished"), json!(2)));
    // A host that is dead ended the original's loop.
    let mut dead = serde_json::to_value(world.subscription(3)).unwrap();
    dead["endpoint"] = json!(format!("http://{closed}/dead"));
    let body = json!({"data": dead});
    assert_eq!(
        world.by(ADA, Method::POST, "/v0/subscriptions").json(&body).send().await.unwrap().status(),
        201
    );
    assert_eq!(counts(accepted(published().header("ttl", "0")).await).await, (json!("finished"), json!(2)));

    let canonical = r#"{"a":{"title":"caf\u00e9 \ud83d\udd14"},"b":[1,2.5,null]}"#.to_owned();
    for device in &devices {
        let mut received = payloads(&world, device);
        received.sort();
        assert_eq!(received, [None, Some(canonical.clone()), Some(canonical.clone())]);
        for message in world.push.received(device) {
            let headers = message.headers();
            assert!(headers["ttl"] == "15" || headers["ttl"] == "0");
            assert!(headers["authorization"].to_str().unwrap().starts_with("vapid t="));
        }
        let coded = world
            .push
            .received(device)
            .iter()
            .filter(|message| message.headers().contains_key("content-encoding"))
            .count();
        assert_eq!(coded, 2);
    }
    let channel = read(world.by(BOB, Method::GET, "/v0/channels/news").send().await.unwrap()).await.1;
    assert_eq!(channel["data"], json!({"id": "news", "registrations": 2, "push": 6}));
    let (status, gone) = read(world.by(ADA, Method::DELETE, "/v0/subscriptions").send().await.unwrap()).await;
    assert_eq!((status, gone["data"].as_array().unwrap().len()), (200, 2));
}

#[tokio::test]
async fn a_publisher_who_is_a_member_receives_too() {
    let world = World::start().await;
    let device = members::member(&world, PUBLISHER, "news", 1).await;
    end(&world, &accepted(post(&world, "news").json(&json!({"data": {"a": 1}}))).await).await;
    assert_eq!(payloads(&world, &device), [Some(r#"{"a":1}"#.to_owned())]);
}

#[tokio::test]
async fn every_difference_is_in_the_manual_and_shown() {
    let world = World::start().await;
    let tables =
        [common::cases(), channels::cases(), subscriptions::cases(&devices(&world)), utility::cases()];
    let mut shown: Vec<_> =
        tables.iter().flatten().filter_map(|case| case.difference).chain(TOLD_ELSEWHERE).collect();
    shown.sort_unstable();
    shown.dedup();
    assert_eq!(shown, differences::ALL);
    let table =
        MANUAL.split("## Differences from the original").nth(1).unwrap().split("\n## ").next().unwrap();
    let mut documented: Vec<_> =
        table.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
    documented.sort_unstable();
    assert_eq!(documented, differences::ALL);
}
