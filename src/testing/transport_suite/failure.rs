//! Cases: no status, and what is known about the request then.

use std::error::Error as StdError;
use std::fmt::Write as _;
use std::time::Duration;

use tokio::time::timeout;

use super::peer::{Peer, Script, Seen};
use super::{Verdict, ensure, post, send_err, violation};
use crate::transport::{Processed, Transport, TransportError, TransportErrorKind};

/// Nobody listens: a failure to connect, and proof that nobody acted.
pub async fn a_refused_connection_was_not_processed(transport: &dyn Transport) -> Verdict {
    let error = send_err(transport, post(Peer::nobody().await, "body")).await?;
    expect(&error, TransportErrorKind::Connect, Processed::No)
}

/// The peer read the request and closed: it may have acted, and is not asked again.
pub async fn an_end_without_status_may_have_been_processed(transport: &dyn Transport) -> Verdict {
    let mut peer = Peer::start(Script::Close).await;
    let error = send_err(transport, post(peer.address, "body")).await?;
    expect(&error, TransportErrorKind::Interrupted, Processed::Unknown)?;
    let requests = peer.seen_so_far().iter().filter(|seen| matches!(seen, Seen::Request(_))).count();
    ensure(requests == 1, || format!("one request arrived {requests} times"))
}

/// The peer read the request and says nothing: the total timeout ends it.
pub async fn silence_times_out_and_may_have_been_processed(transport: &dyn Transport) -> Verdict {
    let peer = Peer::start(Script::Silence).await;
    let error = send_err(transport, post(peer.address, "body")).await?;
    expect(&error, TransportErrorKind::Timeout, Processed::Unknown)
}

/// Whoever drops the future ends the exchange; nothing goes on behind it.
pub async fn a_dropped_future_ends_the_exchange(transport: &dyn Transport) -> Verdict {
    let mut peer = Peer::start(Script::Silence).await;
    let mut sending = transport.send(post(peer.address, "body"));
    let arrived = tokio::select! {
        sent = &mut sending => return violation(format!("silence became {sent:?}")),
        seen = peer.seen() => seen,
    };
    ensure(matches!(arrived, Some(Seen::Request(_))), || "no request arrived".to_owned())?;
    drop(sending);
    // The transport lives on, and so would an exchange that it goes on with by itself: only until
    // its timeout, which is why the end has to come before that.
    let end = timeout(Duration::from_millis(500), peer.seen()).await;
    ensure(matches!(end, Ok(Some(Seen::End))), || {
        "the exchange went on after its future was dropped".to_owned()
    })
}

/// The endpoint is a secret: no error holds it, in any form or depth (S-12).
pub async fn errors_do_not_tell_the_uri(transport: &dyn Transport) -> Verdict {
    let closing = Peer::start(Script::Close).await;
    let silent = Peer::start(Script::Silence).await;
    for peer in [Peer::nobody().await, closing.address, silent.address] {
        let error = send_err(transport, post(peer, "body")).await?;
        let mut told = format!("{error:?}");
        let mut cause: Option<&dyn StdError> = Some(&error);
        while let Some(error) = cause {
            let _ = write!(told, " {error} {error:?}");
            cause = error.source();
        }
        ensure(!told.contains("secret"), || format!("an error tells the URI: {told}"))?;
    }
    Ok(())
}

fn expect(error: &TransportError, kind: TransportErrorKind, processed: Processed) -> Verdict {
    ensure(error.kind() == kind, || format!("expected a failure of kind {kind:?}, got {error:?}"))?;
    ensure(error.processed() == processed, || format!("claims {:?}: {error:?}", error.processed()))
}
