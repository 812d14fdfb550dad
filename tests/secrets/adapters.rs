//! Transports over other clients, and transports around transports.

use std::convert::Infallible;
use std::num::NonZeroU32;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, Response};
use http_body_util::Full;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tower::service_fn;
use webpush_channels::testing::{Answer, PushService, StubTransport};
use webpush_channels::transport::{
    AddressGuard, Exchange, ExchangeEnd, ExchangeLog, Rate, RateLimited, Recording, ReqwestTransport,
    ReqwestTransportBuilder, ReqwestTransportError, TowerTransport, Transport,
};
use webpush_channels::{AddressPolicy, EndpointPolicy};

use crate::errors::{fail, request};
use crate::needles::Shown;
use crate::world::{PATH, World, clock};

const LIMIT: Duration = Duration::from_millis(500);

pub(crate) async fn format_all(world: &World, shown: &mut Shown<'_>) {
    let policy = EndpointPolicy::loopback_for_tests().addresses().clone();
    let reqwest = over_reqwest(world, &policy, shown);
    let mut connector = HttpConnector::new_with_resolver(AddressGuard::system(policy.clone()));
    connector.set_connect_timeout(Some(LIMIT));
    let client = Client::builder(TokioExecutor::new()).build(connector);
    let tower = TowerTransport::new(client).address_policy(policy.clone()).total_timeout(LIMIT);
    shown.debug(&AddressGuard::system(policy));
    shown.debug(&tower);
    for transport in [&reqwest as &dyn Transport, &tower] {
        for origin in ["http://127.0.0.1:1", "http://10.0.0.1", "https://host.invalid"] {
            fail(transport, request(world, &format!("{origin}{PATH}")), shown).await;
        }
        faults(world, transport, shown).await;
    }
    quoting_services(world, shown).await;
    decorators(world, shown).await;
}

/// With a client that holds a secret of its own.
fn over_reqwest(world: &World, policy: &AddressPolicy, shown: &mut Shown<'_>) -> ReqwestTransport {
    let token = HeaderValue::from_str(&world.token()).unwrap();
    let headers = [(http::header::AUTHORIZATION, token)].into_iter().collect();
    let client = || reqwest::Client::builder().default_headers(http::HeaderMap::clone(&headers));
    let builder: ReqwestTransportBuilder = ReqwestTransport::builder().client(client());
    shown.debug(&builder);
    let wrong = ReqwestTransport::builder().client(client().user_agent("\n"));
    let error: ReqwestTransportError = wrong.build().unwrap_err();
    shown.error(&error);
    let builder = ReqwestTransport::builder().address_policy(policy.clone());
    let transport = builder.connect_timeout(LIMIT).total_timeout(LIMIT).build().unwrap();
    shown.debug(&transport);
    transport
}

async fn faults(world: &World, transport: &dyn Transport, shown: &mut Shown<'_>) {
    let service = PushService::builder().clock(clock()).http1_only(true).start().await.unwrap();
    let subscription = service.subscribe(&world.agent);
    let uri = format!("{}?{PATH}", subscription.endpoint().as_str());
    for answer in [Answer::CutBeforeStatus, Answer::Hang] {
        service.script(&subscription, [answer]);
        fail(transport, request(world, &uri), shown).await;
    }
}

/// Services whose errors tell all that they know.
async fn quoting_services(world: &World, shown: &mut Shown<'_>) {
    let uri = world.subscription.endpoint().as_str();
    let path = TowerTransport::new(service_fn(async |request: Request<Full<Bytes>>| {
        Err::<Response<Full<Bytes>>, _>(format!("no answer from {}", request.uri()))
    }));
    fail(&path, request(world, uri), shown).await;
    let headers = TowerTransport::new(service_fn(async |request: Request<Full<Bytes>>| {
        let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        Err::<Response<Full<Bytes>>, _>(request.headers().values().map(text).collect::<Vec<_>>().join(","))
    }));
    fail(&headers, request(world, uri), shown).await;
    let silent = service_fn(async |_: Request<Full<Bytes>>| {
        Ok::<Response<Full<Bytes>>, Infallible>(Response::default())
    });
    shown.debug(&TowerTransport::new(silent).send(request(world, uri)).await.unwrap());
}

async fn decorators(world: &World, shown: &mut Shown<'_>) {
    let uri = world.subscription.endpoint().as_str();
    let limited =
        RateLimited::new(StubTransport::new()).per_origin(Rate::per_minute(NonZeroU32::MIN)).max_wait(LIMIT);
    let log = ExchangeLog::new(10);
    let transport = Recording::new(limited, log.clone());
    transport.send(request(world, uri)).await.unwrap();
    fail(&transport, request(world, uri), shown).await;
    shown.debug(&transport);
    shown.debug(&log);
    let seen: Vec<Exchange> = log.snapshot();
    shown.debug(&seen);
    assert!(matches!(seen[..].last().unwrap().end, ExchangeEnd::Failed { .. }));
}
