//! `POST /v0/channels/{id}`: one message to everybody in a channel.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{FromRequest, Request, State};
use axum::response::Response;
use http::HeaderValue;
use http::header::LOCATION;
use serde_json::{Map, Value};
use tokio::time::Instant;
use webpush_channels::channel::{Broadcast, Publication};
use webpush_channels::store::Audience;
use webpush_channels::{ChannelName, Message, Payload, UserId};

use self::options::PublishOptions;
use super::channels::accepted;
use super::segment::ChannelId;
use crate::auth::Caller;
use crate::canonical;
use crate::error::ApiError;
use crate::json::ObjectBody;
use crate::publisher::broadcast_id;
use crate::reply::{PREFIX, base_url};
use crate::state::App;

mod options;

/// Stores the broadcast and answers; workers send it. How large the channel is makes no difference here.
///
/// What costs least is checked first, and the body is read from those only who may publish.
pub(crate) async fn post(
    State(app): State<Arc<App>>,
    Caller(user): Caller,
    ChannelId(channel): ChannelId,
    request: Request,
) -> Result<Response, ApiError> {
    if !app.settings.grants.allow(&user, &channel) {
        return Err(ApiError::forbidden());
    }
    app.limiter.take(&user, Instant::now()).map_err(|wait| ApiError::too_fast(whole_seconds(wait)))?;
    let options = PublishOptions::of(request.headers())?;
    let base = base_url(&app.settings, request.headers(), request.uri());
    let data = ObjectBody::from_request(request, &app).await?.into_data()?;
    let message = options.message(payload(data.as_ref())?);
    let location = enqueue(&app, &user, channel, options.idempotency_key(), message, &base).await?;
    let mut response = accepted();
    response.headers_mut().insert(LOCATION, location);
    Ok(response)
}

async fn enqueue(
    app: &App,
    user: &UserId,
    channel: ChannelName,
    key: Option<&str>,
    message: Message,
    base: &str,
) -> Result<HeaderValue, ApiError> {
    let broadcast = Broadcast::new(message).with_id(broadcast_id(user, key));
    let publication = Publication::new(Audience::Channel(channel), broadcast);
    let enqueued = app.durable.enqueue(publication).await?;
    HeaderValue::from_str(&format!("{base}{PREFIX}/broadcasts/{}", enqueued.id)).map_err(|_| {
        // The `Host` header was one a moment ago, and the settings' URL was checked.
        ApiError::internal()
    })
}

/// Nothing and an empty object are both no payload, as in the original.
fn payload(data: Option<&Map<String, Value>>) -> Result<Payload, ApiError> {
    match data.filter(|data| !data.is_empty()) {
        None => Ok(Payload::empty()),
        Some(data) => Payload::new(canonical::object(data))
            .map_err(|error| ApiError::invalid("body", "data", error.to_string())),
    }
}

/// Rounded up: who comes back after so long is served.
const fn whole_seconds(wait: Duration) -> u64 {
    wait.as_secs() + (wait.subsec_nanos() > 0) as u64
}
