//! `GET /metrics`: what Prometheus reads. Whoever reaches the service may read it; it names nobody.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;

use crate::error::ApiError;
use crate::state::App;

/// The text format 0.0.4, which every Prometheus reads.
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

pub(crate) async fn get(State(app): State<Arc<App>>) -> Result<Response, ApiError> {
    let text = app.metrics.scrape(&*app.journal).await.ok_or_else(ApiError::unknown_route)?;
    Ok(([(CONTENT_TYPE, TEXT)], text).into_response())
}
