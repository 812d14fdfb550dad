//! `POST /v0/subscriptions/{id}/replace`: after the browser's `pushsubscriptionchange`.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use webpush_channels::SubscriptionId;
use webpush_channels::store::{NewEntry, Put};

use super::RecordId;
use crate::auth::Caller;
use crate::error::ApiError;
use crate::json::ObjectBody;
use crate::routes::subscriptions::body::Data;
use crate::routes::subscriptions::own::{self, Own};
use crate::state::App;

/// Puts a subscription in the place of an own one: 200 and the new one. Where the old one is unknown, or another
/// user's, it is stored like any other: 201 if it was not there.
pub(crate) async fn replace(
    State(app): State<Arc<App>>,
    Caller(user): Caller,
    RecordId(old): RecordId,
    body: ObjectBody,
) -> Result<Response, ApiError> {
    let data = Data::required(body)?;
    let subscription = data.subscription(&app, "data.")?;
    let id = subscription.id();
    data.check_id(&id)?;
    let known = Own::read(&app, &user).await?.get(&old).is_some();
    let new = NewEntry::new(user.clone(), subscription);
    // An id that is none is unknown: its own stands for it, which makes this a put.
    let old: SubscriptionId = old.parse().unwrap_or(id);
    let put = app.channels.replace(&old, new).await.map_err(own::refused)?;
    let stored = match own::stored(&app, &user, &id, put).await {
        // It came late: the new one has itself been replaced.
        Err(error) if put == Put::Same && error.status() == StatusCode::NOT_FOUND => {
            return Err(ApiError::modified(None));
        }
        stored => stored?,
    };
    let created = put == Put::New || put == Put::Moved && !known;
    Ok(stored.response(if created { StatusCode::CREATED } else { StatusCode::OK }))
}
