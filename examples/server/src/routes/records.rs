//! `/v0/subscriptions/{id}`.

use std::sync::Arc;

use axum::extract::{FromRequestParts, State};
use axum::response::Response;
use http::request::Parts;
use http::{StatusCode, Uri};

use super::list::query;
use super::segment::third;
use super::subscriptions::body::{Data, check_id, invalid_record_id, is_record_id};
use super::subscriptions::conditions::Conditions;
use super::subscriptions::own::{self, Own};
use super::subscriptions::record::{Stamp, uncached};
use crate::auth::Caller;
use crate::error::ApiError;
use crate::json::ObjectBody;
use crate::state::App;

mod patch;
mod replace;

pub(crate) use self::patch::patch;
pub(crate) use self::replace::replace;

/// An id in the path.
#[derive(Debug)]
pub(crate) struct RecordId(String);

impl FromRequestParts<Arc<App>> for RecordId {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<App>) -> Result<Self, ApiError> {
        let id = third(parts)?;
        if is_record_id(&id) { Ok(Self(id)) } else { Err(invalid_record_id()) }
    }
}

pub(crate) async fn get(
    State(app): State<Arc<App>>,
    Caller(user): Caller,
    RecordId(id): RecordId,
    conditions: Conditions,
    uri: Uri,
) -> Result<Response, ApiError> {
    let query = query::of_record(&uri)?;
    let own = Own::read(&app, &user).await?;
    let record = own.existing(&id)?;
    if let Some(response) = conditions.not_modified(record.stamp()) {
        return Ok(response);
    }
    conditions.check(record.stamp(), Some(record))?;
    let data = query.project(record.json());
    Ok(uncached(record.stamp().response(StatusCode::OK, &data)))
}

/// Creates (201) or replaces (200). The id must be that of the endpoint.
pub(crate) async fn put(
    State(app): State<Arc<App>>,
    Caller(user): Caller,
    RecordId(id): RecordId,
    conditions: Conditions,
    body: ObjectBody,
) -> Result<Response, ApiError> {
    let data = Data::required(body)?;
    let subscription = data.subscription(&app, "data.")?;
    let own = Own::read(&app, &user).await?;
    let existing = own.get(&id);
    match existing {
        Some(record) => conditions.check(record.stamp(), existing)?,
        None => conditions.check_absent(own.stamp())?,
    }
    same_id(&data, &id)?;
    check_id(&id, &subscription.id())?;
    let status = if existing.is_some() { StatusCode::OK } else { StatusCode::CREATED };
    Ok(own::put(&app, &user, existing, subscription).await?.response(status))
}

/// 400 if the body's id is not the path's.
fn same_id(data: &Data, id: &str) -> Result<(), ApiError> {
    if data.id()?.is_none_or(|given| given == id) {
        return Ok(());
    }
    Err(ApiError::invalid("body", "id", "Record id does not match existing record"))
}

/// Removes it; the answer is its tombstone.
pub(crate) async fn delete(
    State(app): State<Arc<App>>,
    Caller(user): Caller,
    RecordId(id): RecordId,
    conditions: Conditions,
    uri: Uri,
) -> Result<Response, ApiError> {
    let at = query::of_record(&uri)?.last_modified().map_or_else(Stamp::now, Stamp);
    // One that was renewed in between is another version by now; the caller means that one, too, unless it says which.
    for _ in 0..ROUNDS {
        let own = Own::read(&app, &user).await?;
        let record = own.existing(&id)?;
        conditions.check(record.stamp(), Some(record))?;
        if own::remove(&app, std::slice::from_ref(record)).await? == [true] {
            let at = if at > record.stamp() { at } else { Stamp::now().after(record.stamp()) };
            return Ok(at.response(StatusCode::OK, &record.tombstone(at)));
        }
    }
    Err(ApiError::unavailable())
}

/// A record that changes this often while it is being removed is being written to.
const ROUNDS: usize = 8;
