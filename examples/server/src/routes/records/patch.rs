//! `PATCH /v0/subscriptions/{id}`: some members change, the others stay.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use serde_json::{Map, Value};

use super::{RecordId, same_id};
use crate::auth::Caller;
use crate::error::ApiError;
use crate::json::ObjectBody;
use crate::routes::subscriptions::body::{Data, check_id};
use crate::routes::subscriptions::conditions::Conditions;
use crate::routes::subscriptions::own::{self, Own};
use crate::routes::subscriptions::record::Record;
use crate::state::App;

/// What a client wants to be told of the result.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Behavior {
    /// All of it.
    Full,
    /// What changed.
    Light,
    /// What became other than was asked.
    Diff,
}

pub(crate) async fn patch(
    State(app): State<Arc<App>>,
    Caller(user): Caller,
    RecordId(id): RecordId,
    conditions: Conditions,
    headers: HeaderMap,
    body: ObjectBody,
) -> Result<Response, ApiError> {
    let behavior = behavior(&headers)?;
    let asked = Data::required(body)?;
    let own = Own::read(&app, &user).await?;
    let existing = own.existing(&id)?;
    conditions.check(existing.stamp(), Some(existing))?;
    same_id(&asked, &id)?;

    let mut merged = existing.json().as_object().cloned().unwrap_or_default();
    merge(&mut merged, &asked.0, is_merge_patch(&headers));
    let subscription = Data(merged).subscription(&app, "")?;
    check_id(&id, &subscription.id())?;
    let new = serde_json::to_value(&subscription).unwrap_or_default();
    let changed: Vec<&String> = asked.0.keys().filter(|name| differs(existing, &new, name)).collect();
    let record = if changed.is_empty() {
        existing.clone()
    } else {
        own::put(&app, &user, Some(existing), subscription).await?
    };
    let data = match behavior {
        Behavior::Full => record.json().clone(),
        Behavior::Light => some_of(&record, changed.into_iter()),
        Behavior::Diff => some_of(
            &record,
            changed.into_iter().filter(|name| asked.0.get(*name) != record.json().get(name.as_str())),
        ),
    };
    Ok(record.stamp().response(StatusCode::OK, &data))
}

/// Whether a member that can change does. No `expirationTime` is `null`.
fn differs(existing: &Record, new: &Value, name: &str) -> bool {
    matches!(name, "endpoint" | "keys" | "expirationTime") && existing.json()[name] != new[name]
}

fn some_of<'a>(record: &Record, names: impl Iterator<Item = &'a String>) -> Value {
    let members: Map<String, Value> =
        names.filter_map(|name| Some((name.clone(), record.json().get(name.as_str())?.clone()))).collect();
    Value::Object(members)
}

/// The first level only; or with `application/merge-patch+json` all levels, where null removes (RFC 7396).
fn merge(into: &mut Map<String, Value>, changes: &Map<String, Value>, deeply: bool) {
    for (name, change) in changes {
        match (into.get_mut(name), change) {
            (Some(Value::Object(old)), Value::Object(change)) if deeply => merge(old, change, deeply),
            (_, Value::Null) if deeply => {
                into.remove(name);
            }
            _ => {
                into.insert(name.clone(), change.clone());
            }
        }
    }
}

fn is_merge_patch(headers: &HeaderMap) -> bool {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = value.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/merge-patch+json")
}

fn behavior(headers: &HeaderMap) -> Result<Behavior, ApiError> {
    const NAME: &str = "Response-Behavior";
    let Some(value) = headers.get(NAME) else { return Ok(Behavior::Full) };
    match value.as_bytes() {
        b"full" => Ok(Behavior::Full),
        b"light" => Ok(Behavior::Light),
        b"diff" => Ok(Behavior::Diff),
        _ => Err(ApiError::invalid("header", NAME, "Must be one of full, light, diff")),
    }
}
