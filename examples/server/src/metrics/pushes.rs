//! Requests to push services, and what they led to.

use std::sync::Arc;

use ::http::{Request, Response, Uri};
use async_trait::async_trait;
use bytes::Bytes;
use metrics::{Counter, Gauge, Histogram};
use tokio::time::Instant;
use webpush_channels::Vendor;
use webpush_channels::channel::{RemovalHook, Removals, Review};
use webpush_channels::transport::{Transport, TransportError};

use super::Open;
use super::registry::{CLASSES, FAILURES, IN_FLIGHT, PRUNED, PUSH_SECONDS, RESPONSES, Registry, class};

/// The browser vendors, and all other push services as one: who they are is their subscribers' choice.
const VENDORS: [Vendor; 5] = [Vendor::Other, Vendor::Apple, Vendor::Fcm, Vendor::Mozilla, Vendor::Wns];

/// What pushes are counted with, by push service.
#[derive(Debug)]
pub(crate) struct Pushes {
    registry: Arc<Registry>,
    services: [Service; VENDORS.len()],
}

/// Looked up once: there are tens of thousands of pushes a second.
#[derive(Debug)]
struct Service {
    name: &'static str,
    in_flight: Gauge,
    pruned: Counter,
    responses: [Counter; CLASSES.len()],
    seconds: Histogram,
}

impl Pushes {
    pub(super) fn new(registry: &Arc<Registry>) -> Self {
        Self {
            services: VENDORS.map(|vendor| Service::new(vendor, registry)),
            registry: Arc::clone(registry),
        }
    }

    fn of(&self, host: Option<&str>) -> &Service {
        let vendor = host.map_or(Vendor::Other, Vendor::of_host);
        let place = VENDORS.iter().position(|it| *it == vendor).unwrap_or(0);
        &self.services[place]
    }

    fn ended(&self, service: &Service, result: Result<&Response<Bytes>, &TransportError>, began: Instant) {
        match result {
            Ok(response) => {
                service.responses[class(response.status())].increment(1);
                service.seconds.record(began.elapsed());
            }
            Err(error) => {
                let labels = [("service", service.name), ("kind", error.kind().as_str())];
                self.registry.counter(FAILURES, &labels).increment(1);
            }
        }
    }
}

impl Service {
    fn new(vendor: Vendor, registry: &Registry) -> Self {
        let name = vendor.as_str();
        let service = ("service", name);
        Self {
            name,
            in_flight: registry.gauge(IN_FLIGHT, &[service]),
            pruned: registry.counter(PRUNED, &[service]),
            responses: CLASSES.map(|class| registry.counter(RESPONSES, &[service, ("status", class)])),
            seconds: registry.histogram(PUSH_SECONDS, &[service]),
        }
    }
}

/// A transport whose requests are counted.
#[derive(Debug)]
pub(crate) struct Metered<T> {
    transport: T,
    pushes: Arc<Pushes>,
}

impl<T> Metered<T> {
    pub(crate) const fn new(transport: T, pushes: Arc<Pushes>) -> Self {
        Self { transport, pushes }
    }
}

#[async_trait]
impl<T: Transport> Transport for Metered<T> {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, TransportError> {
        let service = self.pushes.of(request.uri().host());
        // One that is dropped on its way is in flight no more.
        let _in_flight = Open::new(service.in_flight.clone());
        let began = Instant::now();
        let result = self.transport.send(request).await;
        self.pushes.ended(service, result.as_ref(), began);
        result
    }
}

/// Counts removals, and lets them happen.
#[derive(Debug)]
pub(crate) struct CountPrunes(pub(crate) Arc<Pushes>);

impl RemovalHook for CountPrunes {
    fn review(&self, removals: &Removals<'_>) -> Review {
        let origin = removals.origin.as_str().parse::<Uri>().ok();
        let service = self.0.of(origin.as_ref().and_then(Uri::host));
        service.pruned.increment(removals.entries.len() as u64);
        Review::Apply
    }
}
