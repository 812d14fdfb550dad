//! Sending through a `tower` service: hyper-util's pooled client with a layer around it.
//!
//! Here it speaks cleartext to a push service in this process. For real ones put a TLS connector, hyper-rustls' for
//! instance, around the `HttpConnector`, and leave the policy for tests out.

use std::time::Duration;

use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tower::Layer as _;
use tower::limit::ConcurrencyLimitLayer;
use webpush_channels::AddressPolicy;
use webpush_channels::transport::{AddressGuard, TowerTransport, Transport};

/// At most 64 requests at a time, to the addresses that the policy allows.
pub(crate) fn transport(policy: &AddressPolicy, total_timeout: Duration) -> impl Transport + use<> {
    // The guard stands between the client and its resolver, so that a connection goes to an address that was
    // checked.
    let mut connector = HttpConnector::new_with_resolver(AddressGuard::system(policy.clone()));
    connector.set_connect_timeout(Some(Duration::from_secs(5)));
    connector.set_nodelay(true);
    let mut client = Client::builder(TokioExecutor::new());
    client.pool_idle_timeout(Duration::from_secs(90));
    let service = ConcurrencyLimitLayer::new(64).layer(client.build(connector));
    TowerTransport::new(service).address_policy(policy.clone()).total_timeout(total_timeout)
}

#[cfg(not(test))]
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    use webpush_channels::engine::vapid::{Vapid, VapidKey};
    use webpush_channels::sender::Sender;
    use webpush_channels::testing::{PushService, UserAgent};
    use webpush_channels::{EndpointPolicy, Message, OutcomeKind, Payload, Ttl};

    let service = PushService::start().await?;
    let agent = UserAgent::new();
    let (alive, dead) = (service.subscribe(&agent), service.subscribe(&agent));
    service.unsubscribe(&dead);

    // Both the sender's policy and the transport's are those for tests: this is loopback.
    let policy = EndpointPolicy::loopback_for_tests();
    let vapid = Vapid::new(VapidKey::generate()?, "mailto:ops@example.org".parse()?);
    let transport = transport(policy.addresses(), Duration::from_secs(20));
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
