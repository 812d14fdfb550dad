//! Where a request goes: scheme, host and port, taken from its URI once.

#![cfg_attr(
    not(all(feature = "http-client", feature = "limit")),
    allow(dead_code, reason = "each transport uses a part of it")
)]

use std::borrow::{Borrow, Cow};
use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::IpAddr;

use http::Uri;
use http::uri::Scheme;

/// The origin of a URI, borrowed from it: the key of the pool without an allocation.
#[derive(Debug)]
pub(super) struct Target<'a> {
    tls: bool,
    host: Cow<'a, str>,
    port: u16,
}

impl<'a> Target<'a> {
    /// `None` for what no transport here sends: relative URIs, other schemes, userinfo, and
    /// the ports that `http` lets through although they are none ("", "0", "99999").
    pub(super) fn of(uri: &'a Uri) -> Option<Self> {
        let tls = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            Some(scheme) if *scheme == Scheme::HTTP => false,
            _ => return None,
        };
        let authority = uri.authority()?;
        let host = authority.host();
        // Userinfo makes the authority begin with something else than the host.
        let port = authority.as_str().strip_prefix(host)?;
        let port = match port.strip_prefix(':') {
            Some(port) if port.starts_with('+') => return None,
            Some(port) => port.parse().ok().filter(|&port| port != 0)?,
            None if port.is_empty() => default_port(tls),
            None => return None,
        };
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        // The root's dot makes no other host of it (S-5).
        let host = host.strip_suffix('.').unwrap_or(host);
        if host.is_empty() {
            return None;
        }
        let host = if host.bytes().any(|octet| octet.is_ascii_uppercase()) {
            Cow::Owned(host.to_ascii_lowercase())
        } else {
            Cow::Borrowed(host)
        };
        Some(Self { tls, host, port })
    }

    pub(super) fn to_key(&self) -> OriginKey {
        OriginKey { tls: self.tls, host: self.host.as_ref().into(), port: self.port }
    }

    /// The address, where the host is one: resolvers are not asked about it.
    pub(super) fn ip(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }
}

/// As an endpoint's `Origin` is written: without the port that the scheme has anyway.
impl fmt::Display for Target<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.tls { "https://" } else { "http://" })?;
        let bracketed = self.host.contains(':');
        write!(f, "{}{}{}", if bracketed { "[" } else { "" }, self.host, if bracketed { "]" } else { "" })?;
        if self.port == default_port(self.tls) { Ok(()) } else { write!(f, ":{}", self.port) }
    }
}

const fn default_port(tls: bool) -> u16 {
    if tls { 443 } else { 80 }
}

/// The same, owned: nothing of the path stays in the pool (S-12).
#[derive(Clone)]
pub(super) struct OriginKey {
    tls: bool,
    host: Box<str>,
    port: u16,
}

impl OriginKey {
    pub(super) const fn tls(&self) -> bool {
        self.tls
    }

    /// The name, or an IP address without brackets.
    pub(super) fn host(&self) -> &str {
        &self.host
    }

    pub(super) const fn port(&self) -> u16 {
        self.port
    }

    pub(super) fn ip(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }
}

impl fmt::Debug for OriginKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        write!(f, "{scheme}://{}:{}", self.host, self.port)
    }
}

/// What [`Target`] and [`OriginKey`] compare and hash by, so that a map of the one can be asked
/// with the other.
pub(super) trait AsOrigin {
    fn parts(&self) -> (bool, &str, u16);
}

impl AsOrigin for Target<'_> {
    fn parts(&self) -> (bool, &str, u16) {
        (self.tls, &self.host, self.port)
    }
}

impl AsOrigin for OriginKey {
    fn parts(&self) -> (bool, &str, u16) {
        (self.tls, &self.host, self.port)
    }
}

impl Hash for dyn AsOrigin + '_ {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.parts().hash(state);
    }
}

impl PartialEq for dyn AsOrigin + '_ {
    fn eq(&self, other: &Self) -> bool {
        self.parts() == other.parts()
    }
}

impl Eq for dyn AsOrigin + '_ {}

impl Hash for OriginKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.parts().hash(state);
    }
}

impl PartialEq for OriginKey {
    fn eq(&self, other: &Self) -> bool {
        self.parts() == other.parts()
    }
}

impl Eq for OriginKey {}

impl<'a> Borrow<dyn AsOrigin + 'a> for OriginKey {
    fn borrow(&self) -> &(dyn AsOrigin + 'a) {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(uri: &str) -> Option<(bool, String, u16)> {
        let uri: Uri = uri.parse().ok()?;
        let target = Target::of(&uri)?;
        Some((target.tls, target.host.to_string(), target.port))
    }

    #[test]
    fn an_origin_is_scheme_lower_case_host_and_port() {
        assert_eq!(target("https://Push.Example/x?y"), Some((true, "push.example".into(), 443)));
        assert_eq!(target("https://push.example./x"), Some((true, "push.example".into(), 443)));
        assert_eq!(target("https://127.0.0.1./x"), Some((true, "127.0.0.1".into(), 443)));
        assert_eq!(target("http://push.example:8080/"), Some((false, "push.example".into(), 8080)));
        assert_eq!(target("https://[::1]:8443/"), Some((true, "::1".into(), 8443)));
        assert_eq!(target("https://127.0.0.1/"), Some((true, "127.0.0.1".into(), 443)));
    }

    #[test]
    fn what_has_no_clear_origin_is_refused() {
        for uri in [
            "/relative",
            "ftp://push.example/",
            "https://user@push.example/",
            "https://user:pass@push.example/",
            "https://./",
            "https://push.example:/",
            "https://push.example:0/",
            "https://push.example:99999/",
            "https://push.example:+443/",
        ] {
            assert_eq!(target(uri), None, "{uri}");
        }
    }

    #[test]
    fn an_origin_is_written_without_its_usual_port() {
        for (uri, origin) in [
            ("https://Push.Example:443/secret?x", "https://push.example"),
            ("http://127.0.0.1:8080/secret", "http://127.0.0.1:8080"),
            ("https://[::1]/secret", "https://[::1]"),
        ] {
            let uri: Uri = uri.parse().unwrap();
            assert_eq!(Target::of(&uri).unwrap().to_string(), origin);
        }
    }

    #[test]
    fn a_borrowed_target_finds_an_owned_key() {
        let uri: Uri = "https://push.example/secret".parse().unwrap();
        let target = Target::of(&uri).unwrap();
        let keys = std::collections::HashSet::from([target.to_key()]);
        assert!(keys.contains(&target as &dyn AsOrigin));
        assert_eq!(format!("{keys:?}"), "{https://push.example:443}");
    }
}
