//! VAPID as it was when `aesgcm` was current (V-30).

use bytes::Bytes;
use http::HeaderValue;

/// What `vapid t=..., k=...` says, in the form of the drafts: `WebPush <JWT>`, marked sensitive,
/// and the key for `p256ecdsa`. `None` for anything else.
pub(super) fn draft_vapid(authorization: &HeaderValue) -> Option<(HeaderValue, String)> {
    let (scheme, rest) = authorization.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("vapid") {
        return None;
    }
    // V-11: in any order, spaced and quoted at will.
    let parameter = |wanted: &str| {
        rest.split(',').find_map(|part| {
            let (name, value) = part.trim().split_once('=')?;
            name.trim().eq_ignore_ascii_case(wanted).then(|| value.trim().trim_matches('"'))
        })
    };
    let (token, key) = (parameter("t")?, parameter("k")?);
    let mut header = HeaderValue::from_maybe_shared(Bytes::from(format!("WebPush {token}"))).ok()?;
    header.set_sensitive(true);
    Some((header, key.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_parameters_are_found_however_they_are_written() {
        for text in ["vapid t=a.b.c, k=BA", "Vapid k=BA,t=a.b.c", r#"vapid  x=1, T="a.b.c" , k = "BA""#] {
            let header = HeaderValue::from_static(text);
            let (token, key) = draft_vapid(&header).expect(text);
            assert_eq!((token.to_str().unwrap(), key), ("WebPush a.b.c", "BA".to_owned()), "{text}");
            assert!(token.is_sensitive());
        }
    }

    #[test]
    fn what_is_not_vapid_has_no_other_form() {
        for octets in
            [&b""[..], b"vapid", b"vapid t=a", b"vapid k=b", b"Bearer t=a, k=b", b"vapid t=\xff, k=b"]
        {
            assert!(draft_vapid(&HeaderValue::from_bytes(octets).unwrap()).is_none(), "{octets:?}");
        }
    }
}
