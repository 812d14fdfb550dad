//! The utility endpoints: what this is, and how it is.

use std::sync::Arc;
use std::time::SystemTime;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, StatusCode, Uri};
use serde_json::{Map, Value, json};

use crate::auth::Caller;
use crate::error::ApiError;
use crate::json::Json;
use crate::reply::{PREFIX, base_url};
use crate::state::App;

/// The original's API, which this one extends.
const HTTP_API_VERSION: &str = "0.1";
const DOCS: &str = "https://github.com/webpush-channels/webpush-channels/blob/main/docs/service.md";
/// The most requests of a batch.
pub(crate) const BATCH_MAX: usize = 25;

/// `GET /v0/`
pub(crate) async fn get(
    State(app): State<Arc<App>>,
    caller: Option<Caller>,
    headers: HeaderMap,
    uri: Uri,
) -> impl IntoResponse {
    let settings = &app.settings;
    let mut root = json!({
        "project_name": "webpush-channels",
        "project_version": env!("CARGO_PKG_VERSION"),
        "http_api_version": HTTP_API_VERSION,
        "project_docs": DOCS,
        "url": format!("{}{PREFIX}/", base_url(settings, &headers, &uri)),
        "settings": {"readonly": settings.read_only, "batch_max_requests": BATCH_MAX},
        "capabilities": capabilities(&app),
    });
    if let Some(end) = settings.notices.end {
        root["eos"] = Value::from(iso_day(end));
    }
    if let Some(Caller(user)) = caller {
        root["user"] = json!({
            "id": user.as_str(),
            "principals": [user.as_str(), "system.Everyone", "system.Authenticated"],
            "publishes": settings.grants.of(&user),
        });
    }
    Json(root)
}

fn capabilities(app: &App) -> Map<String, Value> {
    let policies = app.policies.iter().map(|policy| (policy.name(), policy.description()));
    let own = [
        ("channels", "Lists of channels and broadcasts, live progress, idempotent publishing."),
        ("vapid", "Messages are signed; GET /v0/vapid has the key to subscribe with."),
    ];
    policies
        .chain(own)
        .map(|(name, description)| (name.to_owned(), json!({"description": description, "url": DOCS})))
        .collect()
}

/// The day of a time, as the original writes its end of service.
fn iso_day(time: SystemTime) -> String {
    let http = httpdate::fmt_http_date(time);
    // "Sun, 06 Nov 1994 08:49:37 GMT"
    let months = "JanFebMarAprMayJunJulAugSepOctNovDec";
    let month = months.find(&http[8..11]).map_or(1, |at| at / 3 + 1);
    format!("{}-{month:02}-{}", &http[12..16], &http[5..7])
}

/// `GET /v0/__heartbeat__`: the database answers, or 503. The keys are the original's.
pub(crate) async fn heartbeat(State(app): State<Arc<App>>) -> Response {
    let storage = app.journal.check().await;
    if let Err(error) = &storage {
        tracing::warn!(error = %crate::chain::Chain(error), "the database does not answer");
    }
    let well = storage.is_ok();
    let status = if well { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(json!({"storage": well, "permission": true, "cache": true}))).into_response()
}

/// `GET /v0/__lbheartbeat__`: the process answers.
pub(crate) async fn balancer_heartbeat() -> impl IntoResponse {
    Json(json!({}))
}

/// `GET /v0/__version__`: the file that the operator put there.
pub(crate) async fn version(State(app): State<Arc<App>>) -> Result<Response, ApiError> {
    let path = app.settings.version_json.clone();
    let text = tokio::task::spawn_blocking(move || std::fs::read(path)).await;
    let Ok(Ok(text)) = text else { return Err(ApiError::unknown_route()) };
    Ok(([(CONTENT_TYPE, HeaderValue::from_static("application/json"))], text).into_response())
}
