//! Channels: joining, leaving, lists and numbers.

#![allow(clippy::unwrap_used, missing_docs, unreachable_pub, reason = "a test")]

#[path = "support/members.rs"]
#[allow(dead_code, reason = "shared")]
mod members;
#[path = "support/world.rs"]
mod world;

use reqwest::Method;
use serde_json::{Value, json};
use world::{PUBLISHER, World, read};

const ADA: &str = "ada:a";
const BOB: &str = "bob:b";

async fn ask(world: &World, pair: &str, method: Method, path: &str) -> (u16, Value) {
    read(world.by(pair, method, path).send().await.unwrap()).await
}

#[tokio::test]
async fn joining_and_leaving_are_accepted_however_often() {
    let world = World::start().await;
    let accepted = (202, json!({"code": 202, "message": "Accepted"}));
    let path = "/v0/channels/news/registration";
    for method in [Method::DELETE, Method::PUT, Method::PUT] {
        assert_eq!(ask(&world, ADA, method, path).await, accepted);
    }
    assert_eq!(ask(&world, ADA, Method::GET, "/v0/channels").await.1, json!({"data": [{"id": "news"}]}));
    for _ in 0..2 {
        assert_eq!(ask(&world, ADA, Method::DELETE, path).await, accepted);
        assert_eq!(ask(&world, ADA, Method::GET, "/v0/channels").await.1, json!({"data": []}));
    }
    // A body is not looked at, whatever it is.
    let request = world.by(ADA, Method::PUT, path).body("not json");
    assert_eq!(read(request.send().await.unwrap()).await, accepted);
}

#[tokio::test]
async fn a_user_is_in_so_many_channels_and_no_more() {
    let world = World::with(&["--channels-per-user", "2"]).await;
    for (pair, channel, status) in
        [(ADA, "a", 202), (ADA, "b", 202), (ADA, "c", 507), (ADA, "b", 202), (BOB, "c", 202)]
    {
        let path = format!("/v0/channels/{channel}/registration");
        assert_eq!(ask(&world, pair, Method::PUT, &path).await.0, status, "{pair} {channel}");
    }
    let path = "/v0/channels/c/registration";
    let (_, error) = ask(&world, ADA, Method::PUT, path).await;
    assert_eq!((&error["code"], &error["errno"]), (&json!(507), &json!(121)));
    assert_eq!(ask(&world, ADA, Method::GET, "/v0/channels/c").await.0, 403);
    ask(&world, ADA, Method::DELETE, "/v0/channels/a/registration").await;
    assert_eq!(ask(&world, ADA, Method::PUT, path).await.0, 202);
}

#[tokio::test]
async fn a_user_lists_own_channels_sorted() {
    let world = World::start().await;
    for channel in ["sport", "caf%C3%A9", "a%25b", "Zoo", "news"] {
        members::join(&world, ADA, channel).await;
    }
    members::join(&world, BOB, "other").await;
    let response = world.by(ADA, Method::GET, "/v0/channels").send().await.unwrap();
    assert_eq!(response.headers()["total-records"], "5");
    let ids = ["Zoo", "a%b", "caf\u{e9}", "news", "sport"].map(|id| json!({"id": id}));
    assert_eq!(read(response).await, (200, json!({"data": ids})));
}

#[tokio::test]
async fn only_members_see_a_channel() {
    let world = World::start().await;
    members::join(&world, ADA, "news").await;
    for (pair, channel) in [(BOB, "news"), (ADA, "unknown"), (PUBLISHER, "news")] {
        let (status, error) = ask(&world, pair, Method::GET, &format!("/v0/channels/{channel}")).await;
        assert_eq!((status, &error["errno"]), (403, &json!(121)));
        assert_eq!(error["message"], "This user cannot access this resource.");
    }
    let channel = ask(&world, ADA, Method::GET, "/v0/channels/news").await;
    assert_eq!(channel, (200, json!({"data": {"id": "news", "registrations": 1, "push": 0}})));
}

#[tokio::test]
async fn a_channel_counts_members_and_accepted_pushes() {
    let world = World::start().await;
    members::member(&world, ADA, "news", 1).await;
    let gone = members::member(&world, ADA, "news", 2).await;
    members::join(&world, BOB, "news").await;
    world.push.unsubscribe(&gone);
    for pushes in [1, 2] {
        let path = members::accepted(members::post(&world, "news")).await;
        members::end(&world, &path).await;
        let (_, channel) = ask(&world, BOB, Method::GET, "/v0/channels/news").await;
        assert_eq!(channel["data"], json!({"id": "news", "registrations": 2, "push": pushes}));
    }
}

#[tokio::test]
async fn names_are_one_segment_of_the_path() {
    let world = World::start().await;
    let long = "x".repeat(1025);
    for (name, status, errno) in [
        ("a%2Fb", 404, 111),
        ("a/b", 404, 111),
        ("%FF", 400, 107),
        ("a%00b", 400, 107),
        ("a%0Ab", 400, 107),
        (&long, 400, 107),
    ] {
        for (method, rest) in [(Method::PUT, "/registration"), (Method::GET, ""), (Method::POST, "")] {
            let (found, error) =
                ask(&world, PUBLISHER, method.clone(), &format!("/v0/channels/{name}{rest}")).await;
            assert_eq!((found, &error["errno"]), (status, &json!(errno)), "{method} {name}");
        }
    }
    members::join(&world, ADA, &"x".repeat(1024)).await;
    assert_eq!(ask(&world, ADA, Method::GET, "/v0/channels").await.1["data"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn nobody_is_nobody() {
    let world = World::start().await;
    for (method, path) in [
        (Method::GET, "/v0/channels"),
        (Method::GET, "/v0/channels/news"),
        (Method::POST, "/v0/channels/news"),
        (Method::PUT, "/v0/channels/news/registration"),
        (Method::DELETE, "/v0/channels/news/registration"),
        (Method::GET, "/v0/broadcasts"),
        (Method::GET, "/v0/broadcasts/x"),
        (Method::DELETE, "/v0/broadcasts/x"),
        (Method::GET, "/v0/broadcasts/x/events"),
    ] {
        let (status, error) = read(world.request(method.clone(), path).send().await.unwrap()).await;
        assert_eq!((status, &error["errno"]), (401, &json!(104)), "{method} {path}");
    }
}
