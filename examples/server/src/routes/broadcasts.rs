//! Broadcasts, for who published them: how they stand, and their end.

use std::collections::HashMap;
use std::num::NonZeroU16;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::SystemTime;

use axum::extract::{Query, State};
use axum::response::IntoResponse;
use http::Uri;
use serde_json::{Value, json};
use webpush_channels::store::Audience;
use webpush_channels::store::journal::{JournalErrorKind, Summary};
use webpush_channels::{BroadcastId, ChannelName, Report, UserId};

use super::segment::Broadcast;
use crate::auth::Caller;
use crate::error::ApiError;
use crate::json::Json;
use crate::publisher::owns;
use crate::state::App;

/// How many of the latest broadcasts, of all publishers together, a list looks at.
const LOOKED_AT: usize = 2000;
/// How many of them at once.
const PAGE: NonZeroU16 = NonZeroU16::new(100).expect("not zero");
/// The broadcasts of a list, where nothing else is asked for, and at most.
const LIMIT: usize = 50;
const MAX_LIMIT: usize = 200;

/// `GET /v0/broadcasts`: the caller's own, latest first, of the latest [`LOOKED_AT`] of everybody. Who may publish
/// nowhere (any more) has an empty list.
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    Caller(user): Caller,
    uri: Uri,
) -> Result<impl IntoResponse, ApiError> {
    let Window { limit, since } = Window::of(&uri)?;
    let mut found = Vec::new();
    if app.settings.grants.of(&user).is_empty() {
        // Anybody can be a user: nothing is looked through for those who may not publish.
        return Ok(Json(json!({"data": found})));
    }
    look(&app, |summary| {
        if since.is_some_and(|since| unix_ms(summary.created) <= since) {
            // The latest come first, so that all others are older still.
            return ControlFlow::Break(());
        }
        if let Some((published, report)) = Published::of(&user, summary) {
            found.push(published.describe(&report));
        }
        if found.len() < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })
    .await?;
    Ok(Json(json!({"data": found})))
}

/// `GET /v0/broadcasts/{id}`
pub(crate) async fn get(
    State(app): State<Arc<App>>,
    Caller(user): Caller,
    Broadcast(id): Broadcast,
) -> Result<impl IntoResponse, ApiError> {
    let (published, report) = find(&app, &user, &id).await?;
    Ok(Json(json!({"data": published.describe(&report)})))
}

/// `DELETE /v0/broadcasts/{id}`: ends it. What was sent was sent.
pub(crate) async fn abort(
    State(app): State<Arc<App>>,
    Caller(user): Caller,
    Broadcast(id): Broadcast,
) -> Result<impl IntoResponse, ApiError> {
    if !owns(&user, &id) {
        return Err(unknown(&id));
    }
    match app.journal.abort(&id).await {
        Err(error) if error.kind() == JournalErrorKind::Unknown => return Err(unknown(&id)),
        aborted => aborted?,
    };
    let (published, report) = find(&app, &user, &id).await?;
    Ok(Json(json!({"data": published.describe(&report)})))
}

/// A broadcast of the caller's. Another's is as unknown as one that never was.
pub(super) async fn find(
    app: &App,
    user: &UserId,
    id: &BroadcastId,
) -> Result<(Published, Report), ApiError> {
    let summary = if owns(user, id) { app.journal.summary(id).await? } else { None };
    summary.and_then(|summary| Published::of(user, summary)).ok_or_else(|| unknown(id))
}

fn unknown(id: &BroadcastId) -> ApiError {
    ApiError::unknown_record("broadcast", id.as_str())
}

/// What never changes of a broadcast that somebody published here.
#[derive(Debug)]
pub(super) struct Published {
    id: BroadcastId,
    channel: ChannelName,
    /// Milliseconds since 1970.
    created: u64,
}

impl Published {
    /// The user's, and how it stands. This service publishes to channels only; others may use the same database.
    fn of(user: &UserId, summary: Summary) -> Option<(Self, Report)> {
        let Summary { id, audience: Audience::Channel(channel), created, report, .. } = summary else {
            return None;
        };
        owns(user, &id).then(|| (Self { id, channel, created: unix_ms(created) }, report))
    }

    /// As clients see it: the report without its sample of failures, which name other people's subscriptions.
    pub(super) fn describe(&self, report: &Report) -> Value {
        let mut broadcast = serde_json::to_value(report).expect("a report is words and numbers");
        if let Some(members) = broadcast.as_object_mut() {
            members.remove("failures");
            members.insert("id".to_owned(), self.id.as_str().into());
            members.insert("channel".to_owned(), self.channel.as_str().into());
            members.insert("created".to_owned(), self.created.into());
        }
        broadcast
    }
}

fn unix_ms(at: SystemTime) -> u64 {
    let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Shows the latest broadcasts, as long as `show` goes on and not more than [`LOOKED_AT`].
async fn look(app: &App, mut show: impl FnMut(Summary) -> ControlFlow<()>) -> Result<(), ApiError> {
    let mut after = None;
    for _ in 0..LOOKED_AT / usize::from(PAGE.get()) {
        let page = match app.journal.recent(after.as_ref(), PAGE).await {
            // The last one was forgotten meanwhile: those after it are too old to be missed.
            Err(error) if error.kind() == JournalErrorKind::Unknown => break,
            page => page?,
        };
        let Some(last) = page.last() else { break };
        after = Some(last.id.clone());
        for summary in page {
            if show(summary).is_break() {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// What a list was asked for.
#[derive(Debug)]
struct Window {
    limit: usize,
    since: Option<u64>,
}

impl Window {
    fn of(uri: &Uri) -> Result<Self, ApiError> {
        let Query(query) = Query::<HashMap<String, String>>::try_from_uri(uri)
            .map_err(|_| ApiError::invalid("querystring", "", "It is not a list of names and values"))?;
        let limit = match query.get("_limit") {
            None => LIMIT,
            Some(text) => number("_limit", text, 1)?.try_into().unwrap_or(usize::MAX),
        };
        let since =
            query.get("_since").map(|text| number("_since", text.trim_matches('"'), 0)).transpose()?;
        Ok(Self { limit: limit.min(MAX_LIMIT), since })
    }
}

fn number(name: &str, text: &str, least: u64) -> Result<u64, ApiError> {
    let digits = text.bytes().all(|octet| octet.is_ascii_digit());
    let parsed = text.parse().ok().filter(|number| digits && *number >= least);
    parsed.ok_or_else(|| {
        ApiError::invalid("querystring", name, format!("It is a whole number from {least} on"))
    })
}
