//! URLs that mean the same to every browser, and to none of them something relative.

use super::UrlProblem;
use crate::Endpoint;

/// An absolute https URL, its scheme and host in lower case. Unlike an endpoint it may have a
/// fragment.
pub(super) fn https(text: &str) -> Result<String, UrlProblem> {
    if text.len() > Endpoint::MAX_LEN {
        return Err(UrlProblem::TooLong);
    }
    let (resource, fragment) =
        text.split_once('#').map_or((text, None), |(resource, fragment)| (resource, Some(fragment)));
    let endpoint: Endpoint = resource.parse().map_err(UrlProblem::of)?;
    if !endpoint.is_https() {
        return Err(UrlProblem::Scheme);
    }
    let path = &endpoint.as_str()[endpoint.origin_str().len()..];
    if ![path, fragment.unwrap_or_default()].into_iter().all(is_plain) {
        return Err(UrlProblem::Character);
    }
    let mut url = endpoint.as_str().to_owned();
    if let Some(fragment) = fragment {
        url.push('#');
        url.push_str(fragment);
    }
    Ok(url)
}

/// Whether a path, query or fragment has only the characters of RFC 3986: what browsers would
/// encode, each a little differently, comes encoded.
fn is_plain(text: &str) -> bool {
    let mut octets = text.bytes();
    while let Some(octet) = octets.next() {
        let hex = |octet: Option<u8>| octet.is_some_and(|octet| octet.is_ascii_hexdigit());
        let plain = match octet {
            b'%' => hex(octets.next()) && hex(octets.next()),
            other => other.is_ascii_alphanumeric() || b"-._~:/?@!$&'()*+,;=".contains(&other),
        };
        if !plain {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_absolute_https_url_is_taken() {
        for (text, url) in [
            ("https://app.example/a?b=%C3%A9#c/d?e", "https://app.example/a?b=%C3%A9#c/d?e"),
            ("HTTPS://App.Example:443/A", "https://app.example/A"),
            ("https://app.example", "https://app.example"),
            ("https://app.example#", "https://app.example#"),
            ("https://[2001:DB8::1]:8443/~a", "https://[2001:db8::1]:8443/~a"),
        ] {
            assert_eq!(https(text).as_deref(), Ok(url));
        }
    }

    #[test]
    fn every_other_is_refused_with_its_reason() {
        use UrlProblem::{Character, Host, NotAbsolute, Port, Scheme, TooLong, Userinfo};
        for (text, problem) in [
            ("", NotAbsolute),
            ("/m/1", NotAbsolute),
            ("x?y=1", NotAbsolute),
            ("//app.example/", NotAbsolute),
            ("https:app.example", NotAbsolute),
            ("http://app.example/", Scheme),
            ("javascript://app.example/%0aalert(1)", Scheme),
            ("https://[bad", Host),
            ("https://", Host),
            ("https://b\u{fc}cher.example/", Character),
            ("https://app.example:0/", Port),
            ("https://me:pw@app.example/", Userinfo),
            ("https://app.example/a b", Character),
            ("https://app.example/{id}", Character),
            ("https://app.example/100%", Character),
            ("https://app.example/%4", Character),
            ("https://app.example/?a[]=1", Character),
            ("https://app.example/#a#b", Character),
            ("https://app.example/#\u{e9}", Character),
            ("https://app.example\\@evil.example/", Character),
            (" https://app.example/", Character),
        ] {
            assert_eq!(https(text), Err(problem), "{text}");
        }
        let long = |octets: usize| https(&format!("https://app.example/#{}", "x".repeat(octets - 21)));
        assert!(long(2048).is_ok());
        assert_eq!(long(2049), Err(TooLong));
    }
}
