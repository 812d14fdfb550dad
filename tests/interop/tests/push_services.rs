//! Messages in both codings, by every encryptor, are taken by both manners of the push service:
//! the strictest vendor's and Mozilla's. User agents open them there.

use webpush_channels::engine::encryption::{AwsLc, Ece, EceAesGcm, Encryptor, RustCrypto};
use webpush_channels::engine::request::{Body, PushRequest};
use webpush_channels::engine::vapid::{TopicInput, Vapid, VapidKey};
use webpush_channels::testing::{PushService, PushServiceBuilder};
use webpush_channels::transport::{HyperTransport, Transport as _};
use webpush_channels::{AddressPolicy, CollapseKey, Padding, Subscription, Ttl, Urgency};
use webpush_channels_interop::{PADDINGS, Receiver, content, seal};

/// Sends a body, or none, with every header that a message can have.
async fn send(transport: &HyperTransport, vapid: &Vapid, to: &Subscription, body: Body) -> u16 {
    let key: CollapseKey = "inbox".parse().expect("a collapse key");
    let topic = vapid.topic(&to.id(), TopicInput::Collapse(&key));
    let token = vapid.authorization(&to.endpoint().origin()).unwrap().header;
    let request = PushRequest::new(to.endpoint(), Ttl::hours(1), token)
        .with_urgency(Urgency::High)
        .with_topic(topic.to_header_value())
        .with_body(body)
        .into_http();
    transport.send(request).await.expect("an answer").status().as_u16()
}

async fn every_message_is_taken(service: PushServiceBuilder) {
    let service = service.start().await.expect("a push service");
    let policy = AddressPolicy::loopback_for_tests();
    let transport = HyperTransport::builder().address_policy(policy).build().expect("a transport");
    let key = VapidKey::generate().expect("randomness");
    let vapid = Vapid::new(key.clone(), "mailto:ops@example.com".parse().expect("a contact"));
    let encryptors: [&dyn Encryptor; 4] = [&RustCrypto::new(), &AwsLc::new(), &Ece::new(), &EceAesGcm::new()];
    for (number, encryptor) in (1..).zip(encryptors) {
        let to = Receiver::number(number);
        let subscription = service.subscribe_bound(&to.agent, key.public_key());
        let mut sent = Vec::new();
        for size in [1, 127, 2000, encryptor.max_plaintext_len()] {
            for padding in PADDINGS.into_iter().chain([Padding::Fixed(4096)]) {
                let message = seal(encryptor, &to, content(size), padding);
                let body = Body::encrypted(message.encoded, message.body.into());
                let status = send(&transport, &vapid, &subscription, body).await;
                assert_eq!(status, 201, "{encryptor:?}, {size} octets, {padding:?}");
                sent.push(Some(content(size)));
            }
        }
        assert_eq!(send(&transport, &vapid, &subscription, Body::Empty).await, 201);
        sent.push(None);
        let received = service.received(&subscription);
        let opened: Vec<_> = received
            .iter()
            .map(|message| message.payload().expect("a message for this user agent").map(<[u8]>::to_vec))
            .collect();
        assert!(opened == sent, "{encryptor:?}");
    }
    assert_eq!(service.violations(), []);
}

#[tokio::test]
async fn the_strictest_push_service_takes_every_message_in_both_codings() {
    every_message_is_taken(PushService::builder()).await;
}

#[tokio::test]
async fn mozilla_takes_every_message_in_both_codings() {
    every_message_is_taken(PushService::builder().mozilla()).await;
}
