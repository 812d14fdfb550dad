//! From an HTTP/1.1 request to a WebSocket (RFC 6455 section 4.2).

use std::io;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::header::SEC_WEBSOCKET_PROTOCOL;
use http::{HeaderValue, Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::upgrade::{self, OnUpgrade};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::server::create_response_with_body;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use super::session;
use crate::testing::lock;
use crate::testing::push_service::h1::{self, Payload};
use crate::testing::push_service::io::Io;
use crate::testing::push_service::service::Service;

/// The sub-protocol that Firefox asks for, and gives up without.
const PROTOCOL: &str = "push-notification";
/// A browser's frames are short; the longest acknowledges many messages at once.
const MAX_FRAME: usize = 64 * 1024;

/// Serves HTTP/1.1, and a browser where a request asks for a WebSocket, at whatever path.
pub(in crate::testing::push_service) async fn serve<T>(service: Arc<Service>, io: Io<T>)
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let upgrade = Mutex::new(None);
    let answer = service_fn(|request| answer(Arc::clone(&service), request, &upgrade));
    // A deadline for headers would make a paused clock end idle connections.
    let connection = http1::Builder::new()
        .header_read_timeout(None)
        .serve_connection(TokioIo::new(io), answer)
        .with_upgrades();
    // Its error says that the client went away, or that we cut the connection on purpose.
    drop(connection.await);
    let asked = lock(&upgrade).take();
    if let Some(asked) = asked
        && let Ok(upgraded) = asked.await
    {
        let config =
            WebSocketConfig::default().max_message_size(Some(MAX_FRAME)).max_frame_size(Some(MAX_FRAME));
        let io = TokioIo::new(upgraded);
        let socket = WebSocketStream::from_raw_socket(io, Role::Server, Some(config)).await;
        session::run(service, socket).await;
    }
}

async fn answer(
    service: Arc<Service>,
    mut request: Request<Incoming>,
    upgrade: &Mutex<Option<OnUpgrade>>,
) -> Result<Response<Payload>, io::Error> {
    // An error says that the request asks for no WebSocket.
    let Ok(mut response) = create_response_with_body(&request, || Payload::Whole(Bytes::new())) else {
        return h1::answer(service, request).await;
    };
    if asks_for_push(&request) {
        response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(PROTOCOL));
    }
    *lock(upgrade) = Some(upgrade::on(&mut request));
    Ok(response)
}

fn asks_for_push(request: &Request<Incoming>) -> bool {
    let mut lists = request.headers().get_all(SEC_WEBSOCKET_PROTOCOL).iter();
    lists.any(|list| list.to_str().is_ok_and(|list| list.split(',').any(|name| name.trim() == PROTOCOL)))
}
