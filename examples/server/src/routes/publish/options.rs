//! What the headers of a publication say.

use std::str::FromStr;

use http::HeaderMap;
use webpush_channels::{CollapseKey, Message, Payload, Ttl, Urgency};

use crate::error::ApiError;

/// The original's lifetime of a message.
const DEFAULT_TTL: Ttl = Ttl::from_secs(15);
/// The most characters of an `Idempotency-Key`.
const KEY_LEN: usize = 255;

/// How a message is to be sent, and under which name.
#[derive(Debug)]
pub(super) struct PublishOptions {
    ttl: Ttl,
    urgency: Urgency,
    collapse_key: Option<CollapseKey>,
    idempotency_key: Option<String>,
}

impl PublishOptions {
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, ApiError> {
        Ok(Self {
            ttl: parsed(headers, "TTL")?.unwrap_or(DEFAULT_TTL),
            urgency: parsed(headers, "Urgency")?.unwrap_or_default(),
            collapse_key: parsed(headers, "Collapse-Key")?,
            idempotency_key: single(headers, "Idempotency-Key")?.map(idempotency_key).transpose()?,
        })
    }

    pub(super) fn message(&self, payload: Payload) -> Message {
        let message = Message::new(payload, self.ttl).with_urgency(self.urgency);
        match &self.collapse_key {
            Some(key) => message.with_collapse_key(key.clone()),
            None => message,
        }
    }

    pub(super) fn idempotency_key(&self) -> Option<&str> {
        self.idempotency_key.as_deref()
    }
}

fn parsed<T: FromStr<Err: ToString>>(headers: &HeaderMap, name: &'static str) -> Result<Option<T>, ApiError> {
    let parse = |text: &str| text.parse().map_err(|error: T::Err| invalid(name, error.to_string()));
    single(headers, name)?.map(parse).transpose()
}

/// One value: of two, neither is the one that is meant.
fn single<'a>(headers: &'a HeaderMap, name: &'static str) -> Result<Option<&'a str>, ApiError> {
    let mut values = headers.get_all(name).into_iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(invalid(name, "It is given more than once"));
    }
    std::str::from_utf8(value.as_bytes()).map(Some).map_err(|_| invalid(name, "It is not UTF-8"))
}

fn idempotency_key(text: &str) -> Result<String, ApiError> {
    let fits = (1..=KEY_LEN).contains(&text.len()) && text.bytes().all(|octet| octet.is_ascii_graphic());
    let wrong = || invalid("Idempotency-Key", "It has 1 to 255 visible ASCII characters");
    fits.then(|| text.to_owned()).ok_or_else(wrong)
}

fn invalid(name: &str, description: impl Into<String>) -> ApiError {
    ApiError::invalid("header", name, description)
}
