//! Other people: their ids, their broadcasts, their tokens.

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode, get_current_timestamp};
use reqwest::Method;
use serde_json::{Value, json};

use super::raw::{basic, request};
use super::world::{read, user};
use super::{ADA, Attack, BOB, Victim};

const FORBIDDEN: (u16, u64) = (403, 121);
const NONE: (u16, u64) = (404, 110);

#[tokio::test]
async fn another_users_subscription_is_no_different_from_none() {
    let victim = Victim::new().await;
    let (record, id) = (victim.record(), victim.id());
    let other = json!({"data": victim.world.subscription(2)}).to_string();
    let keys = json!({"data": {"keys": json!(victim.device)["keys"]}}).to_string();
    let by_bob = |line: &str, body: &str, verdict| Attack::by(BOB, line, body.as_bytes(), verdict);
    victim
        .withstands(&[
            by_bob(&format!("GET {record}"), "", NONE),
            by_bob(&format!("HEAD {record}"), "", (404, 0)),
            by_bob(&format!("DELETE {record}"), "", NONE),
            by_bob(&format!("PATCH {record}"), &keys, NONE),
            by_bob(&format!("PATCH {record}"), r#"{"data":{}}"#, NONE),
            by_bob(&format!("PUT {record}"), &other, (400, 107)),
            by_bob(&format!("DELETE /v0/subscriptions?id={id}"), "", (200, 0)),
            by_bob("DELETE /v0/subscriptions", "", (200, 0)),
        ])
        .await;
    // And what is told is the same, whether somebody has it or nobody.
    let nobodys = format!("/v0/subscriptions/{}", "0".repeat(64));
    for method in [Method::GET, Method::DELETE] {
        let answer = |path: String| victim.world.by(BOB, method.clone(), &path).send();
        let (mut theirs, none) = (
            read(answer(record.clone()).await.unwrap()).await,
            read(answer(nobodys.clone()).await.unwrap()).await,
        );
        theirs.1["details"]["id"] = json!("0".repeat(64));
        assert_eq!(theirs, none);
    }
}

#[tokio::test]
async fn a_batch_opens_no_door() {
    let victim = Victim::new().await;
    let before = victim.snapshot().await;
    let (record, broadcast) = (victim.record(), &victim.broadcast);
    let body = json!({"requests": [
        {"path": record},
        {"method": "DELETE", "path": record},
        {"method": "PATCH", "path": record, "body": {"data": {}}},
        {"path": broadcast},
        {"method": "DELETE", "path": broadcast},
        {"path": format!("{broadcast}/events")},
        {"method": "POST", "path": "/channels/news", "body": {"data": {"a": 1}}},
        {"path": "/channels/news"},
        {"path": "/subscriptions", "headers": {"Authorization": "Basic x"}},
    ]});
    let (status, answer) =
        read(victim.world.by(BOB, Method::POST, "/v0/batch").json(&body).send().await.unwrap()).await;
    assert_eq!(status, 200);
    let statuses: Vec<_> =
        answer["responses"].as_array().unwrap().iter().map(|part| part["status"].clone()).collect();
    assert_eq!(statuses, [404, 404, 404, 404, 404, 404, 403, 403, 401].map(Value::from));
    assert_eq!(victim.snapshot().await, before);
}

/// The old id is not Bob's, so that this is Bob's own new subscription, and Ada's stays.
#[tokio::test]
async fn replacing_another_users_subscription_replaces_nothing() {
    let victim = Victim::new().await;
    let body = json!({"data": victim.world.subscription(2)});
    let request = victim.world.by(BOB, Method::POST, &format!("{}/replace", victim.record())).json(&body);
    let (status, stored) = read(request.send().await.unwrap()).await;
    assert_eq!(status, 201);
    assert_ne!(stored["data"]["id"], victim.id().to_string());
    let (status, own) = read(victim.world.by(ADA, Method::GET, &victim.record()).send().await.unwrap()).await;
    assert_eq!((status, &own["data"]["id"]), (200, &json!(victim.id().to_string())));
    let bobs = read(victim.world.by(BOB, Method::GET, "/v0/channels").send().await.unwrap()).await;
    assert_eq!(bobs.1, json!({"data": []}));
}

#[tokio::test]
async fn nobody_publishes_without_a_grant() {
    let grant = format!("{}=weather,sport-*", user(BOB));
    let victim = Victim::with(&["--publisher", &grant]).await;
    let mut attacks = Vec::new();
    for name in [
        "news",
        "weather2",
        "Weather",
        "weather%20",
        "sport",
        "sport_",
        "%20weather",
        "weather%2C",
        "*",
        "sport-%2F",
    ] {
        let verdict = if name.contains("%2F") { (404, 111) } else { FORBIDDEN };
        attacks.push(Attack::by(BOB, &format!("POST /v0/channels/{name}"), br#"{"data":{"a":1}}"#, verdict));
        // What is wrong besides is told to those alone who may publish.
        if verdict == FORBIDDEN {
            attacks.push(Attack::by(BOB, &format!("POST /v0/channels/{name}"), b"{", FORBIDDEN));
        }
    }
    attacks.push(Attack::by(ADA, "POST /v0/channels/news", b"", FORBIDDEN));
    attacks.push(Attack::new("nobody", request("POST /v0/channels/news", &[], b""), &[(401, 104)]));
    attacks.push(Attack::by(BOB, "GET /v0/channels/news", b"", FORBIDDEN));
    victim.withstands(&attacks).await;
}

#[tokio::test]
async fn another_publishers_broadcast_is_unknown() {
    let victim = Victim::with(&["--publisher", user(BOB).as_str()]).await;
    let broadcast = &victim.broadcast;
    let mut attacks = Vec::new();
    for by in [ADA, BOB] {
        attacks.push(Attack::by(by, &format!("GET {broadcast}"), b"", NONE));
        attacks.push(Attack::by(by, &format!("DELETE {broadcast}"), b"", NONE));
        attacks.push(Attack::by(by, &format!("GET {broadcast}/events"), b"", NONE));
    }
    victim.withstands(&attacks).await;
    let list = read(victim.world.by(BOB, Method::GET, "/v0/broadcasts").send().await.unwrap()).await;
    assert_eq!(list, (200, json!({"data": []})));
}

const PRIVATE: &[u8] = include_bytes!("../bearer/p256.pem");
const FOREIGN: &[u8] = include_bytes!("../bearer/p384.pem");

#[tokio::test]
async fn tokens_that_are_expired_or_foreign_are_refused() {
    let key = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/bearer/p256.pub.pem");
    let victim =
        Victim::with(&["--jwt-key", key, "--jwt-issuer", "https://id.example", "--jwt-audience", "push"])
            .await;
    let now = get_current_timestamp();
    let good = json!({"sub": "ada", "iss": "https://id.example", "aud": "push", "exp": now + 3600});
    let with = |name: &str, value: Value| {
        let mut claims = good.clone();
        claims[name] = value;
        claims
    };
    let signed = |claims: &Value| {
        encode(&Header::new(Algorithm::ES256), claims, &EncodingKey::from_ec_pem(PRIVATE).unwrap()).unwrap()
    };
    let public = std::fs::read(key).unwrap();
    let foreign =
        encode(&Header::new(Algorithm::ES384), &good, &EncodingKey::from_ec_pem(FOREIGN).unwrap()).unwrap();
    let confused = encode(&Header::new(Algorithm::HS256), &good, &EncodingKey::from_secret(&public)).unwrap();
    let stripped = signed(&good).rsplit_once('.').unwrap().0.to_owned();
    let tokens = [
        ("expired", signed(&with("exp", json!(now - 3600)))),
        ("not yet", signed(&with("nbf", json!(now + 3600)))),
        ("issuer", signed(&with("iss", json!("https://id.example.net")))),
        ("audience", signed(&with("aud", json!("mail")))),
        ("nobody", signed(&with("sub", json!("")))),
        ("foreign", foreign),
        ("confused", confused),
        ("unsigned", format!("{stripped}.")),
        ("long", format!("{}{}", signed(&good), "A".repeat(20_000))),
        ("garbage", "a.b.c".to_owned()),
    ];
    let mut attacks = Vec::new();
    for (name, token) in &tokens {
        let authorization = format!("Bearer {token}");
        for line in [
            "GET /v0/subscriptions",
            "DELETE /v0/subscriptions",
            "PUT /v0/channels/x/registration",
            "POST /v0/channels/news",
        ] {
            let octets = request(line, &[("Authorization", &authorization)], b"");
            attacks.push(Attack::new(format!("{name}: {line}"), octets, &[(401, 104)]));
        }
    }
    victim.withstands(&attacks).await;
    let answer = victim
        .send(&request(
            "GET /v0/subscriptions",
            &[("Authorization", &format!("Bearer {}", signed(&good)))],
            b"",
        ))
        .await;
    assert_eq!(answer.unwrap().status, 200, "the right one");
    // A name in a token is not the same person as a name in a password.
    let answer =
        victim.send(&request("GET /v0/", &[("Authorization", &basic("bearer:ada"))], b"")).await.unwrap();
    assert!(answer.body["user"]["id"].as_str().unwrap().starts_with("basicauth:"));
}
