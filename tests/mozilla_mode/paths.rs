//! Endpoints, messages and methods.

use http::{Method, StatusCode};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::answers::{Measured, check_error};
use super::cases::TEXT;
use super::client::Push;

/// Spellings of an endpoint that are not it.
fn damaged(endpoint: &str) -> Vec<String> {
    let (base, token) = endpoint.rsplit_once('/').unwrap();
    let origin = base.strip_suffix("/wpush/v2").unwrap();
    let mut changed = token.to_owned().into_bytes();
    let last = changed.len() - 1;
    changed[last] = if changed[last] == b'0' { b'1' } else { b'0' };
    vec![
        format!("{base}/gAAAAABrandom_-token"),
        format!("{base}/{}", String::from_utf8(changed).unwrap()),
        format!("{base}/{}", &token[..last]),
        format!("{base}/{}", token.to_uppercase()),
        format!("{base}/0{token}"),
        format!("{base}/+{token}"),
        format!("{origin}/wpush/v1/{token}"),
        format!("{origin}/wpush/{token}"),
        format!("{origin}/wpush/v3/{token}"),
        format!("{endpoint}/"),
        format!("{origin}/p/{token}"),
        format!("{origin}/"),
    ]
}

#[tokio::test]
async fn an_unknown_token_is_404_without_a_body() {
    let mut measured = Measured::new().await;
    let endpoint = measured.subscription.endpoint().as_str().to_owned();
    let push = Push::new(&measured.subscription, TEXT).without("authorization");
    for path in damaged(&endpoint) {
        if path == endpoint {
            // A ticket may have no letters.
            continue;
        }
        let answer = measured.sender.push(&push.clone().at(&path)).await;
        assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{path}");
        assert!(answer.body().is_empty(), "{path}");
    }
    measured.browser.ping().await;
}

#[tokio::test]
async fn an_endpoint_takes_posts_only() {
    let mut measured = Measured::new().await;
    for method in [Method::GET, Method::PUT, Method::DELETE, Method::OPTIONS] {
        let push = Push::null(&measured.subscription).method(method.clone());
        let answer = measured.sender.push(&push).await;
        assert_eq!(answer.status(), StatusCode::METHOD_NOT_ALLOWED, "{method}");
        assert_eq!(answer.headers()["allow"], "POST");
    }
}

#[tokio::test]
async fn a_message_can_be_deleted_after_its_delivery_and_twice() {
    let mut measured = Measured::new().await;
    let push = Push::new(&measured.subscription, TEXT);
    let answer = measured.sender.push(&push).await;
    let location = answer.headers()["location"].to_str().unwrap().to_owned();
    assert_eq!(measured.receive().await, Ok(Some(TEXT.to_vec())));
    let at = |method| Push::null(&measured.subscription).method(method).at(&location);
    for _ in 0..2 {
        let answer = measured.sender.push(&at(Method::DELETE)).await;
        assert_eq!((answer.status(), answer.body().len()), (StatusCode::NO_CONTENT, 0));
    }
    let answer = measured.sender.push(&at(Method::GET)).await;
    assert_eq!((answer.status(), answer.body().len()), (StatusCode::METHOD_NOT_ALLOWED, 0));
    let answer = measured.sender.push(&at(Method::DELETE).at(&format!("{location}0"))).await;
    assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
    check_error(answer.body(), 400, None, "Invalid message ID", "bogus");
}

#[tokio::test]
async fn a_chunked_body_is_taken() {
    let mut measured = Measured::new().await;
    let push = Push::new(&measured.subscription, TEXT);
    let path = push.uri.strip_prefix(measured.service.origin().as_str()).unwrap();
    let headers: Vec<_> =
        push.headers.iter().map(|(name, value)| format!("{name}: {}\r\n", value.to_str().unwrap())).collect();
    let request = format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{}transfer-encoding: chunked\r\n\r\n{:x}\r\n",
        headers.concat(),
        push.body.len()
    );
    let octets = [request.as_bytes(), &push.body, b"\r\n0\r\n\r\n"].concat();
    let mut stream = TcpStream::connect(measured.service.address()).await.unwrap();
    stream.write_all(&octets).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");
    assert_eq!(measured.receive().await, Ok(Some(TEXT.to_vec())));
}
