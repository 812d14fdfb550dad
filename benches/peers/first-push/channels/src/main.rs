//! Sends one message: `first-push-channels SUBSCRIPTION KEY AUTHORITY`, three files. As the README does, and to a push
//! service on the loopback, which it would otherwise refuse.

use std::error::Error;
use std::fs;

use webpush_channels::engine::vapid::{Vapid, VapidKey};
use webpush_channels::sender::Sender;
use webpush_channels::transport::HyperTransport;
use webpush_channels::{AddressPolicy, EndpointPolicy, Message, Payload, Subscription, Ttl};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let files: Vec<_> = std::env::args().skip(1).map(fs::read).collect::<Result<_, _>>()?;
    let [subscription, key, authority] = &files[..] else { return Err("three files are needed".into()) };

    let vapid = Vapid::new(VapidKey::from_octets(key)?, "mailto:push@example.com".parse()?);
    let transport = HyperTransport::builder()
        .address_policy(AddressPolicy::loopback_for_tests())
        .extra_root_pem(authority)?
        .build()?;
    let sender = Sender::builder(vapid, transport).policy(EndpointPolicy::loopback_for_tests()).build();

    let message = Message::new(Payload::new("x".repeat(1024))?, Ttl::hours(1));
    let sent = sender.send(&Subscription::from_json(subscription)?, &message).await;
    if !sent.outcome.is_accepted() {
        return Err(format!("not accepted: {:?}", sent.outcome.kind()).into());
    }
    println!("accepted");
    // Until somebody has read how much CPU time that took.
    std::io::stdin().read_line(&mut String::new())?;
    Ok(())
}
