//! One request and its response on a leased connection.

use std::time::Duration;

use bytes::Bytes;
use http::header::HOST;
use http::{HeaderMap, HeaderValue, Request, Response, Uri};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use tokio::time::{Instant, timeout_at};

use super::connection::{Body, Sender};
use super::error::interrupted;
use super::lease::Lease;
use crate::transport::wire::{self, read_body};
use crate::transport::{TransportError, TransportErrorKind};

/// An entry of a header map and its share of the index, with room to grow.
const FIELD: usize = 128;

/// How an exchange failed.
pub(super) enum Failure {
    /// The connection was gone before it took the request: here it is again.
    Unsent(Box<Request<Body>>),
    Failed(TransportError),
}

/// Makes a request one that both versions of HTTP can carry: exact length, never chunked.
pub(super) fn prepare(mut request: Request<Bytes>) -> Result<Request<Body>, TransportError> {
    wire::prepare(&mut request)?;
    Ok(request.map(Full::new))
}

/// Sends `request` on a leased connection and gives the connection back.
pub(super) async fn exchange(
    mut lease: Lease,
    request: Request<Body>,
    total: Duration,
) -> Result<Response<Bytes>, Failure> {
    let deadline = Instant::now() + total;
    let mark = lease.meter().mark();
    let uri = lease.is_http1().then(|| request.uri().clone());
    let response = match timeout_at(deadline, send(lease.sender(), request)).await {
        Ok(Ok(response)) => response,
        Ok(Err(mut failed)) => {
            return Err(match failed.take_message() {
                Some(request) => {
                    lease.retire();
                    Failure::unsent(request, uri)
                }
                None => Failure::Failed(interrupted(failed.into_error(), lease.meter(), mark)),
            });
        }
        Err(_) => {
            if !lease.meter().read_since(mark) {
                // Not one octet in all that time: the peer is gone and TCP does not know yet.
                lease.retire();
            }
            return Err(Failure::Failed(TransportError::new(TransportErrorKind::Timeout)));
        }
    };
    lease.meter().answer();
    let (head, body) = response.into_parts();
    let (body, whole) = {
        let mut room = lease.meter().hold();
        read_body(body, deadline, |octets| room.more(octets), || size_of_fields(&head.headers)).await
    };
    if whole {
        lease.finish();
    }
    Ok(Response::from_parts(head, body))
}

impl Failure {
    fn unsent(mut request: Request<Body>, uri: Option<Uri>) -> Self {
        if let Some(uri) = uri {
            *request.uri_mut() = uri;
        }
        Self::Unsent(Box::new(request))
    }
}

async fn send(
    sender: &mut Sender,
    request: Request<Body>,
) -> Result<Response<Incoming>, TrySendError<Request<Body>>> {
    match sender {
        Sender::Http2(sender) => sender.try_send_request(request).await,
        Sender::Http1(sender) => {
            // A connection that closed meanwhile gives the request back in the next line.
            let _ = sender.ready().await;
            sender.try_send_request(origin_form(request)).await
        }
    }
}

/// What they take in memory, about: an entry of the map, and two strings.
fn size_of_fields(headers: &HeaderMap) -> usize {
    let fields = headers.iter().map(|(name, value)| FIELD + name.as_str().len() + value.len());
    fields.sum()
}

/// HTTP/1.1 to an origin server: the path alone in the request line, the authority in `Host`
/// (RFC 9112 3.2.1).
fn origin_form(mut request: Request<Body>) -> Request<Body> {
    let uri = request.uri();
    let host = uri.authority().and_then(|authority| HeaderValue::from_str(authority.as_str()).ok());
    let path = uri.path_and_query().cloned();
    if let Some(host) = host {
        request.headers_mut().entry(HOST).or_insert(host);
    }
    if let Some(path) = path {
        *request.uri_mut() = Uri::from(path);
    }
    request
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::net::TcpListener;

    use super::*;
    use crate::address::AddressPolicy;
    use crate::transport::hyper::config::Config;
    use crate::transport::hyper::connection::establish;
    use crate::transport::hyper::connector::Connector;
    use crate::transport::hyper::origin::{Origin, Shared};
    use crate::transport::hyper::tls;
    use crate::transport::lookup::SystemResolver;
    use crate::transport::target::Target;
    use crate::transport::wire::BODY_WAIT;

    #[tokio::test]
    async fn a_connection_that_ended_hands_the_request_back() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let uri: Uri = format!("http://{}/secret", listener.local_addr().unwrap()).parse().unwrap();
        let connector = Connector {
            policy: AddressPolicy::loopback_for_tests(),
            resolver: Arc::new(SystemResolver::default()),
            tls: tls::client_config(Vec::new()).unwrap(),
            http2_prior_knowledge: false,
        };
        let key = Target::of(&uri).unwrap().to_key();
        let opened = connector.open(&key, Instant::now() + BODY_WAIT).await.unwrap();
        let established = establish(opened).await.unwrap();
        let origin = Origin::new(key, Arc::new(Shared { config: Config::default(), connector }));
        origin.attempt();
        origin.opened(established.sender, established.meter, 1);
        let lease = origin.lease().await.unwrap();
        drop(established.driver);

        let request = prepare(Request::post(&uri).body(Bytes::from_static(b"body")).unwrap()).unwrap();
        let Err(Failure::Unsent(request)) = exchange(lease, request, BODY_WAIT).await else {
            panic!("nobody reads from this connection");
        };
        assert_eq!(request.uri(), &uri);
        assert!(origin.is_idle());
    }
}
