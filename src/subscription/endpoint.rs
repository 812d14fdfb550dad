//! The URL of a push resource.

use std::borrow::Borrow;
use std::fmt::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;
use std::sync::Arc;

use http::Uri;
use serde::{Deserialize, Serialize};

use super::Vendor;

/// The URL that messages for one subscription are posted to: the push resource of RFC 8030.
///
/// Parsing proves *syntax*: an absolute http(s) URL of at most 2048 ASCII octets without
/// userinfo, fragment, control character, space or backslash, with a host in one spelling and a
/// valid port. Scheme and host come out in lower case, a default port and the dot of the root
/// (`https://host./x`) are dropped; path and query stay byte for byte (H-3). Whether the URL is *acceptable* is the question of an
/// [`EndpointPolicy`](crate::EndpointPolicy).
///
/// An endpoint is a capability: whoever has it can push to it (RFC 8030 section 8.3). `Debug`
/// shows the origin only, and there is no `Display`.
///
/// ```
/// use webpush_channels::{Endpoint, EndpointError};
///
/// let endpoint: Endpoint = "HTTPS://Push.Example.NET:443/p/X?Q=%2b".parse()?;
/// assert_eq!(endpoint.as_str(), "https://push.example.net/p/X?Q=%2b");
/// assert_eq!(endpoint.origin().as_str(), "https://push.example.net");
/// assert_eq!("/relative".parse::<Endpoint>(), Err(EndpointError::NotAbsolute));
/// # Ok::<(), EndpointError>(())
/// ```
#[derive(Clone, Eq, Hash, PartialEq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Endpoint {
    text: Box<str>,
    /// Where the origin ends.
    origin_len: u16,
    /// Where the host ends.
    host_end: u16,
    vendor: Vendor,
}

/// The longest endpoint, in octets. The longest seen in the wild are below 1100.
const MAX_LEN: usize = 2048;

impl Endpoint {
    /// The most octets that an endpoint may have.
    pub const MAX_LEN: usize = MAX_LEN;

    /// The whole URL. Secret: keep it out of logs and answers to other users (S-11, S-12).
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Scheme, host and port (RFC 6454): what a VAPID token is made for. Not secret.
    #[must_use]
    pub fn origin(&self) -> Origin {
        Origin(self.origin_str().into())
    }

    /// The host in lower case and without the root's dot, an IPv6 address in brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.text[if self.is_https() { 8 } else { 7 }..usize::from(self.host_end)]
    }

    /// The port, the scheme's default where none is written.
    #[must_use]
    pub fn port(&self) -> u16 {
        let port = self.text[usize::from(self.host_end)..usize::from(self.origin_len)].strip_prefix(':');
        port.and_then(|port| port.parse().ok()).unwrap_or(if self.is_https() { 443 } else { 80 })
    }

    /// Whether the scheme is https. Anything else needs a policy for tests.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.text.starts_with("https:")
    }

    /// Which push service it belongs to.
    #[must_use]
    pub fn vendor(&self) -> Vendor {
        self.vendor
    }

    /// Whether a URL is short enough and of the characters that endpoints have.
    pub(crate) fn has_usable_characters(url: &str) -> bool {
        check_characters(url).is_ok()
    }

    /// Whether whoever parses URLs takes a host for an IPv4 address, `mail.0x7f` included.
    pub(crate) fn ends_in_a_number(host: &str) -> bool {
        let last = host.rsplit('.').next().unwrap_or(host);
        let hex = last.strip_prefix("0x").or_else(|| last.strip_prefix("0X"));
        last.bytes().all(|b| b.is_ascii_digit())
            || hex.is_some_and(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()))
    }

    pub(crate) fn origin_str(&self) -> &str {
        &self.text[..usize::from(self.origin_len)]
    }

    /// The host's address, when it is written as one.
    pub(crate) fn ip_literal(&self) -> Option<IpAddr> {
        let host = self.host();
        match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            Some(v6) => v6.parse().ok().map(IpAddr::V6),
            None => host.parse().ok().map(IpAddr::V4),
        }
    }

    /// The URL as `http` has it. An empty path becomes `/`, as RFC 9112 section 3.2.1 demands of
    /// a request target: `http` leaves it out before a query.
    pub(crate) fn to_uri(&self) -> Uri {
        let (origin, path) = self.text.split_at(usize::from(self.origin_len));
        let uri = if path.starts_with('?') { format!("{origin}/{path}").parse() } else { self.text.parse() };
        uri.expect("parsing an endpoint proved that it is a URI")
    }
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        // Each push parses a `Location`, each row of a store an endpoint.
        Self::plain(text).map_or_else(|| Self::normalized(text), Ok)
    }
}

impl Endpoint {
    /// What needs no rewriting and no second look: an https URL with a name in lower case, without a port, and
    /// of characters that mean the same everywhere.
    fn plain(text: &str) -> Option<Self> {
        let rest = text.strip_prefix("https://").filter(|_| text.len() <= MAX_LEN)?;
        let (host, path) = rest.split_at(rest.find('/')?);
        let mut labels = host.split('.');
        let is_label = |label: &str| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_'))
        };
        // A last label that begins with a digit may be a number.
        let ends_in_name = host.rsplit('.').next()?.starts_with(|c: char| c.is_ascii_lowercase());
        if host.len() > 253 || !ends_in_name || !labels.all(is_label) {
            return None;
        }
        if !path.bytes().all(|b| PLAIN[usize::from(b)]) {
            return None;
        }
        let host_end = u16::try_from("https://".len() + host.len()).ok()?;
        let vendor = Vendor::of_host(host);
        Some(Self { text: text.into(), origin_len: host_end, host_end, vendor })
    }

    fn normalized(text: &str) -> Result<Self, EndpointError> {
        check_characters(text)?;
        let (scheme, rest) = split_scheme(text)?;
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        if authority.contains('@') {
            return Err(EndpointError::Userinfo);
        }
        let (host, port) = split_port(authority)?;
        let mut normal = String::with_capacity(text.len());
        normal.push_str(scheme);
        normal.push_str("://");
        let host_start = normal.len();
        push_host(&mut normal, host)?;
        let (vendor, host_end) = (Vendor::of_host(&normal[host_start..]), normal.len());
        if let Some(port) = port.filter(|port| *port != default_port(scheme)) {
            normal.push(':');
            normal.push_str(&port.to_string());
        }
        let short = |len| u16::try_from(len).map_err(|_| EndpointError::TooLong { len: text.len() });
        let (host_end, origin_len) = (short(host_end)?, short(normal.len())?);
        normal.push_str(path);
        // `http` refuses a few printable characters, or drops them: better known here than at the
        // first send.
        let uri: Uri = normal.parse().map_err(|_| EndpointError::Character)?;
        let kept = uri.path_and_query().map_or("", |kept| kept.as_str());
        if kept != path && kept.strip_prefix('/') != Some(path) {
            return Err(EndpointError::Character);
        }
        Ok(Self { text: normal.into_boxed_str(), origin_len, host_end, vendor })
    }
}

impl TryFrom<String> for Endpoint {
    type Error = EndpointError;

    fn try_from(text: String) -> Result<Self, EndpointError> {
        text.parse()
    }
}

impl From<Endpoint> for String {
    fn from(endpoint: Endpoint) -> Self {
        endpoint.text.into()
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Endpoint({}/[redacted])", self.origin_str())
    }
}

/// Scheme, host and port of an endpoint, without a trailing slash: the `aud` of a VAPID token
/// (V-3) and the unit of pauses, limits and counts. Not secret.
#[derive(Clone, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Origin(Arc<str>);

impl Origin {
    /// The origin's text, such as `https://push.example.net:8443`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Which push service it is.
    #[must_use]
    pub fn vendor(&self) -> Vendor {
        let authority = self.0.split_once("://").map_or("", |(_, authority)| authority);
        let host = authority.rsplit_once(':').filter(|(_, port)| !port.ends_with(']'));
        Vendor::of_host(host.map_or(authority, |(host, _)| host))
    }
}

impl Borrow<str> for Origin {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Origin({})", self.0)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a URL is not an endpoint. Never holds the URL.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum EndpointError {
    /// A control character, space, quote, backslash or non-ASCII character.
    #[error("an endpoint holds printable ASCII without spaces, quotes and backslashes")]
    Character,
    /// A `#`.
    #[error("an endpoint has no fragment")]
    Fragment,
    /// The host is missing, or not a DNS name or an address in its usual spelling.
    #[error("the endpoint's host must be a DNS name (IPv4 as four decimals, IPv6 in brackets)")]
    Host,
    /// No scheme and authority.
    #[error("an endpoint is an absolute URL: https://host/path")]
    NotAbsolute,
    /// A port that is empty, zero, not decimal or above 65535.
    #[error("the endpoint's port must be a number from 1 to 65535")]
    Port,
    /// Neither http nor https.
    #[error("the endpoint's scheme must be https")]
    Scheme,
    /// More than 2048 octets.
    #[error("an endpoint has at most {MAX_LEN} octets, this one has {len}")]
    TooLong {
        /// Octets found.
        len: usize,
    },
    /// A user name or password.
    #[error("an endpoint has no user name and no password")]
    Userinfo,
}

/// The characters of paths and queries in their usual spelling (RFC 3986 section 3.3).
const PLAIN: [bool; 256] = {
    let mut plain = [false; 256];
    let mut octet = 0;
    while octet < 128 {
        let usual = matches!(octet, b'-' | b'.' | b'_' | b'~' | b':' | b'/' | b'@' | b'?' | b'%')
            || matches!(octet, b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=');
        plain[octet as usize] = octet.is_ascii_alphanumeric() || usual;
        octet += 1;
    }
    plain
};

fn check_characters(text: &str) -> Result<(), EndpointError> {
    if text.len() > MAX_LEN {
        return Err(EndpointError::TooLong { len: text.len() });
    }
    for octet in text.bytes() {
        match octet {
            b'#' => return Err(EndpointError::Fragment),
            b'\\' | b'"' | b'<' | b'>' => return Err(EndpointError::Character),
            0x21..=0x7e => {}
            _ => return Err(EndpointError::Character),
        }
    }
    Ok(())
}

fn split_scheme(text: &str) -> Result<(&'static str, &str), EndpointError> {
    for scheme in ["https", "http"] {
        if let Some((given, rest)) = text.split_at_checked(scheme.len())
            && given.eq_ignore_ascii_case(scheme)
            && let Some(rest) = rest.strip_prefix("://")
        {
            return Ok((scheme, rest));
        }
    }
    let (other, _) = text.split_once("://").ok_or(EndpointError::NotAbsolute)?;
    Err(if other.contains(['/', '?']) { EndpointError::NotAbsolute } else { EndpointError::Scheme })
}

fn split_port(authority: &str) -> Result<(&str, Option<u16>), EndpointError> {
    // The colons inside the brackets of an IPv6 address do not count.
    let after_host =
        if authority.starts_with('[') { authority.find(']').ok_or(EndpointError::Host)? + 1 } else { 0 };
    let Some(colon) = authority[after_host..].find(':') else {
        return Ok((authority, None));
    };
    let (host, port) = authority.split_at(after_host + colon);
    let digits = &port[1..];
    let port = digits.parse().ok().filter(|port| *port != 0 && digits.bytes().all(|b| b.is_ascii_digit()));
    port.map(|port| (host, Some(port))).ok_or(EndpointError::Port)
}

const fn default_port(scheme: &str) -> u16 {
    // "https" or "http": `split_scheme` gives no others.
    if scheme.len() == 5 { 443 } else { 80 }
}

/// Writes the host in lower case and in its one spelling: `127.1` or `0x7f.1` would be addresses
/// to a resolver and names to us, and a name with the root's dot another push service (S-5).
fn push_host(normal: &mut String, host: &str) -> Result<(), EndpointError> {
    if let Some(v6) = host.strip_prefix('[') {
        let v6: Ipv6Addr = v6.strip_suffix(']').and_then(|v6| v6.parse().ok()).ok_or(EndpointError::Host)?;
        return write!(normal, "[{v6}]").map_err(|_| EndpointError::Host);
    }
    let valid_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    };
    let name = host.strip_suffix('.').unwrap_or(host);
    if name.len() > 253 || !name.split('.').all(valid_label) {
        return Err(EndpointError::Host);
    }
    if Endpoint::ends_in_a_number(name) && host.parse::<Ipv4Addr>().is_err() {
        return Err(EndpointError::Host);
    }
    normal.extend(name.chars().map(|c| c.to_ascii_lowercase()));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> EndpointError {
        text.parse::<Endpoint>().expect_err(text)
    }

    #[test]
    fn path_and_query_stay_byte_for_byte() {
        for text in [
            "https://wns2-par02p.notify.windows.com/w/?token=BQ%2bA%2f%3d",
            "https://push.example.net",
            "https://push.example.net?x=/y",
            "https://push.example.net//a//b/?",
            "https://push.example.net/a;b=c,d:e@f!$&'()*+~|",
            "https://[2001:db8::1]:8443/x",
            "http://127.0.0.1:9/x",
        ] {
            assert_eq!(text.parse::<Endpoint>().expect(text).as_str(), text);
        }
    }

    #[test]
    fn the_parts_are_told_apart() {
        let v6: Endpoint = "https://[2001:DB8::1]:8443/x".parse().unwrap();
        assert_eq!((v6.host(), v6.port()), ("[2001:db8::1]", 8443));
        assert_eq!(v6.ip_literal(), Some("2001:db8::1".parse().unwrap()));
        let plain: Endpoint = "http://push.example.net/x:1".parse().unwrap();
        assert_eq!((plain.host(), plain.port(), plain.is_https()), ("push.example.net", 80, false));
        assert_eq!(plain.ip_literal(), None);
    }

    #[test]
    fn a_name_has_one_spelling() {
        for text in [
            "https://Push.Example.NET./x",
            "HTTPS://push.example.net:443/x",
            "https://push.example.net.:443/x",
        ] {
            assert_eq!(
                text.parse::<Endpoint>().expect(text).as_str(),
                "https://push.example.net/x",
                "{text}"
            );
        }
        let other: Endpoint = "https://push.example.net.:8443?x=a./".parse().unwrap();
        assert_eq!(other.as_str(), "https://push.example.net:8443?x=a./");
    }

    #[test]
    fn every_other_spelling_is_refused_with_its_reason() {
        use EndpointError::{Character, Fragment, Host, NotAbsolute, Port, Scheme, Userinfo};
        for (text, reason) in [
            ("", NotAbsolute),
            ("foo", NotAbsolute),
            ("//push.example.net/x", NotAbsolute),
            ("/a?b=://x", NotAbsolute),
            ("ftp://push.example.net/", Scheme),
            ("https://", Host),
            ("https:///x", Host),
            ("https://u:p@push.example.net/", Userinfo),
            ("https://push.example.net@evil.example/", Userinfo),
            ("https://push.example.net\\@evil.example/", Character),
            ("https://push.example.net#@evil.example/", Fragment),
            ("https://push.example.net/x#y", Fragment),
            ("https://push.example.net:99999/", Port),
            ("https://push.example.net:/", Port),
            ("https://push.example.net:0/", Port),
            ("https://push.example.net:+1/", Port),
            ("https://push.example.net:443:443/", Port),
            ("https://push.example.net/\u{e9}", Character),
            ("https://push.\u{e9}xample.net/", Character),
            ("https://push.example.net/a b", Character),
            ("https://push.example.net/a\nb", Character),
            ("https://127.1/", Host),
            ("https://0x7f.1/", Host),
            ("https://a.0X7F/", Host),
            ("https://2130706433/", Host),
            ("https://017700000001/", Host),
            ("https://127.0.0.01/", Host),
            ("https://127.0.0.1./", Host),
            ("https://[::1/", Host),
            ("https://[fe80::1%25eth0]/", Host),
            ("https://[::1]x/", Host),
            ("https://a..b/", Host),
            ("https://a.b../", Host),
            ("https://./", Host),
            ("https://.a.b/", Host),
            ("https://a.0x/", Host),
            ("https://ex%61mple.net/", Host),
        ] {
            assert_eq!(refused(text), reason, "{text}");
        }
        assert_eq!(
            refused(&format!("https://a.b/{}", "x".repeat(10_240))),
            EndpointError::TooLong { len: 10_252 }
        );
    }

    #[test]
    fn what_is_plain_is_the_same_the_long_way() {
        const PIECES: [&str; 20] = [
            "https://",
            "http://",
            "a",
            "z",
            "0",
            "0x7f",
            "127.0.0.1",
            "-",
            "_",
            ".",
            "..",
            "/",
            "//",
            "?",
            "%2b",
            ":443",
            ":8443",
            "@",
            "#",
            "\"",
        ];
        let (mut random, mut plain) = (fastrand::Rng::with_seed(1), 0);
        for _ in 0..50_000 {
            let pieces = random.usize(1..8);
            let mut text = String::from(if random.u8(0..4) > 0 { "https://" } else { "" });
            (0..pieces).for_each(|_| text.push_str(random.choice(PIECES).unwrap()));
            if let Some(endpoint) = Endpoint::plain(&text) {
                assert_eq!(Endpoint::normalized(&text), Ok(endpoint), "{text}");
                plain += 1;
            }
        }
        assert!(plain > 300, "{plain}");
        for octet in 0..=u8::MAX {
            let text = format!("https://push.example.net/x{0}?y{0}", char::from(octet));
            if let Some(endpoint) = Endpoint::plain(&text) {
                assert_eq!(Endpoint::normalized(&text), Ok(endpoint), "{text}");
            }
        }
    }

    #[test]
    fn debug_shows_the_origin_only() {
        let endpoint: Endpoint = "https://push.example.net/secret".parse().unwrap();
        assert_eq!(format!("{endpoint:?}"), "Endpoint(https://push.example.net/[redacted])");
    }
}
