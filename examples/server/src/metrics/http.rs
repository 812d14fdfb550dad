//! Requests to this service.

use std::sync::Arc;

use ::http::{Method, StatusCode};
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use tokio::time::Instant;

use super::registry::{CLASSES, REQUEST_SECONDS, REQUESTS, class};
use crate::state::App;

/// Where messages are published.
const PUBLISH: &str = "/v0/channels/{id}";

/// Around everything: counts a request and measures how long its answer took.
pub(crate) async fn observe(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let method = method(request.method());
    let route = request.extensions().get::<MatchedPath>().cloned();
    let began = Instant::now();
    let response = next.run(request).await;
    // What no route has is one series: its path is the client's.
    let route = route.as_ref().map_or("none", MatchedPath::as_str);
    count(&app, method, route, response.status(), began);
    response
}

/// Around the routes of the API, those of a batch too: counts publications by how they ended.
pub(crate) async fn observe_publication(
    State(app): State<Arc<App>>,
    request: Request,
    next: Next,
) -> Response {
    let route = request.extensions().get::<MatchedPath>();
    let publishes = *request.method() == Method::POST && route.is_some_and(|route| route.as_str() == PUBLISH);
    let response = next.run(request).await;
    if publishes {
        app.metrics.publication(response.status());
    }
    response
}

fn count(app: &App, method: &str, route: &str, status: StatusCode, began: Instant) {
    let registry = &app.metrics.registry;
    let class = CLASSES[class(status)];
    registry.counter(REQUESTS, &[("method", method), ("route", route), ("status", class)]).increment(1);
    registry.histogram(REQUEST_SECONDS, &[("method", method), ("route", route)]).record(began.elapsed());
}

/// Clients may invent methods.
fn method(method: &Method) -> &'static str {
    match method.as_str() {
        "DELETE" => "DELETE",
        "GET" => "GET",
        "HEAD" => "HEAD",
        "OPTIONS" => "OPTIONS",
        "PATCH" => "PATCH",
        "POST" => "POST",
        "PUT" => "PUT",
        _ => "other",
    }
}
