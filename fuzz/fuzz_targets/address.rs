//! What a name server answers: never more is allowed than another reading of the registries allows (S-4).
#![no_main]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use libfuzzer_sys::fuzz_target;
use webpush_channels::AddressPolicy;
use webpush_channels_fuzz::is_public;

fuzz_target!(|data: &[u8]| {
    let Some(v4) = data.first_chunk::<4>() else { return };
    check(Ipv4Addr::from(*v4).into());
    if let Some(v6) = data.first_chunk::<16>() {
        check(Ipv6Addr::from(*v6).into());
    }
    let v4 = Ipv4Addr::from(*v4);
    let [a, b, c, d] = v4.octets().map(u16::from);
    let (high, low) = (a << 8 | b, c << 8 | d);
    // Ways to write an IPv4 address as IPv6: none is a way around.
    for disguise in [
        v4.to_ipv6_mapped(),
        v4.to_ipv6_compatible(),
        Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, high, low),
        Ipv6Addr::new(0x64, 0xff9b, 1, 0, 0, 0, high, low),
        Ipv6Addr::new(0x2002, high, low, 0, 0, 0, 0, 1),
        Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, !high, !low),
    ] {
        assert!(!AddressPolicy::public().allows(disguise.into()), "{disguise}");
        check(disguise.into());
    }
    if let Some((network, prefix)) = data.get(16..33).and_then(<[u8]>::split_last_chunk::<1>) {
        check_networks(data, network, prefix[0]);
    }
});

/// What an operator names is allowed or refused by its first bits, in its own family.
fn check_networks(data: &[u8], octets: &[u8], prefix: u8) {
    let v4 = |octets: &[u8]| IpAddr::from(*octets.first_chunk::<4>().expect("there are sixteen"));
    let v6 = |octets: &[u8]| IpAddr::from(*octets.first_chunk::<16>().expect("there are sixteen"));
    for (address, network, length) in [(v4(data), v4(octets), 32), (v6(data), v6(octets), 128)] {
        let within = starts_alike(data, octets, prefix.min(length));
        let allows = |policy: AddressPolicy| policy.allows(address);
        let public = is_public(address);
        let with = AddressPolicy::public().with_network(network, prefix);
        let without = AddressPolicy::public().without_network(network, prefix);
        assert_eq!(allows(with.clone()), public || within, "{address} in {network}/{prefix}");
        assert_eq!(allows(without), public && !within, "{address} in {network}/{prefix}");
        assert!(!(within && allows(with.without_network(network, prefix))), "what is refused wins");
    }
    let mixed = AddressPolicy::public().with_network(v4(octets), prefix);
    assert_eq!(mixed.allows(v6(data)), is_public(v6(data)), "an IPv4 network holds no IPv6 address");
}

fn starts_alike(one: &[u8], other: &[u8], bits: u8) -> bool {
    let bit = |octets: &[u8], at: u8| octets[usize::from(at / 8)] >> (7 - at % 8) & 1;
    (0..bits).all(|at| bit(one, at) == bit(other, at))
}

fn check(address: IpAddr) {
    assert_eq!(AddressPolicy::public().allows(address), is_public(address), "{address}");
    assert_eq!(AddressPolicy::loopback_for_tests().allows(address), address.is_loopback(), "{address}");
}
