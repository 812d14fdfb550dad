//! Channels: which ones the caller is in, joining, leaving, and their numbers for members.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderName, StatusCode};
use serde_json::json;
use tokio::time::Instant;
use webpush_channels::{ChannelName, OutcomeKind};

use super::segment::ChannelId;
use crate::auth::Caller;
use crate::error::ApiError;
use crate::json::Json;
use crate::popular::{Known, Numbers};
use crate::state::App;

static TOTAL_RECORDS: HeaderName = HeaderName::from_static("total-records");

/// `GET /v0/channels`: the caller's channels, sorted.
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    Caller(user): Caller,
) -> Result<impl IntoResponse, ApiError> {
    let mut channels = app.journal.channels(&user).await?;
    channels.sort_unstable();
    let data: Vec<_> = channels.iter().map(|channel| json!({"id": channel})).collect();
    Ok(([(TOTAL_RECORDS.clone(), channels.len())], Json(json!({"data": data}))))
}

/// `GET /v0/channels/{id}`: for its members. Whether it exists is not told to others.
pub(crate) async fn get(
    State(app): State<Arc<App>>,
    Caller(user): Caller,
    ChannelId(channel): ChannelId,
) -> Result<impl IntoResponse, ApiError> {
    if !app.journal.channels(&user).await?.contains(&channel) {
        return Err(ApiError::forbidden());
    }
    let Numbers { members, accepted } = numbers(&app, &channel).await?;
    Ok(Json(json!({"data": {"id": channel, "registrations": members, "push": accepted}})))
}

async fn numbers(app: &App, channel: &ChannelName) -> Result<Numbers, ApiError> {
    let place = match app.popular.get(channel, Instant::now()) {
        Known::Numbers(numbers) => return Ok(numbers),
        Known::Old => None,
        Known::Nothing => Some(app.popular.place().await),
    };
    if place.is_some()
        && let Known::Numbers(numbers) = app.popular.get(channel, Instant::now())
    {
        return Ok(numbers);
    }
    let statistics = app.durable.statistics(channel).await?;
    let numbers = Numbers { members: statistics.members, accepted: statistics.counts[OutcomeKind::Accepted] };
    app.popular.note(channel.clone(), numbers, Instant::now());
    Ok(numbers)
}

/// `PUT /v0/channels/{id}/registration`. A body is not looked at.
///
/// The limit is looked at before: requests of one user that come at once may exceed it, by as many as they are.
pub(crate) async fn join(
    State(app): State<Arc<App>>,
    Caller(user): Caller,
    ChannelId(channel): ChannelId,
) -> Result<Response, ApiError> {
    let channels = app.journal.channels(&user).await?;
    if channels.len() >= app.settings.limits.channels_per_user && !channels.contains(&channel) {
        return Err(ApiError::too_many_channels());
    }
    app.journal.join(&channel, &[user]).await?;
    Ok(accepted())
}

/// `DELETE /v0/channels/{id}/registration`, also by who is no member.
pub(crate) async fn leave(
    State(app): State<Arc<App>>,
    Caller(user): Caller,
    ChannelId(channel): ChannelId,
) -> Result<Response, ApiError> {
    app.journal.leave(&channel, &[user]).await?;
    Ok(accepted())
}

/// 202 with the original's body.
pub(super) fn accepted() -> Response {
    (StatusCode::ACCEPTED, Json(json!({"code": 202, "message": "Accepted"}))).into_response()
}
