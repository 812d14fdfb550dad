//! `POST /v0/subscriptions`, and what all calls on subscriptions share.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;

use crate::auth::Caller;
use crate::error::ApiError;
use crate::json::ObjectBody;
use crate::state::App;

pub(super) mod body;
pub(super) mod conditions;
pub(super) mod own;
pub(super) mod record;

use self::body::Data;
use self::conditions::Conditions;
use self::own::Own;
use self::record::Record;

/// Stores a subscription: 201, also when it was there. Only a body with the id of one that is there is not stored: 200,
/// and the stored one.
pub(crate) async fn post(
    State(app): State<Arc<App>>,
    Caller(user): Caller,
    conditions: Conditions,
    body: ObjectBody,
) -> Result<Response, ApiError> {
    let data = Data::required(body)?;
    let subscription = data.subscription(&app, "data.")?;
    let own = Own::read(&app, &user).await?;
    let existing = data.id()?.and_then(|id| own.get(id));
    let stamp = existing.map_or_else(|| own.stamp(), Record::stamp);
    conditions.check(stamp, existing)?;
    if let Some(existing) = existing {
        return Ok(existing.response(StatusCode::OK));
    }
    data.check_id(&subscription.id())?;
    let old = own.get(&subscription.id().to_string());
    let stored = own::put(&app, &user, old, subscription).await?;
    Ok(stored.response(StatusCode::CREATED))
}
