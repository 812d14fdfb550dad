//! Nothing secret in any `Debug`, `Display`, error or log line (S-12).
#![allow(clippy::unwrap_used, reason = "a test")]

mod adapters;
mod comparisons;
mod coverage;
mod declarative;
mod errors;
mod journal;
mod logs;
mod needles;
mod types;
mod wiped;
mod world;

use needles::Shown;
use world::World;

#[tokio::test]
async fn nothing_that_is_formatted_shows_a_secret() {
    let world = World::new();
    let needles = world.needles();
    let mut shown = Shown::new(&needles);
    types::format_all(&world, &mut shown).await;
    declarative::format_all(&mut shown);
    errors::format_all(&world, &mut shown);
    errors::format_transport(&world, &mut shown).await;
    adapters::format_all(&world, &mut shown).await;
    assert!(shown.finish() > 300);
}

#[test]
fn a_leak_is_found_in_every_form() {
    #[derive(Debug)]
    #[allow(dead_code, reason = "only formatted")]
    struct Leaky {
        endpoint: String,
        auth: [u8; 16],
        bytes: bytes::Bytes,
    }
    let world = World::new();
    let needles = world.needles();
    let auth = *world.subscription.keys().auth().as_bytes();
    let hex = needles::hex(&auth).to_uppercase();
    for (shown, name) in [
        (world.subscription.endpoint().as_str().to_owned(), "the endpoint"),
        (world.subscription.endpoint().as_str()[40..60].to_owned(), "the endpoint"),
        (format!("got {hex:?}"), "auth"),
        (format!("{auth:?}"), "auth"),
        (format!("{auth:#?}"), "auth"),
        (format!("{:?}", bytes::Bytes::copy_from_slice(&auth)), "auth"),
        (world.subscription.keys().auth().to_base64url(), "auth"),
        (world.vapid_key.to_pkcs8_pem().expose().to_owned(), "the VAPID key"),
        (world.vapid_key.to_jwk().expose().to_owned(), "the VAPID key"),
        (world.message_url.as_str().to_owned(), "the message URL"),
        (world.token()[60..100].to_owned(), "the token"),
    ] {
        assert!(needles.found_in(&shown).contains(name), "{name} in {shown}");
    }
    let mut shown = Shown::new(&needles);
    shown.error(&std::io::Error::other(world.json()));
    let endpoint = world.subscription.endpoint().as_str().to_owned();
    shown.debug(&Leaky { endpoint, auth, bytes: bytes::Bytes::copy_from_slice(&auth) });
    assert!(shown.leaks().len() >= 4, "{:?}", shown.leaks());
    assert!(needles.found_in("https://push.example.net answered 410 Gone").is_empty());
}
