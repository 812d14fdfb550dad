//! Addresses by other means than the library's, to be compared with it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether a connection may go to an address (S-4): the registries of RFC 6890, asked one by one.
#[must_use]
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let this_network = a == 0;
    let shared = a == 100 && (64..128).contains(&b);
    let assignments = [a, b, c] == [192, 0, 0];
    let relay_of_6to4 = [a, b, c] == [192, 88, 99];
    let benchmarks = a == 198 && (b == 18 || b == 19);
    let reserved = a >= 240;
    // Whoever runs Azure's virtual machines, which answers them alone.
    let platform = address == Ipv4Addr::new(168, 63, 129, 16);
    !(address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_documentation()
        || address.is_multicast()
        || address.is_broadcast()
        || address.is_unspecified()
        || this_network
        || shared
        || assignments
        || relay_of_6to4
        || benchmarks
        || reserved
        || platform)
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let number = u128::from(address);
    let within = |network: &str, length: u32| {
        let network: Ipv6Addr = network.parse().expect("written here");
        (number ^ u128::from(network)) >> (128 - length) == 0
    };
    // Whatever embeds an IPv4 address lies outside 2000::/3, or is named here.
    let special = [("2001::", 23), ("2001:db8::", 32), ("2002::", 16), ("3fff::", 20)];
    within("2000::", 3) && !special.into_iter().any(|(network, length)| within(network, length))
}

/// The address that some resolver or URL parser takes a host for: `inet_aton`'s one to four numbers, each decimal,
/// octal or hexadecimal, with any number of dots at the end; or IPv6 in brackets (S-5).
#[must_use]
pub fn as_address(host: &str) -> Option<IpAddr> {
    if let Some(v6) = host.strip_prefix('[') {
        return v6.trim_end_matches(']').parse().ok().map(IpAddr::V6);
    }
    let parts: Vec<u64> = host.trim_end_matches('.').split('.').map(number).collect::<Option<_>>()?;
    let (last, first) = parts.split_last()?;
    if first.len() > 3 || first.iter().any(|part| *part > 255) {
        return None;
    }
    let high = first.iter().fold(0, |high, part| high << 8 | part);
    let bits = 8 * (4 - first.len());
    let number = (*last < 1 << bits).then(|| high << bits | last)?;
    u32::try_from(number).ok().map(|number| Ipv4Addr::from(number).into())
}

fn number(text: &str) -> Option<u64> {
    let lower = text.to_ascii_lowercase();
    let (digits, radix) = match (lower.strip_prefix("0x"), lower.strip_prefix('0')) {
        (Some(hex), _) => (hex, 16),
        (None, Some(octal)) if !octal.is_empty() => (octal, 8),
        _ => (lower.as_str(), 10),
    };
    let plain = digits.bytes().all(|octet| octet.is_ascii_alphanumeric());
    // Some take `0x` alone for zero.
    if digits.is_empty() && radix == 16 {
        Some(0)
    } else {
        u64::from_str_radix(digits, radix).ok().filter(|_| plain)
    }
}
