//! That senders do the real work: what arrived is opened as a browser opens it, and its token verified as a push
//! service verifies it.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ece::EcKeyComponents;
use http::{HeaderMap, HeaderName, HeaderValue};
use webpush_channels::testing::{DecryptError, vapid};
use webpush_channels::{Clock as _, Endpoint, SystemClock};

use crate::push_service::Message;
use crate::{Result, senders, setup};

/// A whole push with a payload of this size.
pub(crate) fn push(message: &Message, origin: &str, size: usize) -> Result<()> {
    let number = message.path.rsplit('/').next().unwrap_or_default().parse()?;
    let mut headers = HeaderMap::new();
    for (name, value) in &message.headers {
        headers.append(name.parse::<HeaderName>()?, HeaderValue::try_from(value)?);
    }
    if headers.get("content-encoding").is_none_or(|coding| coding != "aes128gcm")
        || !headers.contains_key("ttl")
    {
        return Err("it has no content coding or no TTL".into());
    }
    body(&message.body, number, size)?;
    let authorization = headers.get("authorization").ok_or("nobody has signed it")?.to_str()?;
    let credentials = vapid::parse_authorization(authorization)?;
    let verify = |origin: &str| {
        let endpoint: Endpoint = format!("{origin}/").parse()?;
        vapid::verify(&credentials, &endpoint.origin(), SystemClock::default().now())?;
        Ok(())
    };
    // Some leave the port out of `aud`.
    let without_port = origin.rsplit_once(':').map_or(origin, |(before, _)| before);
    verify(origin).or_else(|_: Box<dyn std::error::Error>| verify(without_port))
}

/// The body, in base64, of a message with a payload of this size to the subscription of this number.
pub(crate) fn body(body: &str, subscription: usize, size: usize) -> Result<()> {
    let (browser, body) = (setup::browser(subscription), BASE64_STANDARD.decode(body)?);
    let opened = match browser.agent.decrypt(&body) {
        // web-push-native leaves no room in its record, which RFC 8291 section 4 forbids and browsers take.
        Err(DecryptError::RecordFull { .. }) => {
            let keys = browser.agent.keys();
            let components = EcKeyComponents::new(&browser.private[..], &keys.p256dh().as_bytes()[..]);
            ece::decrypt(&components, &browser.auth, &body)?
        }
        opened => opened?,
    };
    if opened == senders::payload(size) {
        Ok(())
    } else {
        Err("another payload arrived than was sent".into())
    }
}
