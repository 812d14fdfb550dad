//! Which endpoints are acceptable.

use std::fmt;
use std::sync::Arc;

use super::{Endpoint, Origin, Vendor};
use crate::AddressPolicy;

/// Which endpoints a server sends to.
///
/// An endpoint comes from a stranger's browser, or from a stranger: without a policy a server can
/// be made to call its own network (S-1, S-2). The policy is asked when a subscription is stored,
/// before each send, and, through its [`AddressPolicy`], for each address at connect time.
///
/// ```
/// use webpush_channels::{Endpoint, EndpointPolicy};
///
/// let policy = EndpointPolicy::public_internet();
/// let refused = |url: &str| policy.check(&url.parse::<Endpoint>().unwrap()).is_err();
/// assert!(!refused("https://push.example.net/p/x"));
/// assert!(refused("https://169.254.169.254/latest/meta-data"));
/// assert!(refused("https://metadata.google.internal/"));
/// assert!(refused("https://push.example.net:22/"));
/// ```
#[derive(Clone)]
pub struct EndpointPolicy {
    hosts: Hosts,
    ports: Vec<u16>,
    origins: Vec<Origin>,
    addresses: AddressPolicy,
}

#[derive(Clone)]
enum Hosts {
    Known,
    Public,
    Custom(Arc<dyn Fn(&str) -> bool + Send + Sync>),
    Loopback,
}

/// Names that never lead to a public push service (S-1; RFC 6761, RFC 6762, RFC 8375, RFC 7686).
const LOCAL_SUFFIXES: [&str; 7] = ["local", "localhost", "internal", "invalid", "home.arpa", "test", "onion"];

impl EndpointPolicy {
    /// The push services of the browsers that people use: Apple, Google, Microsoft, Mozilla.
    /// The right choice for a server that serves browsers.
    #[must_use]
    pub fn known_vendors() -> Self {
        let addresses = AddressPolicy::public();
        Self { hosts: Hosts::Known, ports: vec![443], origins: Vec::new(), addresses }
    }

    /// Any public host by name, on port 443: for `UnifiedPush` and self-hosted push services.
    #[must_use]
    pub fn public_internet() -> Self {
        Self { hosts: Hosts::Public, ..Self::known_vendors() }
    }

    /// The public hosts for which `allow` returns true. It is given the host in lower case.
    #[must_use]
    pub fn custom(allow: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        Self { hosts: Hosts::Custom(Arc::new(allow)), ..Self::known_vendors() }
    }

    /// Loopback addresses and `localhost`, http and https, any port: for tests against a push
    /// service on this machine, and the only policy that admits http.
    #[must_use]
    pub fn loopback_for_tests() -> Self {
        let addresses = AddressPolicy::loopback_for_tests();
        Self { hosts: Hosts::Loopback, ports: Vec::new(), origins: Vec::new(), addresses }
    }

    /// The same policy, with another port beside 443.
    #[must_use]
    pub fn with_port(mut self, port: u16) -> Self {
        self.ports.push(port);
        self
    }

    /// The same policy, with one more push service: this origin, whatever its name and port are. http is
    /// refused all the same (H-2).
    ///
    /// ```
    /// use webpush_channels::{AddressPolicy, Endpoint, EndpointPolicy};
    ///
    /// let own: Endpoint = "https://push.corp.internal:8443".parse()?;
    /// let policy = EndpointPolicy::known_vendors()
    ///     .with_origin(own.origin())
    ///     .with_addresses(AddressPolicy::public().with_network([10, 1, 2, 3].into(), 32));
    /// let accepted = |url: &str| policy.check(&url.parse::<Endpoint>().unwrap()).is_ok();
    /// assert!(accepted("https://push.corp.internal:8443/p/x"));
    /// assert!(!accepted("https://push.corp.internal/p/x"));
    /// assert!(!accepted("https://wiki.corp.internal:8443/p/x"));
    /// # Ok::<(), webpush_channels::EndpointError>(())
    /// ```
    #[must_use]
    pub fn with_origin(mut self, origin: Origin) -> Self {
        self.origins.push(origin);
        self
    }

    /// The same policy, with other addresses. A transport has to be told, too: it is given
    /// [`addresses`](Self::addresses) when it is built.
    #[must_use]
    pub fn with_addresses(mut self, addresses: AddressPolicy) -> Self {
        self.addresses = addresses;
        self
    }

    /// Which addresses may be connected to.
    #[must_use]
    pub const fn addresses(&self) -> &AddressPolicy {
        &self.addresses
    }

    /// Asks whether messages may be sent to `endpoint`.
    ///
    /// # Errors
    ///
    /// [`PolicyError`] with the first rule that it breaks.
    pub fn check(&self, endpoint: &Endpoint) -> Result<(), PolicyError> {
        if matches!(self.hosts, Hosts::Loopback) {
            return check_loopback(endpoint);
        }
        if !endpoint.is_https() {
            return Err(PolicyError::NotHttps);
        }
        if self.origins.iter().any(|origin| origin.as_str() == endpoint.origin_str()) {
            return Ok(());
        }
        if !self.ports.contains(&endpoint.port()) {
            return Err(PolicyError::Port);
        }
        if endpoint.ip_literal().is_some() {
            return Err(PolicyError::IpLiteral);
        }
        check_public_name(endpoint.host())?;
        let listed = match &self.hosts {
            Hosts::Known => Vendor::of_host(endpoint.host()) != Vendor::Other,
            Hosts::Custom(allow) => allow(endpoint.host()),
            Hosts::Public | Hosts::Loopback => true,
        };
        if listed { Ok(()) } else { Err(PolicyError::HostNotAllowed) }
    }
}

impl fmt::Debug for EndpointPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hosts = match self.hosts {
            Hosts::Known => "known vendors",
            Hosts::Public => "public internet",
            Hosts::Custom(_) => "custom",
            Hosts::Loopback => "loopback, for tests",
        };
        f.debug_struct("EndpointPolicy")
            .field("hosts", &hosts)
            .field("ports", &self.ports)
            .field("origins", &self.origins)
            .finish_non_exhaustive()
    }
}

/// The rule of an [`EndpointPolicy`] that an endpoint breaks.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// The host is not one of those that the policy names.
    #[error("the endpoint's host is not one of the allowed push services")]
    HostNotAllowed,
    /// The host is an IP address.
    #[error("the endpoint's host is an IP address, not a name")]
    IpLiteral,
    /// The host is a local or reserved name.
    #[error("the endpoint's host is a local or reserved name")]
    LocalName,
    /// The scheme is http (H-2).
    #[error("the endpoint is not https")]
    NotHttps,
    /// The host is not a loopback address, and the policy is the one for tests.
    #[error("the endpoint is not on this machine, and the policy for tests allows nothing else")]
    NotLoopback,
    /// The port is not one of those that the policy names.
    #[error("the endpoint's port is not allowed")]
    Port,
}

fn check_loopback(endpoint: &Endpoint) -> Result<(), PolicyError> {
    let loopback = match endpoint.ip_literal() {
        Some(address) => AddressPolicy::loopback_for_tests().allows(address),
        None => endpoint.host() == "localhost",
    };
    if loopback { Ok(()) } else { Err(PolicyError::NotLoopback) }
}

/// S-1: a dotted name outside the special-use domains.
fn check_public_name(name: &str) -> Result<(), PolicyError> {
    let local =
        |suffix: &str| name.strip_suffix(suffix).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    if !name.contains('.') || LOCAL_SUFFIXES.into_iter().any(local) {
        return Err(PolicyError::LocalName);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(policy: &EndpointPolicy, url: &str) -> Result<(), PolicyError> {
        policy.check(&url.parse().expect(url))
    }

    #[test]
    fn the_public_policy_refuses_what_is_not_a_public_push_service() {
        let policy = EndpointPolicy::public_internet();
        for (url, error) in [
            ("http://push.example.net/", PolicyError::NotHttps),
            ("https://127.0.0.1/", PolicyError::IpLiteral),
            ("https://[::ffff:169.254.169.254]/", PolicyError::IpLiteral),
            ("https://8.8.8.8/", PolicyError::IpLiteral),
            ("https://localhost/", PolicyError::LocalName),
            ("https://localhost./", PolicyError::LocalName),
            ("https://a.localhost/", PolicyError::LocalName),
            ("https://metadata.google.internal/", PolicyError::LocalName),
            ("https://printer.local/", PolicyError::LocalName),
            ("https://x.home.arpa/", PolicyError::LocalName),
            ("https://intranet/", PolicyError::LocalName),
            ("https://push.example.net:22/", PolicyError::Port),
            ("https://permanently-removed.invalid/fcm/send/x", PolicyError::LocalName),
        ] {
            assert_eq!(check(&policy, url), Err(error), "{url}");
        }
        assert_eq!(check(&policy, "https://push.example.net/p"), Ok(()));
        assert_eq!(check(&policy, "https://notlocal.example/p"), Ok(()));
        assert_eq!(check(&policy.with_port(8443), "https://push.example.net:8443/p"), Ok(()));
    }

    #[test]
    fn lists_and_predicates_narrow_the_public_policy() {
        let known = EndpointPolicy::known_vendors();
        assert_eq!(check(&known, "https://web.push.apple.com/x"), Ok(()));
        assert_eq!(check(&known, "https://push.example.net/x"), Err(PolicyError::HostNotAllowed));
        let mine = EndpointPolicy::custom(|host| host == "push.example.net");
        assert_eq!(check(&mine, "https://push.example.net/x"), Ok(()));
        assert_eq!(check(&mine, "https://web.push.apple.com/x"), Err(PolicyError::HostNotAllowed));
        let all = EndpointPolicy::custom(|_| true);
        assert_eq!(check(&all, "https://localhost/x"), Err(PolicyError::LocalName));
    }

    #[test]
    fn an_origin_of_ones_own_is_that_origin_and_no_other() {
        let origin = |url: &str| url.parse::<Endpoint>().expect(url).origin();
        let policy = EndpointPolicy::known_vendors()
            .with_origin(origin("https://push.corp.internal:8443"))
            .with_origin(origin("https://10.1.2.3"))
            .with_origin(origin("http://push.example.net"));
        for url in
            ["https://push.corp.internal:8443/x", "https://PUSH.corp.internal.:8443/x", "https://10.1.2.3/x"]
        {
            assert_eq!(check(&policy, url), Ok(()), "{url}");
        }
        for (url, error) in [
            ("http://push.corp.internal:8443/x", PolicyError::NotHttps),
            ("http://push.example.net/x", PolicyError::NotHttps),
            ("https://push.corp.internal/x", PolicyError::LocalName),
            ("https://a.push.corp.internal:8443/x", PolicyError::Port),
            ("https://web.push.apple.com:8443/x", PolicyError::Port),
            ("https://10.1.2.4/x", PolicyError::IpLiteral),
            ("https://[::ffff:10.1.2.3]/x", PolicyError::IpLiteral),
        ] {
            assert_eq!(check(&policy, url), Err(error), "{url}");
        }
        assert!(!policy.addresses().allows([10, 1, 2, 3].into()), "an origin is no address");
    }

    #[test]
    fn the_test_policy_admits_loopback_only() {
        let policy = EndpointPolicy::loopback_for_tests();
        for url in ["http://127.0.0.1:9/x", "https://[::1]:8443/x", "https://localhost:8443/x"] {
            assert_eq!(check(&policy, url), Ok(()), "{url}");
        }
        for url in ["https://push.example.net/x", "http://10.0.0.1/x", "https://[::ffff:127.0.0.1]/x"] {
            assert_eq!(check(&policy, url), Err(PolicyError::NotLoopback), "{url}");
        }
    }
}
