//! `GET` and `DELETE /v0/subscriptions`: the caller's subscriptions, filtered, sorted and in pages.
//!
//! A user has few, so that all this is done in memory.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri};
use serde_json::Value;

use super::subscriptions::conditions::Conditions;
use super::subscriptions::own::{self, Own};
use super::subscriptions::record::{Stamp, uncached};
use crate::auth::Caller;
use crate::error::ApiError;
use crate::reply::{PREFIX, base_url};
use crate::state::App;

mod filter;
mod page;
pub(super) mod query;
mod sort;
mod token;

use self::page::Selection;
use self::query::Query;

static TOTAL_RECORDS: HeaderName = HeaderName::from_static("total-records");
static NEXT_PAGE: HeaderName = HeaderName::from_static("next-page");

/// Lists them.
pub(crate) async fn get(
    State(app): State<Arc<App>>,
    Caller(user): Caller,
    conditions: Conditions,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, ApiError> {
    let query = query::parse(&uri)?;
    let own = Own::read(&app, &user).await?;
    let stamp = own.stamp();
    if let Some(response) = conditions.not_modified(stamp) {
        return Ok(response);
    }
    conditions.check(stamp, None)?;
    let selection = page::select(own.into_records(), &query);
    let data: Value = selection.records.iter().map(|record| query.project(record.json())).collect();
    let response = uncached(stamp.response(StatusCode::OK, &data));
    Ok(paged(response, &selection, &query, &base_url(&app.settings, &headers, &uri)))
}

/// Removes those that a list with the same query has; the answer is their tombstones.
pub(crate) async fn delete(
    State(app): State<Arc<App>>,
    Caller(user): Caller,
    conditions: Conditions,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, ApiError> {
    let query = query::parse(&uri)?;
    let own = Own::read(&app, &user).await?;
    let stamp = own.stamp();
    conditions.check(stamp, None)?;
    let selection = page::select(own.into_records(), &query);
    let removed = own::remove(&app, &selection.records).await?;
    // One that was changed meanwhile is not the one that was meant, and stays.
    let removed =
        selection.records.iter().zip(removed).filter_map(|(record, removed)| removed.then_some(record));
    let removed: Vec<_> = removed.collect();
    let newest = removed.iter().map(|record| record.stamp()).max();
    let stamp = newest.map_or(stamp, |newest| Stamp::now().after(newest));
    let tombstones = removed.iter().map(|record| record.tombstone(stamp)).collect();
    let response = stamp.response(StatusCode::OK, &Value::Array(tombstones));
    Ok(paged(response, &selection.without(), &query, &base_url(&app.settings, &headers, &uri)))
}

/// With `Total-Records`, and `Next-Page` if there is one.
fn paged(mut response: Response, selection: &Selection, query: &Query, base: &str) -> Response {
    let headers = response.headers_mut();
    headers.insert(TOTAL_RECORDS.clone(), selection.total.into());
    if let Some(token) = &selection.next {
        let path = format!("{PREFIX}/subscriptions?{}", query.with_token(token));
        // The base is the request's own `Host`: where it is no header value, the path will do.
        let url = HeaderValue::from_str(&format!("{base}{path}")).or_else(|_| HeaderValue::from_str(&path));
        if let Ok(url) = url {
            headers.insert(NEXT_PAGE.clone(), url);
        }
    }
    response
}
