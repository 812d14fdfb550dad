//! `GET /v0/vapid`: the key that browsers subscribe with.

use std::sync::Arc;

use axum::extract::State;
use axum::response::IntoResponse;
use serde_json::json;

use crate::json::Json;
use crate::state::App;

/// It is public, and needed before anybody can sign in usefully: no authentication.
pub(crate) async fn get(State(app): State<Arc<App>>) -> impl IntoResponse {
    Json(json!({"data": {"applicationServerKey": app.application_server_key}}))
}
