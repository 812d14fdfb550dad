//! The content type of messages, declarative or not.

use http::HeaderValue;
use webpush_channels::channel::{Channel as _, Channels};
use webpush_channels::declarative::Declarative;
use webpush_channels::engine::request::{Body, PushRequest};
use webpush_channels::engine::vapid::{Vapid, VapidKey};
use webpush_channels::sender::{Sender, SenderBuilder};
use webpush_channels::store::MemoryStore;
use webpush_channels::testing::{StubTransport, UserAgent};
use webpush_channels::{ChannelName, Message, OutcomeKind, Payload, Subscription, Ttl, UserId};

use crate::{URL, standard};

const DECLARED: HeaderValue = HeaderValue::from_static("application/notification+json");

fn message() -> Message {
    Message::new(Declarative::builder("T", URL).build().unwrap().into(), Ttl::hours(1))
}

fn subscription() -> Subscription {
    UserAgent::seeded(1).subscribe("https://push.example.net/p/1".parse().unwrap())
}

fn sender(transport: &StubTransport) -> SenderBuilder {
    let vapid = Vapid::new(VapidKey::generate().unwrap(), "mailto:ops@example.org".parse().unwrap());
    Sender::builder(vapid, transport.clone())
}

/// The content type of the one message that was sent by itself, and of the one by a channel.
async fn sent(
    builder: impl Fn(&StubTransport) -> SenderBuilder,
    message: Message,
) -> [Option<HeaderValue>; 2] {
    let transport = StubTransport::new();
    assert!(builder(&transport).build().send(&subscription(), &message).await.outcome.is_accepted());

    let channels = Channels::new(MemoryStore::new(), builder(&transport).build());
    let (ada, news) = (UserId::new("ada").unwrap(), ChannelName::new("news").unwrap());
    channels.subscribe(&ada, subscription(), None).await.unwrap();
    let channel = channels.channel(&news);
    channel.join(&ada).await.unwrap();
    assert_eq!(channel.publish(message.into()).await.unwrap().counts[OutcomeKind::Accepted], 1);

    let requests = transport.requests();
    assert_eq!(requests.len(), 2);
    [0, 1].map(|n| {
        let request = requests[n].get();
        if !request.body().is_empty() {
            assert!(standard(UserAgent::seeded(1).decrypt(request.body()).unwrap()).is_ok());
        }
        request.headers().get("content-type").cloned()
    })
}

#[tokio::test]
async fn a_declarative_message_looks_like_any_other() {
    let octets = Some(HeaderValue::from_static("application/octet-stream"));
    assert_eq!(sent(sender, message()).await, [octets.clone(), octets]);
}

#[tokio::test]
async fn a_sender_may_say_another_type() {
    let declared = |transport: &StubTransport| sender(transport).content_type(DECLARED);
    assert_eq!(sent(declared, message()).await, [Some(DECLARED), Some(DECLARED)]);
}

#[tokio::test]
async fn a_message_without_a_body_has_no_type() {
    let declared = |transport: &StubTransport| sender(transport).content_type(DECLARED);
    assert_eq!(sent(declared, Message::new(Payload::empty(), Ttl::hours(1))).await, [None, None]);
}

#[test]
fn one_request_may_say_another_type() {
    let subscription = subscription();
    let token = HeaderValue::from_static("vapid t=a, k=b");
    let request = || {
        PushRequest::new(subscription.endpoint(), Ttl::ZERO, token.clone())
            .with_body(Body::Aes128Gcm(vec![0; 144].into()))
    };
    assert_eq!(request().into_http().headers()["content-type"], "application/octet-stream");
    let other = request().with_content_type(DECLARED).into_http();
    assert_eq!(other.headers()["content-type"], DECLARED);
    assert_eq!(other.headers()["content-encoding"], "aes128gcm");
}
