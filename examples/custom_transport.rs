//! A transport of one's own, over another HTTP client: `reqwest`.
//!
//! (For this one the crate has `transport::ReqwestTransport` ready; see the example `reqwest_transport`.)
//!
//! It passes the conformance suite: see `tests/custom_transport.rs`. Here it speaks cleartext to
//! a push service in this process; for real ones build `reqwest` with its feature `rustls` too.

use std::error::Error as StdError;
use std::net::IpAddr;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::CONTENT_LENGTH;
use http::{Request, Response};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Client, redirect, retry};
use webpush_channels::AddressPolicy;
use webpush_channels::transport::{Transport, TransportError, TransportErrorKind};

const MAX_BODY: usize = 16 * 1024;

/// Sends through a `reqwest` client.
#[derive(Clone, Debug)]
pub(crate) struct ReqwestTransport {
    client: Client,
    addresses: AddressPolicy,
}

impl ReqwestTransport {
    /// A transport to the addresses that the policy allows.
    pub(crate) fn new(addresses: AddressPolicy, total_timeout: Duration) -> reqwest::Result<Self> {
        let client = Client::builder()
            .redirect(redirect::Policy::none())
            .no_proxy()
            .retry(retry::never())
            // Off in this build, but any crate may enable the features.
            .no_gzip()
            .no_brotli()
            .no_zstd()
            .no_deflate()
            .timeout(total_timeout)
            .dns_resolver(Guard(addresses.clone()))
            .build()?;
        Ok(Self { client, addresses })
    }

    /// The client's form of a request, where it would arrive octet for octet.
    fn convert(&self, request: Request<Bytes>) -> Result<reqwest::Request, TransportError> {
        let invalid = || TransportError::new(TransportErrorKind::InvalidRequest);
        let wanted = request.uri().path_and_query().map_or("/", |path| path.as_str()).to_owned();
        let mut request = reqwest::Request::try_from(request).map_err(|_| invalid())?;
        // The client leaves it out for an empty body.
        let length = request.body().and_then(reqwest::Body::as_bytes).unwrap_or_default().len();
        request.headers_mut().entry(CONTENT_LENGTH).or_insert(length.into());
        // URL parsers normalise: `/a/../b` would become another resource.
        if !request.url().as_str().ends_with(&wanted) {
            return Err(invalid());
        }
        // The resolver is not asked for addresses that stand in the URL.
        let host = request.url().host_str().unwrap_or_default();
        let literal = host.trim_matches(['[', ']']).parse::<IpAddr>();
        if literal.is_ok_and(|address| !self.addresses.allows(address)) {
            return Err(TransportError::new(TransportErrorKind::AddressRefused));
        }
        Ok(request)
    }
}

#[async_trait::async_trait]
impl Transport for ReqwestTransport {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, TransportError> {
        let mut response = self.client.execute(self.convert(request)?).await.map_err(failure)?;
        let mut answer = Response::new(());
        *answer.status_mut() = response.status();
        *answer.headers_mut() = std::mem::take(response.headers_mut());
        let mut body = BytesMut::new();
        // Status decides: an error from here on, the timeout too, only ends the body.
        while body.len() < MAX_BODY
            && let Ok(Some(chunk)) = response.chunk().await
        {
            body.extend_from_slice(&chunk[..chunk.len().min(MAX_BODY - body.len())]);
        }
        Ok(answer.map(|()| body.freeze()))
    }
}

/// What the client's error proves. In doubt the request may have been processed.
fn failure(error: reqwest::Error) -> TransportError {
    let mut cause: Option<&(dyn StdError + 'static)> = Some(&error);
    while let Some(error) = cause.filter(|error| !error.is::<Refused>()) {
        cause = error.source();
    }
    let kind = if cause.is_some() {
        TransportErrorKind::AddressRefused
    } else if error.is_connect() {
        TransportErrorKind::Connect
    } else if error.is_timeout() {
        TransportErrorKind::Timeout
    } else {
        TransportErrorKind::Interrupted
    };
    TransportError::new(kind).with_source(error.without_url())
}

/// Resolves names and refuses those that lead where the policy forbids (S-3): the client connects
/// to the addresses that were checked, there is no second look-up.
struct Guard(AddressPolicy);

#[derive(Debug, thiserror::Error)]
#[error("the policy forbids an address of this name")]
struct Refused;

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let addresses = self.0.clone();
        Box::pin(async move {
            let found: Vec<_> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let allowed = found.iter().all(|address| addresses.allows(address.ip()));
            if allowed { Ok(Box::new(found.into_iter()) as Addrs) } else { Err(Refused.into()) }
        })
    }
}

#[cfg(not(test))]
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn StdError>> {
    use webpush_channels::engine::vapid::{Vapid, VapidKey};
    use webpush_channels::sender::Sender;
    use webpush_channels::testing::{PushService, UserAgent};
    use webpush_channels::{EndpointPolicy, Message, Payload, Ttl};

    let service = PushService::start().await?;
    let agent = UserAgent::new();
    let alive = service.subscribe(&agent);
    let dead = service.subscribe(&agent);
    service.unsubscribe(&dead);

    // Both the sender's policy and the transport's are those for tests: this is loopback.
    let policy = EndpointPolicy::loopback_for_tests();
    let transport = ReqwestTransport::new(policy.addresses().clone(), Duration::from_secs(20))?;
    let vapid = Vapid::new(VapidKey::generate()?, "mailto:ops@example.org".parse()?);
    let sender = Sender::builder(vapid, transport).policy(policy).build();

    for (name, subscription) in [("alive", &alive), ("dead", &dead)] {
        let message = Message::new(Payload::new(format!("hello, {name}"))?, Ttl::hours(1));
        let sent = sender.send(subscription, &message).await;
        println!("{name}: {} after {} request(s)", sent.outcome.kind(), sent.attempts);
    }
    println!("received: {} message(s)", service.received(&alive).len());
    Ok(())
}
