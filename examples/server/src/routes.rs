//! Which path is whose.

use std::sync::Arc;

use axum::handler::Handler;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{MethodFilter, MethodRouter, get, on};
use axum::{Extension, Router};
use http::Method;

use crate::error::ApiError;
use crate::metrics::{observe, observe_publication};
use crate::reply::{METRICS, PREFIX, decorate, in_json, unrouted};
use crate::state::App;

mod batch;
mod broadcasts;
mod channels;
mod events;
mod list;
mod metrics;
mod openapi;
mod page;
mod publish;
mod records;
mod root;
mod segment;
mod subscriptions;
mod vapid;

pub(crate) use self::events::Places;

/// Every path of the service.
pub(crate) fn router(app: &Arc<App>) -> Router {
    let parts = batch::Parts(finish(api(), app));
    let routes = api().layer(Extension(parts)).merge(page::router()).route(METRICS, get(metrics::get));
    finish(routes, app).layer(from_fn_with_state(Arc::clone(app), observe))
}

/// The paths of the API alone.
fn api() -> Router<Arc<App>> {
    table()
        .into_iter()
        .fold(Router::new(), |router, route| router.route(&format!("{PREFIX}{}", route.path), route.answers))
}

/// A method of a path, below the prefix.
struct Route {
    #[cfg_attr(not(test), expect(dead_code, reason = "the document is compared with it"))]
    method: Method,
    path: &'static str,
    answers: MethodRouter<Arc<App>>,
}

/// The API, each method of each path: the router is made of it, and `openapi.json` must have the same.
fn table() -> Vec<Route> {
    vec![
        route(Method::GET, "/", root::get),
        route(Method::GET, "/__heartbeat__", root::heartbeat),
        route(Method::GET, "/__lbheartbeat__", root::balancer_heartbeat),
        route(Method::GET, "/__version__", root::version),
        route(Method::GET, "/__api__", openapi::get),
        route(Method::GET, "/vapid", vapid::get),
        route(Method::POST, "/batch", batch::post),
        route(Method::GET, "/subscriptions", list::get),
        route(Method::POST, "/subscriptions", subscriptions::post),
        route(Method::DELETE, "/subscriptions", list::delete),
        route(Method::GET, "/subscriptions/{id}", records::get),
        route(Method::PUT, "/subscriptions/{id}", records::put),
        route(Method::PATCH, "/subscriptions/{id}", records::patch),
        route(Method::DELETE, "/subscriptions/{id}", records::delete),
        route(Method::POST, "/subscriptions/{id}/replace", records::replace),
        route(Method::GET, "/channels", channels::list),
        route(Method::GET, "/channels/{id}", channels::get),
        route(Method::POST, "/channels/{id}", publish::post),
        route(Method::PUT, "/channels/{id}/registration", channels::join),
        route(Method::DELETE, "/channels/{id}/registration", channels::leave),
        route(Method::GET, "/broadcasts", broadcasts::list),
        route(Method::GET, "/broadcasts/{id}", broadcasts::get),
        route(Method::DELETE, "/broadcasts/{id}", broadcasts::abort),
        Route::new(Method::GET, "/broadcasts/{id}/events", events::get),
    ]
}

/// One that answers in JSON.
fn route<H: Handler<T, Arc<App>>, T: 'static>(method: Method, path: &'static str, handler: H) -> Route {
    let mut route = Route::new(method, path, handler);
    route.answers = route.answers.route_layer(from_fn(in_json));
    route
}

impl Route {
    fn new<H: Handler<T, Arc<App>>, T: 'static>(method: Method, path: &'static str, handler: H) -> Self {
        let filter = MethodFilter::try_from(method.clone()).expect("the methods of the table are HTTP's own");
        Self { method, path, answers: on(filter, handler) }
    }
}

/// With what is answered where no route is.
fn finish(routes: Router<Arc<App>>, app: &Arc<App>) -> Router {
    routes
        .fallback(unrouted)
        .method_not_allowed_fallback(|| std::future::ready(ApiError::method_not_allowed()))
        .layer(from_fn_with_state(Arc::clone(app), observe_publication))
        .layer(from_fn_with_state(Arc::clone(app), decorate))
        .with_state(Arc::clone(app))
}
