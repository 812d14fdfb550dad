//! Publishing: what is checked, in which order, and what reaches whom.

#![allow(clippy::unwrap_used, missing_docs, unreachable_pub, reason = "a test")]

#[path = "support/members.rs"]
#[allow(dead_code, reason = "shared")]
mod members;
#[path = "support/world.rs"]
mod world;

use std::net::TcpListener;

use members::{accepted, end, member, own, payloads, post};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use webpush_channels::testing::UserAgent;
use world::{PUBLISHER, World, read, user};

const ADA: &str = "ada:a";
const BOB: &str = "bob:b";
const EVE: &str = "eve:e";

async fn refused(request: RequestBuilder) -> (u16, Value) {
    let (status, error) = read(request.send().await.unwrap()).await;
    (status, error["errno"].clone())
}

async fn nothing_was_published(world: &World) {
    let list = read(world.by(PUBLISHER, Method::GET, "/v0/broadcasts").send().await.unwrap()).await;
    assert_eq!(list, (200, json!({"data": []})));
}

#[tokio::test]
async fn every_device_of_every_member_gets_it_and_nobody_else() {
    let world = World::start().await;
    let devices = [
        member(&world, ADA, "news", 1).await,
        member(&world, ADA, "news", 2).await,
        member(&world, BOB, "news", 3).await,
        member(&world, BOB, "news", 4).await,
        // Who publishes and is a member receives too.
        member(&world, PUBLISHER, "news", 5).await,
    ];
    let stranger = member(&world, EVE, "sport", 6).await;
    let path =
        accepted(post(&world, "news").json(&json!({"data": {"b": "caf\u{e9} \u{1f514}", "a": [1, 2.5]}})))
            .await;
    let broadcast = end(&world, &path).await;
    assert_eq!(broadcast["counts"], json!({"accepted": 5}));
    for device in &devices {
        assert_eq!(
            payloads(&world, device),
            [Some(r#"{"a":[1,2.5],"b":"caf\u00e9 \ud83d\udd14"}"#.to_owned())]
        );
        let received = world.push.received(device);
        let headers = received[0].headers();
        assert_eq!(
            (&headers["ttl"], &headers["content-encoding"]),
            (&"15".parse().unwrap(), &"aes128gcm".parse().unwrap())
        );
        assert!(headers["authorization"].to_str().unwrap().starts_with("vapid t="));
    }
    assert!(payloads(&world, &stranger).is_empty());
    assert!(world.push.violations().is_empty(), "{:?}", world.push.violations());
}

#[tokio::test]
async fn no_data_is_no_payload() {
    let world = World::start().await;
    let device = member(&world, ADA, "news", 1).await;
    for request in [
        post(&world, "news"),
        post(&world, "news").json(&json!({})),
        post(&world, "news").json(&json!({"data": {}})),
    ] {
        end(&world, &accepted(request).await).await;
    }
    assert_eq!(payloads(&world, &device), [None, None, None]);
}

#[tokio::test]
async fn headers_say_how_it_is_sent() {
    let world = World::start().await;
    let device = member(&world, ADA, "news", 1).await;
    let publish = |ttl: &'static str, urgency: &'static str, key: &'static str| {
        let headers = [("TTL", ttl), ("Urgency", urgency), ("Collapse-Key", key)];
        headers.into_iter().fold(post(&world, "news"), |request, (name, value)| request.header(name, value))
    };
    for request in [
        publish("3600", "high", "score"),
        publish("0", "very-low", "score"),
        publish("60", "normal", "caf\u{e9}"),
    ] {
        end(&world, &accepted(request).await).await;
    }
    let received = world.push.received(&device);
    let ttls: Vec<_> = received.iter().map(|message| message.headers()["ttl"].to_str().unwrap()).collect();
    assert_eq!(ttls, ["3600", "0", "60"]);
    // The usual urgency need not be said.
    let urgencies: Vec<_> = received.iter().map(|message| message.urgency().unwrap_or("normal")).collect();
    assert_eq!(urgencies, ["high", "very-low", "normal"]);
    let topics: Vec<_> = received.iter().map(|message| message.topic().unwrap()).collect();
    assert_eq!(topics[0], topics[1]);
    assert_ne!(topics[1], topics[2]);
}

#[tokio::test]
async fn a_declarative_message_arrives_as_it_is() {
    let world = World::start().await;
    let device = member(&world, ADA, "news", 1).await;
    let message = json!({"web_push": 8030, "notification": {
        "title": "Goal", "body": "1:0", "navigate": "https://example.org/match/7",
    }});
    end(&world, &accepted(post(&world, "news").json(&json!({"data": message}))).await).await;
    let text = payloads(&world, &device).remove(0).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), message);
}

#[tokio::test]
async fn a_payload_has_a_limit() {
    let world = World::start().await;
    let device = member(&world, ADA, "news", 1).await;
    // `{"x":"` and `"}` are 8 octets.
    let data = |octets: usize| json!({"data": {"x": "y".repeat(octets - 8)}});
    end(&world, &accepted(post(&world, "news").json(&data(3993))).await).await;
    assert_eq!(payloads(&world, &device)[0].as_ref().unwrap().len(), 3993);
    let (status, error) = read(post(&world, "news").json(&data(3994)).send().await.unwrap()).await;
    assert_eq!((status, &error["errno"]), (400, &json!(107)));
    assert_eq!(error["details"][0]["name"], "data");
    assert!(error["message"].as_str().unwrap().contains("3993"), "{error}");
    // What counts is what is sent: this is six octets a letter.
    let wide = json!({"data": {"x": "\u{e9}".repeat(1000)}});
    assert_eq!(refused(post(&world, "news").json(&wide)).await, (400, json!(107)));
}

#[tokio::test]
async fn wrong_headers_are_named() {
    let world = World::with(&["--publishes-per-second", "1000"]).await;
    let long = "k".repeat(257);
    for (name, value) in [
        ("TTL", "-1"),
        ("TTL", "1.5"),
        ("TTL", "soon"),
        ("TTL", "2147483649"),
        ("TTL", ""),
        ("Urgency", "urgent"),
        ("Urgency", ""),
        ("Collapse-Key", ""),
        ("Collapse-Key", &long),
        ("Idempotency-Key", ""),
        ("Idempotency-Key", &long[..256]),
        ("Idempotency-Key", "a b"),
        ("Idempotency-Key", "caf\u{e9}"),
    ] {
        let response = post(&world, "news").header(name, value).send().await.unwrap();
        let (status, error) = read(response).await;
        assert_eq!((status, &error["errno"]), (400, &json!(107)), "{name}: {value}");
        let detail = &error["details"][0];
        assert_eq!((&detail["location"], &detail["name"]), (&json!("header"), &json!(name)));
    }
    for name in ["TTL", "Urgency", "Collapse-Key", "Idempotency-Key"] {
        let twice = post(&world, "news").header(name, "60").header(name, "60");
        assert_eq!(refused(twice).await, (400, json!(107)), "{name}");
    }
    let binary = post(&world, "news").header("Collapse-Key", &b"\xff\xfe"[..]);
    assert_eq!(refused(binary).await, (400, json!(107)));
    nothing_was_published(&world).await;
}

#[tokio::test]
async fn wrong_bodies_are_refused_as_the_original_does() {
    let world = World::start().await;
    for (body, message) in [
        (r#"{"x": 1}"#, r#"Unrecognized keys in mapping: "{'x': 1}""#),
        (r#"{"data": [1]}"#, r#"data in body: "[1]" is not a mapping type"#),
        (r#"{"data": null}"#, r#"data in body: "None" is not a mapping type"#),
        ("[]", r#""[]" is not a mapping type"#),
        ("{", "body: Invalid JSON: line 1 column 1"),
    ] {
        let request = post(&world, "news").header("content-type", "application/json").body(body);
        let (status, error) = read(request.send().await.unwrap()).await;
        assert_eq!((status, &error["errno"], &error["message"]), (400, &json!(107), &json!(message)));
    }
    let text = post(&world, "news").header("content-type", "text/plain").body("hello");
    assert_eq!(refused(text).await, (415, json!(107)));
    let huge = post(&world, "news").header("content-type", "application/json").body(vec![b' '; 300_000]);
    assert_eq!(refused(huge).await, (413, json!(113)));
    nothing_was_published(&world).await;
}

#[tokio::test]
async fn who_may_is_checked_before_how_often_and_that_before_what() {
    let ada = format!("{}=sport-*,news", user(ADA));
    let world = World::with(&["--publisher", &ada, "--publishes-per-second", "2"]).await;
    // Everything is wrong with it: a header, the body.
    let wrong = |pair: &str, channel: &str| {
        let request = world.by(pair, Method::POST, &format!("/v0/channels/{channel}"));
        request.header("TTL", "soon").header("content-type", "application/json").body("{")
    };
    let nobody = world.request(Method::POST, "/v0/channels/news").header("TTL", "soon").body("{");
    assert_eq!(refused(nobody).await, (401, json!(104)));
    for (pair, channel) in [(EVE, "news"), (ADA, "newsletter"), (ADA, "sport")] {
        for _ in 0..3 {
            assert_eq!(refused(wrong(pair, channel)).await, (403, json!(121)), "{pair} {channel}");
        }
    }
    let (_, error) = read(wrong(ADA, "news").send().await.unwrap()).await;
    assert_eq!(error["details"][0]["location"], "header");
    let broken = world.by(ADA, Method::POST, "/v0/channels/sport-2").body("{");
    let (_, error) = read(broken.send().await.unwrap()).await;
    assert_eq!(error["details"][0]["location"], "body");
    // Those two were counted, whatever they were.
    let mut response = wrong(ADA, "news").send().await.unwrap();
    while response.status() != 429 {
        // A slow machine: half a second passed meanwhile.
        response = wrong(ADA, "news").send().await.unwrap();
    }
    assert_eq!(response.headers()["retry-after"], "1");
    assert_eq!(read(response).await.1["errno"], 117);
    // Another publisher has a bucket of its own.
    accepted(post(&world, "news")).await;
}

#[tokio::test]
async fn an_idempotency_key_publishes_once() {
    let ada = user(ADA);
    let world = World::with(&["--publisher", ada.as_str()]).await;
    let device = member(&world, BOB, "news", 1).await;
    let publish = |pair: &str, channel: &str, n: u64| {
        let request = world.by(pair, Method::POST, &format!("/v0/channels/{channel}"));
        request.header("Idempotency-Key", "order-17").json(&json!({"data": {"n": n}}))
    };
    let first = accepted(publish(PUBLISHER, "news", 1)).await;
    end(&world, &first).await;
    for _ in 0..2 {
        assert_eq!(accepted(publish(PUBLISHER, "news", 1)).await, first);
    }
    for other in [
        publish(PUBLISHER, "news", 2),
        publish(PUBLISHER, "sport", 1),
        publish(PUBLISHER, "news", 1).header("TTL", "60"),
    ] {
        assert_eq!(refused(other).await, (409, json!(122)));
    }
    assert_eq!(payloads(&world, &device), [Some(r#"{"n":1}"#.to_owned())]);
    // The key is each publisher's own, and without one everything is new.
    let second = accepted(publish(ADA, "news", 2)).await;
    assert_ne!(second, first);
    let unnamed = [accepted(post(&world, "news")).await, accepted(post(&world, "news")).await];
    assert_ne!(unnamed[0], unnamed[1]);
    for path in unnamed {
        end(&world, &path).await;
    }
    world.push.wait_for(|counters| counters.delivered == 4).await;
}

#[tokio::test]
async fn a_dead_host_costs_the_others_nothing_and_the_gone_are_forgotten() {
    let world = World::start().await;
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let dead = UserAgent::seeded(9).subscribe(format!("http://{closed}/push/9").parse().unwrap());
    own(&world, &[(ADA, &dead)]).await;
    let devices = [member(&world, ADA, "news", 1).await, member(&world, BOB, "news", 2).await];
    let gone = member(&world, BOB, "news", 3).await;
    world.push.unsubscribe(&gone);

    let path = accepted(post(&world, "news").json(&json!({"data": {"n": 1}}))).await;
    let counters = world.push.wait_for(|counters| counters.delivered == 2).await;
    assert_eq!(counters.rejected, 1);
    for device in &devices {
        assert_eq!(payloads(&world, device), [Some(r#"{"n":1}"#.to_owned())]);
    }
    // The broadcast goes on for the dead host's sake; who is gone was removed by then.
    let mut found = json!(null);
    while found["counts"] != json!({"accepted": 2, "gone": 1}) {
        let (_, body) = read(world.by(PUBLISHER, Method::GET, &path).send().await.unwrap()).await;
        found = body["data"].clone();
    }
    assert_eq!((&found["read"], &found["pending"], &found["pruned"]), (&json!(4), &json!(1), &json!(1)));
    assert_eq!(found["state"], "running");
    let again = accepted(post(&world, "news")).await;
    world.push.wait_for(|counters| counters.delivered == 4).await;
    assert_ne!(again, path);
    assert_eq!(world.push.counters().rejected, 1);
}
