//! What `/metrics` tells, and that nobody can make it grow.

#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]

#[path = "support/storage.rs"]
mod storage;
#[path = "support/world.rs"]
mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use reqwest::Method;
use storage::{enqueue, fill, report, sqlite, until};
use webpush_channels::BroadcastState;
use webpush_channels::store::NewEntry;
use webpush_channels::testing::{Answer, PushService, UserAgent};
use world::{PUBLISHER, World, read};

/// The series with their values.
type Series = BTreeMap<String, f64>;

async fn scrape(world: &World) -> Series {
    let response = world.request(Method::GET, "/metrics").send().await.unwrap();
    assert!(!response.headers().contains_key("access-control-allow-origin"), "a page may read it");
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    let text = response.text().await.unwrap();
    text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).map(series).collect()
}

fn series(line: &str) -> (String, f64) {
    let (name, value) = line.rsplit_once(' ').unwrap();
    assert!(name.starts_with("webpush_"), "{line}");
    let name = name.strip_prefix("webpush_channels_").unwrap_or(name);
    (name.to_owned(), value.parse().unwrap())
}

#[track_caller]
fn is(series: &Series, name: &str, value: f64) {
    let found = series.get(name).unwrap_or_else(|| panic!("no {name}"));
    assert!((found - value).abs() < 1e-9, "{name} is {found}, not {value}");
}

/// Nobody listens there.
async fn dead_origin() -> PushService {
    PushService::start().await.unwrap()
}

#[tokio::test]
async fn requests_are_counted_by_route_and_class() {
    let world = World::start().await;
    for path in ["/v0/", "/v0/", "/v0/channels/one", "/v0/channels/two", "/v0/nowhere", "/elsewhere"] {
        world.request(Method::GET, path).send().await.unwrap();
    }
    world.request(Method::PATCH, "/v0/vapid").send().await.unwrap();
    let series = scrape(&world).await;
    is(&series, r#"http_requests_total{method="GET",route="/v0/",status="2xx"}"#, 2.0);
    is(&series, r#"http_requests_total{method="GET",route="/v0/channels/{id}",status="4xx"}"#, 2.0);
    is(&series, r#"http_requests_total{method="GET",route="none",status="4xx"}"#, 1.0);
    is(&series, r#"http_requests_total{method="GET",route="none",status="3xx"}"#, 1.0);
    is(&series, r#"http_requests_total{method="PATCH",route="/v0/vapid",status="4xx"}"#, 1.0);
    is(&series, r#"http_request_duration_seconds_count{method="GET",route="/v0/"}"#, 2.0);
    is(&series, r#"http_request_duration_seconds_bucket{method="GET",route="/v0/",le="+Inf"}"#, 2.0);
    assert!(series["http_connections"] >= 1.0);
    is(&series, "database_up", 1.0);
}

#[tokio::test]
async fn pushes_are_counted_by_what_became_of_them() {
    let world = World::start().await;
    let store = sqlite(world.directory.path()).await;
    let subscriptions = fill(&*store, &world.push, 6).await;
    world.push.script(&subscriptions[0], [Answer::gone_410()]);
    world.push.script(&subscriptions[1], [Answer::too_large()]);
    let gone = dead_origin().await;
    let dead = NewEntry::new("user-2".parse().unwrap(), gone.subscribe(&UserAgent::seeded(99)));
    drop(gone);
    store.put(&[dead]).await.unwrap();
    let id = enqueue(&store).await;
    // The dead one is tried again later, and holds nobody up.
    until("everybody else has an outcome", async || report(&*store, &id).await.counts.total() == 6).await;
    let series = scrape(&world).await;
    is(&series, r#"webpush_deliveries_total{service="other",outcome="accepted"}"#, 4.0);
    is(&series, r#"webpush_requests_total{service="other",result="2xx"}"#, 4.0);
    is(&series, r#"webpush_requests_total{service="other",result="4xx"}"#, 2.0);
    is(&series, r#"webpush_requests_total{service="fcm",result="2xx"}"#, 0.0);
    is(&series, r#"webpush_exchange_seconds_count{service="other"}"#, 6.0);
    is(&series, r#"webpush_removals_total{service="other",review="applied"}"#, 1.0);
    is(&series, r#"webpush_in_flight{service="other"}"#, 0.0);
    assert!(series["webpush_tokens_signed_total"] >= 1.0);
    assert!(series[r#"webpush_encryption_seconds_bucket{le="0.01"}"#] >= 1.0);
    is(&series, "broadcasts_running", 1.0);
    is(&series, "deliveries_pending", 1.0);
    assert!(series[r#"webpush_requests_total{service="other",result="connect"}"#] >= 1.0);
    world.service.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_push_service_that_calls_everything_gone_is_believed_as_far_as_the_settings_say() {
    for (percent, anyway, pruned) in [("20", "2", 0..=2), ("20", "6", 6..=6), ("100", "2", 6..=6)] {
        let world = World::with(&["--prune-percent", percent, "--prune-anyway", anyway]).await;
        let store = sqlite(world.directory.path()).await;
        for subscription in fill(&*store, &world.push, 6).await {
            world.push.script(&subscription, [Answer::gone_410()]);
        }
        let id = enqueue(&store).await;
        until("all have an outcome", async || report(&*store, &id).await.counts.total() == 6).await;
        let report = report(&*store, &id).await;
        assert!(pruned.contains(&report.pruned), "{percent} % and {anyway}: {report}");
        assert_eq!(report.pruned + report.withheld, 6, "{report}");
        let series = scrape(&world).await;
        let withheld = f64::from(u32::try_from(report.withheld).unwrap());
        is(&series, r#"webpush_removals_total{service="other",review="withheld"}"#, withheld);
        world.service.shutdown().await.unwrap();
    }
}

#[tokio::test]
async fn a_broadcast_that_runs_is_seen() {
    let world = World::start().await;
    let store = sqlite(world.directory.path()).await;
    for subscription in fill(&*store, &world.push, 3).await {
        world.push.script(&subscription, [Answer::Normal.after(Duration::from_millis(300))]);
    }
    let id = enqueue(&store).await;
    world.push.wait_for(|counters| counters.in_flight == 3).await;
    let series = scrape(&world).await;
    is(&series, "broadcasts_running", 1.0);
    is(&series, r#"webpush_in_flight{service="other"}"#, 3.0);
    until("it ends", async || report(&*store, &id).await.state == BroadcastState::Finished).await;
    is(&scrape(&world).await, r#"webpush_in_flight{service="other"}"#, 0.0);
}

#[tokio::test]
async fn publications_and_subscriptions_are_counted_by_how_they_ended() {
    let world = World::with(&["--subscriptions-per-user", "2"]).await;
    let browsers = [1, 2, 3].map(|seed| world.subscription(seed));
    for (user, browser) in [("ada:a", 0), ("ada:a", 0), ("ada:a", 1), ("ada:a", 2), ("bob:b", 1)] {
        let body = serde_json::json!({"data": browsers[browser]});
        world.by(user, Method::POST, "/v0/subscriptions").json(&body).send().await.unwrap();
    }
    let response = world.by("ada:a", Method::DELETE, "/v0/subscriptions").send().await.unwrap();
    assert_eq!(response.status(), 200);
    let publish = |user: &str| world.by(user, Method::POST, "/v0/channels/news");
    world.request(Method::POST, "/v0/channels/news").send().await.unwrap();
    publish("ada:a").send().await.unwrap();
    publish(PUBLISHER).header("TTL", "soon").send().await.unwrap();
    let batch = serde_json::json!({"requests": [{"method": "POST", "path": "/v0/channels/news"}]});
    world.by(PUBLISHER, Method::POST, "/v0/batch").json(&batch).send().await.unwrap();
    publish(PUBLISHER).header("Idempotency-Key", "x").send().await.unwrap();
    publish(PUBLISHER).header("Idempotency-Key", "x").header("TTL", "60").send().await.unwrap();
    let series = scrape(&world).await;
    for (result, times) in
        [("unauthenticated", 1.0), ("forbidden", 1.0), ("invalid", 1.0), ("accepted", 2.0), ("conflict", 1.0)]
    {
        is(&series, &format!(r#"publications_total{{result="{result}"}}"#), times);
    }
    for (change, times) in [("new", 2.0), ("same", 1.0), ("refused", 1.0), ("moved", 1.0), ("removed", 1.0)] {
        is(&series, &format!(r#"subscriptions_total{{change="{change}"}}"#), times);
    }
}

#[tokio::test]
async fn the_manual_has_every_name() {
    let manual = include_str!("../../../docs/service.md");
    let (_, section) = manual.split_once("\n## Metrics\n").unwrap();
    let section = section.split("\n## ").next().unwrap();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let told: BTreeSet<_> = rows.collect();

    let world = World::start().await;
    let response = world.request(Method::GET, "/metrics").send().await.unwrap();
    let text = response.text().await.unwrap();
    let names =
        text.lines().filter_map(|line| line.strip_prefix("# HELP webpush_channels_")?.split(' ').next());
    for name in names {
        assert!(told.contains(name), "docs/service.md lacks {name}");
    }
    let operations = include_str!("../../../docs/operations.md");
    let names = text.lines().filter_map(|line| line.strip_prefix("# HELP ")?.split(' ').next());
    let library: Vec<_> = names.filter(|name| !name.starts_with("webpush_channels_")).collect();
    assert!(library.len() > 10, "{library:?}");
    for name in library {
        assert!(operations.contains(&format!("| `{name}` |")), "docs/operations.md lacks {name}");
    }
    // Those that count what has not happened yet show nothing yet.
    let later = ["http_request_duration_seconds", "http_requests_total", "publications_total"];
    for name in told {
        let is_shown = text.contains(&format!("# HELP webpush_channels_{name} "));
        assert!(
            is_shown || later.contains(&name) || name == "subscriptions_total",
            "nothing is called {name}"
        );
    }
}

/// Values of labels that no stranger chooses.
fn allowed(label: &str, value: &str) -> bool {
    const METHODS: [&str; 8] = ["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "other"];
    const SERVICES: [&str; 5] = ["apple", "fcm", "mozilla", "other", "wns"];
    match label {
        "method" => METHODS.contains(&value),
        "route" => value == "none" || value == "/metrics" || value.starts_with("/v0/"),
        "status" => ["1xx", "2xx", "3xx", "4xx", "5xx"].contains(&value),
        "service" => SERVICES.contains(&value),
        "le" => value == "+Inf" || value.parse::<f64>().is_ok(),
        "cause" | "change" | "end" | "mode" | "outcome" | "review" => {
            value.chars().all(|c| matches!(c, 'a'..='z' | '_'))
        }
        // A class of status, or why there is none.
        "result" => value.chars().all(|c| matches!(c, 'a'..='z' | '1'..='5' | '_' | ' ')),
        _ => false,
    }
}

fn labels(series: &str) -> Vec<(&str, &str)> {
    let inner = series.split_once('{').map_or("", |(_, rest)| rest.trim_end_matches('}'));
    let pairs = inner.split("\",").filter(|pair| !pair.is_empty());
    pairs.map(|pair| pair.split_once("=\"").unwrap()).map(|(k, v)| (k, v.trim_end_matches('"'))).collect()
}

#[tokio::test]
async fn strangers_make_no_series() {
    let world = World::start().await;
    let store = sqlite(world.directory.path()).await;
    fill(&*store, &world.push, 1).await;
    let mut before = BTreeSet::new();
    for round in 0..3_u64 {
        for n in 0..20 {
            let name = format!("stranger-{round}-{n}");
            let request = world.by(&format!("{name}:x"), Method::GET, &format!("/v0/channels/{name}"));
            request.send().await.unwrap();
            world.request(Method::GET, &format!("/v0/{name}")).send().await.unwrap();
            let method = Method::from_bytes(format!("STRANGER{round}{n}").as_bytes()).unwrap();
            world.request(method, "/v0/").send().await.unwrap();
            // A push service of the stranger's own choice, with a status of its own.
            let push = PushService::start().await.unwrap();
            let subscription = push.subscribe(&UserAgent::seeded(1000 * round + n));
            let status = reqwest::StatusCode::from_u16(520 + u16::try_from(n).unwrap()).unwrap();
            push.script(&subscription, [Answer::status(status)]);
            store.put(&[NewEntry::new("user-0".parse().unwrap(), subscription)]).await.unwrap();
            drop(push);
        }
        enqueue(&store).await;
        world.push.wait_for(|counters| counters.accepted > round).await;
        let failed = r#"webpush_requests_total{service="other",result="connect"}"#;
        until("a dead one is tried", async || scrape(&world).await[failed] >= 1.0).await;
        let written = "webpush_checkpoint_seconds_count";
        until("it is written down", async || scrape(&world).await.contains_key(written)).await;
        let now: BTreeSet<String> = scrape(&world).await.into_keys().collect();
        if round == 0 {
            before = now;
        } else {
            let new: Vec<_> = now.difference(&before).collect();
            assert!(new.is_empty(), "{new:?}");
        }
    }
    for series in &before {
        assert!(!series.contains("stranger") && !series.contains("127.0.0.1"), "{series}");
        for (label, value) in labels(series) {
            assert!(allowed(label, value), "{label}={value} in {series}");
        }
    }
    assert!(before.len() > 100, "{} series were looked at", before.len());
}

#[tokio::test]
async fn services_in_one_process_count_apart() {
    let (one, other) = (World::start().await, World::start().await);
    one.by(PUBLISHER, Method::GET, "/v0/").send().await.unwrap();
    let name = r#"http_requests_total{method="GET",route="/v0/",status="2xx"}"#;
    assert_eq!(scrape(&one).await.get(name), Some(&1.0));
    assert_eq!(scrape(&other).await.get(name), None);
}

#[tokio::test]
async fn without_metrics_the_path_is_unknown() {
    let world = World::with(&["--metrics", "false"]).await;
    let (status, error) = read(world.request(Method::GET, "/metrics").send().await.unwrap()).await;
    assert_eq!((status, &error["errno"]), (404, &serde_json::json!(111)));
}
