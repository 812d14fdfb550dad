//! Broadcasts: how they stand, lists, aborts, and their events.

#![allow(clippy::unwrap_used, missing_docs, unreachable_pub, reason = "a test")]

#[path = "support/members.rs"]
#[allow(dead_code, reason = "shared")]
mod members;
#[path = "support/storage.rs"]
mod storage;
#[path = "support/world.rs"]
mod world;

use std::time::{Duration, SystemTime};

use futures_util::future::join_all;
use members::{accepted, end, event, events, member, own, post};
use reqwest::{Client, Method, Response};
use serde_json::{Value, json};
use tokio::time::Instant;
use webpush_channels::testing::Answer;
use webpush_channels::{Clock as _, SystemClock};
use world::{PUBLISHER, World, read, user};

const ADA: &str = "ada:a";

/// A world in which nothing is sent, so that broadcasts go on.
const IDLE: [&str; 2] = ["--worker", "false"];

async fn ask(world: &World, pair: &str, method: Method, path: &str) -> (u16, Value) {
    read(world.by(pair, method, path).send().await.unwrap()).await
}

async fn list(world: &World, query: &str) -> Vec<Value> {
    let (status, body) = ask(world, PUBLISHER, Method::GET, &format!("/v0/broadcasts{query}")).await;
    assert_eq!(status, 200, "{body}");
    body["data"].as_array().unwrap().clone()
}

fn id(path: &str) -> &str {
    path.rsplit('/').next().unwrap()
}

fn unix_ms() -> u64 {
    SystemClock::new().now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis().try_into().unwrap()
}

#[tokio::test]
async fn a_broadcast_tells_where_when_and_how_it_stands() {
    let world = World::start().await;
    member(&world, ADA, "news", 1).await;
    let gone = member(&world, ADA, "news", 2).await;
    world.push.unsubscribe(&gone);
    let before = unix_ms();
    let path = accepted(post(&world, "news")).await;
    let after = unix_ms();
    let last = end(&world, &path).await;
    let (status, body) = ask(&world, PUBLISHER, Method::GET, &path).await;
    assert_eq!(status, 200);
    assert_eq!(body, json!({"data": last}));
    let created = last["created"].as_u64().unwrap();
    assert!((before..=after).contains(&created), "{before} {created} {after}");
    assert_eq!((&last["id"], &last["channel"]), (&json!(id(&path)), &json!("news")));
    assert_eq!(last["state"], "finished");
    assert_eq!(last["counts"], json!({"accepted": 1, "gone": 1}));
    assert_eq!((&last["read"], &last["pending"], &last["pruned"]), (&json!(2), &json!(0), &json!(1)));
    let origin = world.push.origin().to_string();
    assert_eq!(last["origins"], json!([{"origin": origin, "counts": {"accepted": 1, "gone": 1}}]));
    assert!(last["seconds"].is_number());
    // It would name somebody else's subscription.
    assert!(last.get("failures").is_none() && !body.to_string().contains(&gone.id().to_string()));
    assert_eq!(list(&world, "").await, [last]);
}

#[tokio::test]
async fn a_broadcast_is_its_publishers_alone() {
    let ada = user(ADA);
    let world = World::with(&["--worker", "false", "--publisher", ada.as_str()]).await;
    let path = accepted(post(&world, "news")).await;
    let stranger = "eve:e";
    for (pair, path) in [
        (ADA, path.as_str()),
        (stranger, &path),
        (PUBLISHER, "/v0/broadcasts/unknown"),
        (PUBLISHER, &path[..path.len() - 1]),
        (PUBLISHER, &format!("/v0/broadcasts/{}", "x".repeat(129))),
    ] {
        let events = format!("{path}/events");
        for (method, path) in [(Method::GET, path), (Method::DELETE, path), (Method::GET, &events)] {
            let (status, error) = ask(&world, pair, method, path).await;
            assert_eq!((status, &error["errno"]), (404, &json!(110)), "{pair} {path}");
            assert_eq!(error["details"]["resource_name"], "broadcast");
        }
    }
    for pair in [ADA, stranger] {
        assert_eq!(ask(&world, pair, Method::GET, "/v0/broadcasts").await, (200, json!({"data": []})));
    }
    assert_eq!(list(&world, "").await[0]["state"], "running");
}

#[tokio::test]
async fn lists_show_the_latest_first_and_not_too_many() {
    let world = World::with(&["--worker", "false", "--publishes-per-second", "1000"]).await;
    let mut ids = Vec::new();
    for n in 0..60 {
        ids.push(id(&accepted(post(&world, &format!("c{n}"))).await).to_owned());
    }
    ids.reverse();
    let listed = |broadcasts: Vec<Value>| -> Vec<String> {
        broadcasts.iter().map(|broadcast| broadcast["id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(listed(list(&world, "").await), ids[..50]);
    assert_eq!(listed(list(&world, "?_limit=7").await), ids[..7]);
    assert_eq!(listed(list(&world, "?_limit=99999999999999").await), ids);
    let all = list(&world, "?_limit=200&unknown=x").await;
    assert_eq!((&all[0]["channel"], &all[59]["channel"]), (&json!("c59"), &json!("c0")));
    // Several may have begun in the same millisecond.
    let since = all[30]["created"].as_u64().unwrap();
    let later = all.iter().filter(|broadcast| broadcast["created"].as_u64().unwrap() > since).count();
    assert_eq!(listed(list(&world, &format!("?_limit=200&_since={since}")).await), ids[..later]);
    assert!(list(&world, &format!("?_since=\"{}\"", unix_ms())).await.is_empty());
    for wrong in ["_limit=0", "_limit=-1", "_limit=x", "_limit=", "_since=x", "_since=+1", "_since=1.5"] {
        let (status, error) = ask(&world, PUBLISHER, Method::GET, &format!("/v0/broadcasts?{wrong}")).await;
        assert_eq!((status, &error["errno"]), (400, &json!(107)), "{wrong}");
        assert_eq!(error["details"][0]["location"], "querystring");
    }
    assert_eq!(ask(&world, PUBLISHER, Method::GET, "/v0/broadcasts?_since=%FF").await.0, 400);
}

/// However many others there are by then: more than a list looks at.
#[tokio::test]
async fn another_process_knows_where_and_when_a_broadcast_began() {
    let world = World::with(&IDLE).await;
    let path = accepted(post(&world, "news")).await;
    let (_, here) = ask(&world, PUBLISHER, Method::GET, &path).await;
    let store = storage::sqlite(world.directory.path()).await;
    join_all((0..2001).map(|_| storage::enqueue(&store))).await;
    assert!(list(&world, "").await.is_empty());
    let other =
        webpush_channels_server::Service::start(world::settings(&world.directory, &IDLE)).await.unwrap();
    let url = format!("http://{}{path}", other.address());
    let request = || world.client.get(&url).basic_auth("publisher", Some("secret"));
    for _ in 0..2 {
        let (_, there) = read(request().send().await.unwrap()).await;
        for name in ["id", "channel", "created"] {
            assert_eq!(there["data"][name], here["data"][name], "{name}");
        }
        assert_eq!(there["data"]["channel"], "news");
    }
    other.shutdown().await.unwrap();
}

#[tokio::test]
async fn an_abort_ends_it_once() {
    let world = World::with(&IDLE).await;
    member(&world, ADA, "news", 1).await;
    let path = accepted(post(&world, "news")).await;
    assert_eq!(ask(&world, PUBLISHER, Method::GET, &path).await.1["data"]["state"], "running");
    for _ in 0..2 {
        let (status, body) = ask(&world, PUBLISHER, Method::DELETE, &path).await;
        assert_eq!((status, &body["data"]["state"]), (200, &json!("aborted")));
        assert_eq!((&body["data"]["id"], &body["data"]["channel"]), (&json!(id(&path)), &json!("news")));
    }
    assert_eq!(events(&world, &path).await.pop().unwrap().1["state"], "aborted");
}

#[tokio::test]
async fn an_abort_stops_what_is_being_sent() {
    let world = World::start().await;
    let devices = [member(&world, ADA, "news", 1).await, world.subscription(2)];
    own(&world, &[(ADA, &devices[1])]).await;
    // The second one asks for patience, again and again.
    world.push.script(&devices[1], vec![Answer::unavailable(Some(Duration::from_secs(60))); 9]);
    let path = accepted(post(&world, "news").header("TTL", "3600")).await;
    world.push.wait_for(|counters| counters.delivered == 1 && counters.scripted == 1).await;
    let (_, body) = ask(&world, PUBLISHER, Method::DELETE, &path).await;
    assert_eq!(body["data"]["state"], "aborted");
    assert_eq!(end(&world, &path).await["state"], "aborted");
}

#[tokio::test]
async fn events_follow_a_broadcast_to_its_end() {
    let world = World::start().await;
    let device = member(&world, ADA, "news", 1).await;
    world.push.script(&device, [Answer::Delayed(Duration::from_secs(1), Box::new(Answer::Normal))]);
    let path = accepted(post(&world, "news")).await;
    let response = world.by(PUBLISHER, Method::GET, &format!("{path}/events")).send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    assert_eq!(response.headers()["cache-control"], "no-cache");
    let told = rest(response).await;
    let (first, last) = (told.first().unwrap(), told.last().unwrap());
    assert_eq!((first.0.as_str(), &first.1["state"]), ("progress", &json!("running")));
    assert_eq!((last.0.as_str(), &last.1["state"]), ("end", &json!("finished")));
    assert_eq!(last.1["counts"], json!({"accepted": 1}));
    assert!(told.iter().all(|(_, data)| data["id"] == id(&path) && data["channel"] == "news"));
    assert!(told[..told.len() - 1].iter().all(|(name, _)| name == "progress"));
    // Of one that ended there is nothing else to tell.
    let told = events(&world, &path).await;
    assert_eq!(told.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["progress", "end"]);
    assert_eq!(told[0].1, told[1].1);
}

async fn rest(response: Response) -> Vec<(String, Value)> {
    let text = response.text().await.unwrap();
    text.split_terminator("\n\n").filter_map(event).collect()
}

#[tokio::test]
async fn an_open_stream_ends_with_the_service_and_does_not_hold_it_up() {
    let world = World::with(&IDLE).await;
    let path = accepted(post(&world, "news")).await;
    let mut stream = world.by(PUBLISHER, Method::GET, &format!("{path}/events")).send().await.unwrap();
    let first = stream.chunk().await.unwrap().unwrap();
    assert!(first.starts_with(b"event: progress\ndata: {"));
    let began = Instant::now();
    world.service.shutdown().await.unwrap();
    // What is cut off is cut off after ten.
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert_eq!(stream.chunk().await.unwrap(), None);
}

#[tokio::test]
async fn streams_of_one_publisher_are_bounded_and_who_leaves_makes_room() {
    let world = World::with(&IDLE).await;
    let path = accepted(post(&world, "news")).await;
    // A connection of HTTP/2 holds several; the one that is asked while all places are taken must have room, too.
    let clients: [Client; 4] =
        std::array::from_fn(|_| Client::builder().http2_prior_knowledge().build().unwrap());
    let url = format!("http://{}{path}/events", world.service.address());
    let open = |n: usize| clients[n % 4].get(&url).basic_auth("publisher", Some("secret")).send();
    let early = world.by(PUBLISHER, Method::GET, &format!("{path}/events")).send().await.unwrap();
    let mut streams = Vec::new();
    for n in 1..64 {
        let response = open(n).await.unwrap();
        assert_eq!(response.status(), 200, "{n}");
        streams.push(response);
    }
    let response = open(0).await.unwrap();
    assert_eq!(response.headers()["retry-after"], "3");
    let (status, error) = read(response).await;
    assert_eq!((status, &error["errno"]), (503, &json!(201)));
    // Other requests are served as ever.
    assert_eq!(ask(&world, PUBLISHER, Method::GET, &path).await.0, 200);
    // Whether a client resets a stream of HTTP/2 or closes a connection of HTTP/1.1.
    drop(streams.pop());
    streams.push(place(|| open(0)).await);
    drop(early);
    place(|| open(1)).await;
}

/// Asks until there is a place.
async fn place<F: Future<Output = reqwest::Result<Response>>>(open: impl Fn() -> F) -> Response {
    loop {
        let response = open().await.unwrap();
        if response.status() == 200 {
            return response;
        }
        tokio::task::yield_now().await;
    }
}
