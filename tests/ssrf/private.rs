//! A private push service, as docs/operations.md says: it is reached, and nothing beside it.

use std::net::IpAddr;

use webpush_channels::engine::vapid::{Vapid, VapidKey};
use webpush_channels::sender::Sender;
use webpush_channels::testing::{PushService, UserAgent};
use webpush_channels::transport::HyperTransport;
use webpush_channels::{
    AddressPolicy, Endpoint, EndpointPolicy, Message, Outcome, OutcomeKind, Payload, PolicyError, Refusal,
    Subscription, Ttl,
};

const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

async fn private() -> PushService {
    PushService::builder().localhost(true).tls(true).start().await.unwrap()
}

fn allowing(service: &PushService) -> EndpointPolicy {
    EndpointPolicy::known_vendors().with_origin(service.origin())
}

async fn outcome(policy: &EndpointPolicy, of: &PushService, to: &Subscription) -> Outcome {
    let transport = HyperTransport::builder()
        .address_policy(policy.addresses().clone())
        .extra_root_pem(of.ca_pem().unwrap().as_bytes())
        .unwrap()
        .build()
        .unwrap();
    let vapid = Vapid::new(VapidKey::generate().unwrap(), "mailto:ops@example.org".parse().unwrap());
    let sender = Sender::builder(vapid, transport).policy(policy.clone()).build();
    let message = Message::new(Payload::new("hello").unwrap(), Ttl::hours(1));
    sender.send(to, &message).await.outcome
}

#[tokio::test]
async fn its_origin_and_its_address_are_what_it_takes() {
    let service = private().await;
    let subscription = service.subscribe(&UserAgent::seeded(1));
    let local = Outcome::Refused(Refusal::Policy(PolicyError::Port));
    assert_eq!(outcome(&EndpointPolicy::known_vendors(), &service, &subscription).await, local);
    let by_name = allowing(&service);
    let inside = Outcome::Refused(Refusal::Address);
    assert_eq!(outcome(&by_name, &service, &subscription).await, inside);
    assert_eq!(service.counters().connections, 0, "it was connected to");
    let policy = by_name.with_addresses(AddressPolicy::public().with_network(HERE, 32));
    assert_eq!(outcome(&policy, &service, &subscription).await.kind(), OutcomeKind::Accepted);
}

#[tokio::test]
async fn what_stands_beside_it_stays_out_of_reach() {
    let (service, beside) = (private().await, private().await);
    let policy = allowing(&service).with_addresses(AddressPolicy::public().with_network(HERE, 32));
    let neighbour = beside.subscribe(&UserAgent::seeded(1));
    let refused = |error| Outcome::Refused(Refusal::Policy(error));
    assert_eq!(outcome(&policy, &beside, &neighbour).await, refused(PolicyError::Port));
    // A stranger's name that was made to resolve to the address is a matter of TLS: it has no certificate.
    for (url, error) in [
        (format!("https://127.0.0.1:{}/p/x", service.address().port()), PolicyError::Port),
        ("https://localhost/p/x".to_owned(), PolicyError::LocalName),
        ("https://127.0.0.1/p/x".to_owned(), PolicyError::IpLiteral),
        (service.origin().as_str().replace("https", "http") + "/p/x", PolicyError::NotHttps),
    ] {
        let endpoint: Endpoint = url.parse().unwrap();
        let other = UserAgent::seeded(2).subscribe(endpoint);
        assert_eq!(outcome(&policy, &service, &other).await, refused(error), "{url}");
    }
    assert_eq!(beside.counters().connections + service.counters().connections, 0);
}
