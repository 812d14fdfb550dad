//! Sending through a client of the crate `reqwest` that one has settings for already.
//!
//! Here it speaks cleartext to a push service in this process. For real ones depend on `reqwest` with its feature
//! `rustls` (or `native-tls`), and leave the policy for tests out.

use std::error::Error;
use std::time::Duration;

use webpush_channels::engine::vapid::{Vapid, VapidKey};
use webpush_channels::sender::Sender;
use webpush_channels::testing::{PushService, UserAgent};
use webpush_channels::transport::ReqwestTransport;
use webpush_channels::{EndpointPolicy, Message, OutcomeKind, Payload, Ttl};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let service = PushService::start().await?;
    let agent = UserAgent::new();
    let (alive, dead) = (service.subscribe(&agent), service.subscribe(&agent));
    service.unsubscribe(&dead);

    // Both the sender's policy and the transport's are those for tests: this is loopback.
    let policy = EndpointPolicy::loopback_for_tests();
    let settings = reqwest::Client::builder().user_agent("newsroom/1").tcp_keepalive(Duration::from_secs(30));
    // Redirects, proxies and the resolver are the transport's: whatever the settings say, an endpoint cannot lead
    // elsewhere.
    let transport = ReqwestTransport::builder()
        .client(settings)
        .address_policy(policy.addresses().clone())
        .total_timeout(Duration::from_secs(20))
        .build()?;
    let vapid = Vapid::new(VapidKey::generate()?, "mailto:ops@example.org".parse()?);
    let sender = Sender::builder(vapid, transport).policy(policy).build();

    for (name, subscription, expected) in
        [("alive", &alive, OutcomeKind::Accepted), ("dead", &dead, OutcomeKind::Gone)]
    {
        let message = Message::new(Payload::new(format!("hello, {name}"))?, Ttl::hours(1));
        let sent = sender.send(subscription, &message).await;
        println!("{name}: {} after {} request(s)", sent.outcome.kind(), sent.attempts);
        assert_eq!(sent.outcome.kind(), expected);
    }
    println!("received: {} message(s)", service.received(&alive).len());
    Ok(())
}
