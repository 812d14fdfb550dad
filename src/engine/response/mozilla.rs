//! Mozilla's autopush: `{"code", "errno", "error", "message", "more_info"}`.

use serde::Deserialize;
use serde_json::Value;

use super::{Class, Finding, OTHER_KEY, detail};

#[derive(Deserialize)]
struct Body {
    /// A number or null.
    #[serde(default)]
    errno: Value,
    #[serde(default)]
    message: Value,
}

/// All VAPID errors share errno 109: the message tells them apart (Q-M2). Fragment, class,
/// advice.
const VAPID: [(&str, Option<Class>, &str); 5] = [
    ("public key mismatch", Some(Class::KeyMismatch), OTHER_KEY),
    (
        "audience",
        None,
        "`aud` must be the endpoint's scheme, host and port, without a slash, made anew for each origin",
    ),
    ("expir", None, "`exp` must lie ahead, by at most 24 h: check this machine's clock and make a new token"),
    ("InvalidSignature", None, "`k` must be the public key of the key that signed the token, with ES256"),
    (
        "",
        None,
        "send `Authorization: vapid t=<JWT>, k=<key>` with the claims `aud`, `exp` (a number) and `sub`",
    ),
];

pub(super) fn read(body: &[u8]) -> Option<Finding> {
    let body: Body = detail::parse(body)?;
    let message = body.message.as_str().unwrap_or_default();
    let errno = body.errno.as_u64();
    if errno.is_none() && message.is_empty() {
        return None;
    }
    let (class, advice) = match errno {
        Some(109) => vapid(message),
        Some(errno) => (None, advice(errno)),
        None => (None, None),
    };
    let reason = errno.map_or_else(|| message.to_owned(), |errno| format!("errno {errno}: {message}"));
    Some(Finding { class, reason: Some(reason), advice })
}

fn vapid(message: &str) -> (Option<Class>, Option<&'static str>) {
    VAPID
        .iter()
        .find(|(fragment, ..)| fragment.is_empty() || detail::contains(message.as_bytes(), fragment))
        .map_or((None, None), |(_, class, advice)| (*class, Some(*advice)))
}

fn advice(errno: u64) -> Option<&'static str> {
    match errno {
        104 => Some(
            "send a smaller payload or less padding: Firefox for Android and iOS take 2744 octets of plaintext \
             for sure",
        ),
        110 | 101 => {
            Some("send `Content-Encoding: aes128gcm` in lower case and the keys in the body's header only")
        }
        111 | 112 => Some("send a TTL header of decimal digits"),
        113 => Some("a Topic has 1 to 32 characters of the base64url alphabet"),
        114 => Some("the TTL must not be negative"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_type_in_any_place_is_survived() {
        for (body, reason) in [
            (r#"{"errno":null,"message":"x"}"#, Some("x")),
            (r#"{"errno":"109","message":null}"#, None),
            (r#"{"errno":109}"#, Some("errno 109: ")),
            (r#"{"errno":109.5,"message":["x"]}"#, None),
            (r#"{"errno":-1,"message":"x"}"#, Some("x")),
            ("[]", None),
            ("null", None),
            ("", None),
        ] {
            assert_eq!(read(body.as_bytes()).and_then(|finding| finding.reason).as_deref(), reason, "{body}");
        }
    }
}
