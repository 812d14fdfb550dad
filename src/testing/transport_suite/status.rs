//! Cases: the status decides, and nobody acts on it.

use super::peer::{Peer, Script};
use super::{Verdict, ensure, post, send_ok};
use crate::transport::Transport;

/// Every status is `Ok`, with its headers.
pub async fn any_status_is_ok(transport: &dyn Transport) -> Verdict {
    for status in [200, 201, 202, 204, 304, 400, 401, 403, 404, 406, 410, 413, 429, 500, 502, 503, 599] {
        let peer = Peer::answering(&format!("{status} Words\r\nretry-after: {status}\r\nx-note: kept")).await;
        let response = send_ok(transport, post(peer.address, "body")).await?;
        ensure(response.status() == status, || format!("{status} became {}", response.status()))?;
        for (name, value) in [("retry-after", status.to_string()), ("x-note", "kept".to_owned())] {
            let got = response.headers().get(name);
            ensure(got.is_some_and(|got| got == value.as_str()), || {
                format!("the header {name} of a {status} is {got:?}")
            })?;
        }
        ensure(response.body().is_empty(), || format!("a {status} without a body got one"))?;
    }
    Ok(())
}

/// 1xx responses are passed over; the final one is the result.
pub async fn interim_responses_are_not_final(transport: &dyn Transport) -> Verdict {
    let octets =
        b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\nHTTP/1.1 201 Created\r\ncontent-length: 0\r\n\r\n";
    let peer = Peer::start(Script::Answer(octets.to_vec())).await;
    let response = send_ok(transport, post(peer.address, "body")).await?;
    ensure(response.status() == 201, || format!("103, then 201, became {}", response.status()))
}

/// A redirect is a response like any other, and nobody connects to where it points (S-6).
pub async fn redirects_are_not_followed(transport: &dyn Transport) -> Verdict {
    let inside = Peer::answering("200 OK").await;
    for status in [301, 302, 303, 307, 308] {
        let location = format!("http://{}/inside", inside.address);
        let peer = Peer::answering(&format!("{status} Moved\r\nlocation: {location}")).await;
        let response = send_ok(transport, post(peer.address, "body")).await?;
        ensure(response.status() == status, || format!("{status} became {}", response.status()))?;
        let got = response.headers().get("location");
        ensure(got.is_some_and(|got| got == location.as_str()), || format!("Location became {got:?}"))?;
        ensure(inside.connections() == 0, || format!("a {status} led to a connection to its Location"))?;
    }
    Ok(())
}
