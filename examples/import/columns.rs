//! From a row of somebody else's table to an entry.

use std::borrow::Cow;
use std::time::{Duration, UNIX_EPOCH};

use serde_json::Value;
use webpush_channels::store::{Coding, NewEntry};
use webpush_channels::{Endpoint, EndpointError, EndpointPolicy, Subscription, SubscriptionKeys, UserId};

/// What is looked for, and under which names others keep it.
const NAMES: [(&str, &[&str]); 6] = [
    ("user", &["user", "user_id", "subscribable_id"]),
    ("endpoint", &["endpoint"]),
    ("p256dh", &["p256dh", "public_key"]),
    ("auth", &["auth", "auth_token"]),
    ("coding", &["content_encoding", "contentEncoding"]),
    ("expires", &["expirationTime", "expiration_time"]),
];

/// The columns of a table.
#[derive(Debug)]
pub(super) struct Columns {
    /// Given by the user, `what=name`: these come first.
    given: Vec<(String, String)>,
    policy: EndpointPolicy,
}

impl Columns {
    pub(super) const fn new(policy: EndpointPolicy) -> Self {
        Self { given: Vec::new(), policy }
    }

    /// Adds `what=name`.
    pub(super) fn name(&mut self, pair: &str) -> Result<(), String> {
        let (what, name) = pair.split_once('=').ok_or("a column is given as WHAT=NAME")?;
        if !NAMES.iter().any(|(known, _)| *known == what) {
            let known: Vec<_> = NAMES.iter().map(|(known, _)| *known).collect();
            return Err(format!("no such thing as `{what}`: there are {}", known.join(", ")));
        }
        self.given.push((what.to_owned(), name.to_owned()));
        Ok(())
    }

    /// The entry of a row, or what is wrong with it. That text holds nothing of the row.
    pub(super) fn entry(&self, row: &Value) -> Result<NewEntry, String> {
        let user = UserId::new(self.text(row, "user")?).map_err(|error| error.to_string())?;
        let endpoint: Endpoint =
            self.text(row, "endpoint")?.parse().map_err(|error: EndpointError| error.to_string())?;
        self.policy.check(&endpoint).map_err(|error| error.to_string())?;
        let (p256dh, auth) = (base64url(&self.text(row, "p256dh")?), base64url(&self.text(row, "auth")?));
        let keys = SubscriptionKeys::from_base64url(&p256dh, &auth).map_err(|error| error.to_string())?;
        let expires = self.find(row, "expires").and_then(Value::as_u64).map(Duration::from_millis);
        let subscription =
            Subscription::new(endpoint, keys).with_expiration_time(expires.map(|after| UNIX_EPOCH + after));
        let coding = match self.find(row, "coding").and_then(Value::as_str) {
            None | Some("") => Coding::Aes128Gcm,
            Some(name) => Coding::from_name(name).ok_or("coding: neither aes128gcm nor aesgcm")?,
        };
        Ok(NewEntry::new(user, subscription).with_coding(coding))
    }

    fn text<'a>(&self, row: &'a Value, what: &str) -> Result<Cow<'a, str>, String> {
        match self.find(row, what) {
            Some(Value::String(text)) => Ok(text.into()),
            // Users are often numbers.
            Some(Value::Number(number)) => Ok(number.to_string().into()),
            Some(_) => Err(format!("{what}: neither text nor a number")),
            None => Err(format!("{what}: missing")),
        }
    }

    /// In the row itself, or in its `keys`, as in `toJSON()`.
    fn find<'a>(&self, row: &'a Value, what: &str) -> Option<&'a Value> {
        let given = self.given.iter().filter(|(of, _)| of == what).map(|(_, name)| name.as_str());
        let known = NAMES.iter().filter(|(of, _)| *of == what).flat_map(|(_, names)| names.iter().copied());
        given
            .chain(known)
            .find_map(|name| row.get(name).or_else(|| row.get("keys")?.get(name)))
            .filter(|value| !value.is_null())
    }
}

/// Many pages made their keys with `btoa`, which knows only the standard alphabet.
fn base64url(text: &str) -> String {
    text.replace('+', "-").replace('/', "_")
}
