//! A transport in two others: one that keeps to a rate, and one that writes down what was sent.
//!
//! The log is the outer one, so that the time it shows has the wait in it.

use std::error::Error;
use std::num::NonZeroU32;
use std::time::Duration;

use webpush_channels::engine::vapid::{Vapid, VapidKey};
use webpush_channels::sender::Sender;
use webpush_channels::testing::{PushService, UserAgent};
use webpush_channels::transport::{ExchangeEnd, ExchangeLog, HyperTransport, Rate, RateLimited, Recording};
use webpush_channels::{EndpointPolicy, Message, Payload, Ttl};

const MESSAGES: usize = 6;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let service = PushService::start().await?;
    let subscription = service.subscribe(&UserAgent::new());

    let policy = EndpointPolicy::loopback_for_tests();
    let hyper = HyperTransport::builder().address_policy(policy.addresses().clone()).build()?;
    let ten_a_second = NonZeroU32::new(10).ok_or("zero")?;
    let limited = RateLimited::new(hyper)
        .per_origin(Rate::per_second(ten_a_second))
        .overall(Rate::per_minute(NonZeroU32::new(6000).ok_or("zero")?))
        .max_wait(Duration::from_secs(10));
    let log = ExchangeLog::new(1000);
    let vapid = Vapid::new(VapidKey::generate()?, "mailto:ops@example.org".parse()?);
    let sender = Sender::builder(vapid, Recording::new(limited, log.clone())).policy(policy).build();

    for number in 1..=MESSAGES {
        let message = Message::new(Payload::new(format!("message {number}"))?, Ttl::hours(1));
        sender.send(&subscription, &message).await;
    }

    for exchange in log.snapshot() {
        let origin = exchange.origin.as_deref().unwrap_or("nowhere");
        let (sent, took) = (exchange.sent, exchange.took.as_millis());
        println!("{} {origin}: {sent} octets, {took} ms, {:?}", exchange.method, exchange.end);
    }
    let accepted = log.take();
    let accepted = accepted
        .iter()
        .filter(|seen| matches!(seen.end, ExchangeEnd::Answered { status, .. } if status == 201));
    assert_eq!(accepted.count(), MESSAGES);
    Ok(())
}
