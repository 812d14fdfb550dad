//! What a client sends as a subscription, and what is wrong with it. No message repeats what was sent: an endpoint and
//! its keys are secrets (S-11, S-12).

use serde_json::{Map, Value};
use webpush_channels::{
    AuthSecret, Endpoint, EndpointError, EndpointPolicy, PolicyError, PublicKey, Subscription, SubscriptionId,
};

use crate::error::{ApiError, Problem};
use crate::json::ObjectBody;
use crate::{hub, state::App};

/// The member `data` of a body.
#[derive(Debug)]
pub(crate) struct Data(pub(crate) Map<String, Value>);

impl Data {
    /// It must be there.
    pub(crate) fn required(body: ObjectBody) -> Result<Self, ApiError> {
        body.into_data()?.map(Self).ok_or_else(|| ApiError::invalid("body", "data", REQUIRED))
    }

    /// The subscription in it. `prefix` is what the names of its members begin with in messages.
    pub(crate) fn subscription(&self, app: &App, prefix: &str) -> Result<Subscription, ApiError> {
        let policy = hub::policy(&app.settings.sending);
        let mut problems = Vec::new();
        for (name, description) in self.problems(&policy) {
            problems.push(Problem { location: "body", name: Some(format!("{prefix}{name}")), description });
        }
        if !problems.is_empty() {
            return Err(ApiError::all_invalid(&problems));
        }
        let mut known = self.0.clone();
        known.retain(|name, _| matches!(name.as_str(), "endpoint" | "keys" | "expirationTime"));
        if let Some(endpoint) = self.endpoint() {
            known.insert("endpoint".to_owned(), endpoint.into());
        }
        serde_json::from_value(Value::Object(known)).map_err(|_| {
            let description = "Must be null or a number of milliseconds since 1970";
            ApiError::invalid("body", &*format!("{prefix}expirationTime"), description)
        })
    }

    /// The id in it, which must at least look like one.
    pub(crate) fn id(&self) -> Result<Option<&str>, ApiError> {
        match self.0.get("id") {
            None => Ok(None),
            Some(Value::String(id)) if is_record_id(id) => Ok(Some(id)),
            Some(_) => Err(invalid_record_id()),
        }
    }

    /// 400 if the id in it is not that of its endpoint.
    pub(crate) fn check_id(&self, right: &SubscriptionId) -> Result<(), ApiError> {
        self.id()?.map_or(Ok(()), |given| check_id(given, right))
    }

    /// What is wrong with its members, by name.
    fn problems(&self, policy: &EndpointPolicy) -> Vec<(&'static str, String)> {
        let mut problems = Vec::new();
        problems.extend(self.check_endpoint(policy).err().map(|problem| ("endpoint", problem)));
        match self.0.get("keys") {
            None | Some(Value::Null) => problems.push(("keys", REQUIRED.to_owned())),
            Some(Value::Object(keys)) => {
                let auth = key(keys.get("auth"), AuthSecret::from_base64url);
                let p256dh = key(keys.get("p256dh"), PublicKey::from_base64url);
                problems.extend(auth.err().map(|problem| ("keys.auth", problem)));
                problems.extend(p256dh.err().map(|problem| ("keys.p256dh", problem)));
            }
            Some(_) => problems.push(("keys", "Must be a mapping".to_owned())),
        }
        problems
    }

    /// The original strips what is around a URL.
    fn endpoint(&self) -> Option<&str> {
        self.0.get("endpoint")?.as_str().map(str::trim)
    }

    fn check_endpoint(&self, policy: &EndpointPolicy) -> Result<(), String> {
        if self.0.get("endpoint").is_none_or(Value::is_null) {
            return Err(REQUIRED.to_owned());
        }
        let endpoint: Endpoint = match self.endpoint().ok_or(EndpointError::NotAbsolute).map(str::parse) {
            Ok(Ok(endpoint)) => endpoint,
            Ok(Err(error @ EndpointError::TooLong { .. })) => return Err(error.to_string()),
            Ok(Err(error)) if self.endpoint().is_some_and(|text| text.starts_with("http")) => {
                return Err(format!("{NO_URL}: {error}"));
            }
            _ => return Err(NO_URL.to_owned()),
        };
        policy.check(&endpoint).map_err(|error| error.to_string())
    }
}

const REQUIRED: &str = "Required";
const NO_URL: &str = "Must be a URL";

fn key<T, E: std::error::Error>(
    given: Option<&Value>,
    parse: impl Fn(&str) -> Result<T, E>,
) -> Result<T, String> {
    match given {
        None | Some(Value::Null) => Err(REQUIRED.to_owned()),
        Some(Value::String(text)) if text.is_empty() => Err(REQUIRED.to_owned()),
        Some(Value::String(text)) => parse(text).map_err(|error| error.to_string()),
        Some(_) => Err("Must be a string".to_owned()),
    }
}

/// 400: an endpoint that nothing may be sent to.
pub(crate) fn forbidden_endpoint(prefix: &str, error: PolicyError) -> ApiError {
    ApiError::invalid("body", &*format!("{prefix}endpoint"), error.to_string())
}

/// 400: an id that is not the endpoint's.
pub(crate) fn check_id(given: &str, right: &SubscriptionId) -> Result<(), ApiError> {
    let right = right.to_string();
    if given == right {
        return Ok(());
    }
    let given: String = given.chars().take(right.len()).collect();
    let description = format!("Invalid ID: '{given}' found while it should be '{right}'");
    Err(ApiError::invalid("body", "data", description))
}

/// Whether kinto.core would take it as an id: `^[a-zA-Z0-9][a-zA-Z0-9_-]*$`.
pub(crate) fn is_record_id(id: &str) -> bool {
    id.starts_with(|c: char| c.is_ascii_alphanumeric())
        && id.bytes().all(|octet| octet.is_ascii_alphanumeric() || matches!(octet, b'_' | b'-'))
}

/// 400: it is none.
pub(crate) fn invalid_record_id() -> ApiError {
    ApiError::invalid("path", None, "Invalid record id")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn problems(data: Value) -> Vec<(&'static str, String)> {
        let Value::Object(data) = data else { unreachable!("an object") };
        Data(data).problems(&EndpointPolicy::public_internet())
    }

    #[test]
    fn each_member_has_its_problem() {
        let keys = json!({"auth": 7, "p256dh": "x"});
        let found = problems(json!({"endpoint": "nope", "keys": keys}));
        let names: Vec<_> = found.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, ["endpoint", "keys.auth", "keys.p256dh"]);
        assert_eq!(found[0].1, "Must be a URL");
        assert_eq!(problems(json!({})).len(), 2);
        assert_eq!(problems(json!({"keys": "x", "endpoint": "https://a.example/"})).len(), 1);
    }

    #[test]
    fn no_problem_repeats_what_was_sent() {
        for endpoint in ["https://secret.local/secret", "https://u:secret@a.example/secret", "secret secret"]
        {
            for keys in [json!("secret"), json!({"auth": "secret", "p256dh": "secret"}), json!(["secret"])] {
                let found = problems(json!({"endpoint": endpoint, "keys": keys}));
                assert!(found.len() >= 2 && !format!("{found:?}").contains("secret"), "{found:?}");
            }
        }
    }

    #[test]
    fn record_ids_have_one_shape() {
        assert!(is_record_id("a") && is_record_id("9_-Z"));
        for wrong in ["", "-a", "a b", "a/b", "\u{e9}", "a\n"] {
            assert!(!is_record_id(wrong), "{wrong:?}");
        }
    }
}
