//! `POST /v0/batch`: several requests in one, answered one after the other.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Router};
use http::header::{ACCEPT, AUTHORIZATION, HOST, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Uri};
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use serde_json::{Value, json};

use super::root::BATCH_MAX;
use crate::error::ApiError;
use crate::json::{Json, ObjectBody};

mod answer;
mod part;

use self::part::Part;

/// What a part has of the batch where it has none of its own.
const INHERITED: [HeaderName; 4] = [ACCEPT, AUTHORIZATION, HOST, USER_AGENT];

/// The routes that the requests of a batch are for. Made once: it is not part of the state, which it holds.
#[derive(Clone, Debug)]
pub(super) struct Parts(pub(super) Router);

/// What is no request at all fails the batch before any is done; what a request fails with is its answer alone.
pub(crate) async fn post(
    Extension(Parts(routes)): Extension<Parts>,
    uri: Uri,
    headers: HeaderMap,
    ObjectBody(body): ObjectBody,
) -> Result<Response, ApiError> {
    let parts = part::all(body.unwrap_or_default(), BATCH_MAX)?;
    if parts.iter().any(Part::is_batch) {
        let description = "Recursive call on /batch endpoint is forbidden.";
        return Err(ApiError::invalid("body", "requests", description));
    }
    let inherited = inherited(&uri, &headers);
    let service = TowerToHyperService::new(routes);
    let mut responses = Vec::with_capacity(parts.len());
    let mut left = answer::MAX_BODIES;
    for part in parts {
        responses.push(answer(&service, part, &inherited, &mut left).await);
    }
    Ok(Json(json!({"responses": responses})).into_response())
}

fn inherited(uri: &Uri, headers: &HeaderMap) -> HeaderMap {
    let mut inherited: HeaderMap = INHERITED
        .into_iter()
        .filter_map(|name| headers.get(&name).cloned().map(|value| (name, value)))
        .collect();
    // HTTP/2 has the host in the URI.
    let authority = uri.authority().and_then(|host| HeaderValue::from_str(host.as_str()).ok());
    if let Some(host) = authority {
        inherited.entry(HOST).or_insert(host);
    }
    inherited
}

async fn answer(
    service: &TowerToHyperService<Router>,
    part: Part,
    inherited: &HeaderMap,
    left: &mut usize,
) -> Value {
    let (path, is_head) = (part.shown_path(), part.method == http::Method::HEAD);
    let mut request = Request::new(Body::from(part.body));
    (*request.method_mut(), *request.uri_mut()) = (part.method, part.uri);
    let headers = request.headers_mut();
    headers.clone_from(inherited);
    for (name, value) in &part.headers {
        headers.insert(name, value.clone());
    }
    let response = match service.call(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    };
    answer::read(path, is_head, response, left).await
}
