//! Which IP addresses may be connected to (S-4).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Which IP addresses a connection may go to.
///
/// An endpoint is a URL that a stranger chose, so its name may resolve to anything: the check
/// belongs on every resolved address, at connect time (S-3, S-4). A connector refuses the whole
/// answer when [`allows`](Self::allows) is false for one address of it.
///
/// ```
/// use std::net::IpAddr;
/// use webpush_channels::AddressPolicy;
///
/// let policy = AddressPolicy::public();
/// assert!(policy.allows("142.250.74.42".parse().unwrap()));
/// for inside in ["127.0.0.1", "169.254.169.254", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe"] {
///     assert!(!policy.allows(inside.parse::<IpAddr>().unwrap()), "{inside}");
/// }
///
/// // A push service of one's own, and what must not be reached although it is public.
/// let ours = policy.with_network([10, 1, 2, 3].into(), 32).without_network([1, 1, 1, 0].into(), 24);
/// assert!(ours.allows([10, 1, 2, 3].into()) && !ours.allows([10, 1, 2, 4].into()));
/// assert!(!ours.allows([1, 1, 1, 1].into()));
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AddressPolicy {
    kind: Kind,
    allowed: Vec<Network>,
    denied: Vec<Network>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    Public,
    Loopback,
}

impl AddressPolicy {
    /// Public addresses only: none that is private, link-local, loopback, multicast, reserved,
    /// or that embeds an IPv4 address (mapped, NAT64, 6to4, Teredo).
    ///
    /// What only the network knows, it cannot: a NAT64 prefix of its own (RFC 6052 section 2.2), or public
    /// addresses that lead inside. [`without_network`](Self::without_network) names those.
    #[must_use]
    pub const fn public() -> Self {
        Self::of(Kind::Public)
    }

    /// Loopback addresses only: for tests against a push service on this machine.
    #[must_use]
    pub const fn loopback_for_tests() -> Self {
        Self::of(Kind::Loopback)
    }

    const fn of(kind: Kind) -> Self {
        Self { kind, allowed: Vec::new(), denied: Vec::new() }
    }

    /// The same policy, which also allows the addresses that have the first `prefix` bits of
    /// `address`: a private push service.
    ///
    /// Whoever registers a subscription chooses the name, and any name can be made to resolve to
    /// these addresses. So name the one address (a prefix of 32 or 128; more means the same) rather
    /// than its network.
    #[must_use]
    pub fn with_network(mut self, address: IpAddr, prefix: u8) -> Self {
        self.allowed.push(Network::new(address, prefix));
        self
    }

    /// The same policy without the addresses that have the first `prefix` bits of `address`,
    /// whatever else allows them.
    #[must_use]
    pub fn without_network(mut self, address: IpAddr, prefix: u8) -> Self {
        self.denied.push(Network::new(address, prefix));
        self
    }

    /// Whether a connection to `address` is allowed.
    #[must_use]
    pub fn allows(&self, address: IpAddr) -> bool {
        let within = |networks: &[Network]| networks.iter().any(|network| network.contains(address));
        if within(&self.denied) {
            return false;
        }
        within(&self.allowed) || self.is_of_kind(address)
    }

    fn is_of_kind(&self, address: IpAddr) -> bool {
        match (self.kind, address) {
            (Kind::Loopback, address) => address.is_loopback(),
            (Kind::Public, IpAddr::V4(address)) => is_public_v4(address),
            (Kind::Public, IpAddr::V6(address)) => is_public_v6(address),
        }
    }
}

/// The addresses that begin with the same bits. An IPv4 network holds no mapped addresses.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Network {
    address: IpAddr,
    prefix: u8,
}

impl Network {
    fn new(address: IpAddr, prefix: u8) -> Self {
        Self { address, prefix: prefix.min(if address.is_ipv4() { 32 } else { 128 }) }
    }

    fn contains(self, address: IpAddr) -> bool {
        // A prefix of 0 shifts everything out.
        let rest = 128 - u32::from(self.prefix);
        self.address.is_ipv4() == address.is_ipv4()
            && (bits(self.address) ^ bits(address)).checked_shr(rest).is_none_or(|differing| differing == 0)
    }
}

/// Its bits, at the upper end.
fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(u32::from(address)) << 96,
        IpAddr::V6(address) => u128::from(address),
    }
}

/// Address and prefix length of each blocked IPv4 network (S-4, from RFC 6890; 168.63.129.16 is
/// the platform that runs Azure's virtual machines, which answers them and nobody else).
const BLOCKED_V4: [([u8; 4], u32); 16] = [
    ([0, 0, 0, 0], 8),
    ([10, 0, 0, 0], 8),
    ([100, 64, 0, 0], 10),
    ([127, 0, 0, 0], 8),
    ([168, 63, 129, 16], 32),
    ([169, 254, 0, 0], 16),
    ([172, 16, 0, 0], 12),
    ([192, 0, 0, 0], 24),
    ([192, 0, 2, 0], 24),
    ([192, 88, 99, 0], 24),
    ([192, 168, 0, 0], 16),
    ([198, 18, 0, 0], 15),
    ([198, 51, 100, 0], 24),
    ([203, 0, 113, 0], 24),
    ([224, 0, 0, 0], 4),
    ([240, 0, 0, 0], 4),
];

fn is_public_v4(address: Ipv4Addr) -> bool {
    let bits = u32::from(address);
    !BLOCKED_V4.iter().any(|&(network, prefix)| {
        let mask = u32::MAX << (32 - prefix);
        bits & mask == u32::from(Ipv4Addr::from(network))
    })
}

/// S-4: inside `2000::/3` and outside the special blocks in it. The one rule also keeps out the
/// mapped, compatible, NAT64, unique-local, link-local and multicast forms.
fn is_public_v6(address: Ipv6Addr) -> bool {
    let [a, b, ..] = address.segments();
    let global_unicast = a & 0xe000 == 0x2000;
    let special = match a {
        0x2001 => b < 0x0200 || b == 0x0db8, // 2001::/23: protocol assignments, Teredo; documentation
        0x2002 => true,                      // 6to4
        0x3fff => b < 0x1000,                // 3fff::/20: documentation
        _ => false,
    };
    global_unicast && !special
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_edges_of_blocked_networks_are_exact() {
        let policy = AddressPolicy::public();
        let allowed = [
            "100.63.255.255",
            "100.128.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "223.255.255.255",
            "198.17.255.255",
            "198.20.0.0",
            "2001:200::1",
            "2606:4700::1111",
            "3fff:1000::1",
        ];
        let blocked = [
            "0.0.0.0",
            "10.255.255.255",
            "100.64.0.0",
            "127.255.255.255",
            "168.63.129.16",
            "172.31.255.255",
            "192.88.99.1",
            "198.19.255.255",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::127.0.0.1",
            "::ffff:8.8.8.8",
            "64:ff9b::808:808",
            "2001::1",
            "2001:1ff::1",
            "2001:db8::1",
            "2002:7f00:1::1",
            "3fff:fff::1",
            "fc00::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "4000::1",
        ];
        for address in allowed {
            assert!(policy.allows(address.parse().unwrap()), "{address}");
        }
        for address in blocked {
            assert!(!policy.allows(address.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn the_test_policy_admits_loopback_and_nothing_else() {
        let policy = AddressPolicy::loopback_for_tests();
        assert!(policy.allows("127.0.0.9".parse().unwrap()) && policy.allows("::1".parse().unwrap()));
        assert!(!policy.allows("8.8.8.8".parse().unwrap()));
        assert!(!policy.allows("10.0.0.1".parse().unwrap()));
    }

    #[test]
    fn a_network_is_exact_and_denial_wins() {
        let network =
            |address: &str, prefix| AddressPolicy::public().with_network(address.parse().unwrap(), prefix);
        let allows = |policy: &AddressPolicy, address: &str| policy.allows(address.parse().unwrap());
        for (policy, inside, outside) in [
            (network("10.1.2.3", 32), "10.1.2.3", "10.1.2.4"),
            (network("10.1.2.3", 255), "10.1.2.3", "10.1.2.2"),
            (network("10.1.2.3", 8), "10.255.255.255", "172.16.0.1"),
            (network("172.16.0.0", 12), "172.31.255.255", "10.0.0.1"),
            (network("10.1.2.3", 32), "10.1.2.3", "::ffff:10.1.2.3"),
            (network("0.0.0.0", 0), "127.0.0.1", "::1"),
            (network("fd00::7", 128), "fd00::7", "fd00::8"),
            (network("fd00::", 8), "fdff::1", "fc00::1"),
            (network("::", 0), "::1", "127.0.0.1"),
        ] {
            assert!(allows(&policy, inside) && !allows(&policy, outside), "{policy:?}");
            assert!(allows(&policy, "8.8.8.8"), "{policy:?}");
            let denied = policy.clone().without_network(inside.parse().unwrap(), 128);
            assert!(!allows(&denied, inside), "{denied:?}");
        }
        let own = AddressPolicy::public().without_network("2001:4860::".parse().unwrap(), 32);
        assert!(!allows(&own, "2001:4860:4860::8888") && allows(&own, "2001:4861::1"));
    }
}
