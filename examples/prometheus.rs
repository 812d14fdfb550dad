//! Counts what a broadcast does, and prints it as Prometheus reads it.

use std::error::Error;

use metrics_exporter_prometheus::PrometheusBuilder;
use webpush_channels::channel::{Channel as _, Channels};
use webpush_channels::engine::vapid::{Vapid, VapidKey};
use webpush_channels::sender::Sender;
use webpush_channels::store::{MemoryStore, SubscriptionStore as _};
use webpush_channels::testing::{Answer, PushService, UserAgent};
use webpush_channels::transport::HyperTransport;
use webpush_channels::{ChannelName, EndpointPolicy, Message, Payload, Ttl, UserId};

/// Seconds: from a fast answer to the longest wait for one.
const BUCKETS: [f64; 9] = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0];

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    // First of all: what counts is looked up when keys and senders are made. A server serves what `render` returns at
    // `/metrics`, and calls `run_upkeep` every few seconds.
    let recorder = PrometheusBuilder::new().set_buckets(&BUCKETS)?.build_recorder();
    let scrape = recorder.handle();
    metrics::set_global_recorder(recorder)?;

    let service = PushService::start().await?;
    let policy = EndpointPolicy::loopback_for_tests();
    let transport = HyperTransport::builder().address_policy(policy.addresses().clone()).build()?;
    let vapid = Vapid::new(VapidKey::generate()?, "mailto:ops@example.org".parse()?);
    let channels =
        Channels::new(MemoryStore::new(), Sender::builder(vapid, transport).policy(policy).build());

    // One browser is there, one is gone, and for one the push service has to be asked twice.
    let user = UserId::new("ada")?;
    let browsers: Vec<_> = (1..=3).map(|seed| service.subscribe(&UserAgent::seeded(seed))).collect();
    service.unsubscribe(&browsers[1]);
    service.script(&browsers[2], [Answer::status(http::StatusCode::INTERNAL_SERVER_ERROR)]);
    for browser in browsers {
        channels.subscribe(&user, browser, None).await?;
    }
    let news = channels.channel(&ChannelName::new("news")?);
    channels.store().join(news.name(), &[user]).await?;
    news.publish(Message::new(Payload::new("hello")?, Ttl::hours(1)).into()).await?;

    let text = scrape.render();
    let count = |series: &str| text.lines().find_map(|line| line.strip_prefix(series)?.trim().parse().ok());
    for (series, expected) in [
        (r#"webpush_deliveries_total{service="other",outcome="accepted"}"#, 2),
        (r#"webpush_deliveries_total{service="other",outcome="gone"}"#, 1),
        (r#"webpush_requests_total{service="other",result="2xx"}"#, 2),
        (r#"webpush_retries_total{service="other"}"#, 1),
        (r#"webpush_removals_total{service="other",review="applied"}"#, 1),
        (r#"webpush_exchange_seconds_count{service="other"}"#, 4),
        (r#"webpush_broadcasts_total{mode="direct",end="finished"}"#, 1),
        ("webpush_encryption_seconds_count", 4),
        ("webpush_tokens_signed_total", 1),
    ] {
        assert_eq!(count(series), Some(expected), "{series}");
    }
    // What is not zero; everything else is there, too.
    let told = |line: &&str| !line.is_empty() && !line.starts_with('#') && !line.ends_with(" 0");
    text.lines().filter(told).for_each(|line| println!("{line}"));
    Ok(())
}
