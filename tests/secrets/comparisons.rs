//! How secrets are compared: in constant time, or not at all (E-12).

use std::fs;
use std::path::Path;

use static_assertions::{assert_impl_all, assert_not_impl_any};
use webpush_channels::engine::vapid::{SecretOctets, SecretText, TopicKey, Vapid, VapidKey};
use webpush_channels::testing::UserAgent;
use webpush_channels::{AuthSecret, PublicKey, SubscriptionKeys};

use crate::world::World;

// Whoever compares these has to take the octets out and to think.
assert_not_impl_any!(SecretOctets: PartialEq, PartialOrd, std::hash::Hash);
assert_not_impl_any!(SecretText: PartialEq, PartialOrd, std::hash::Hash);
assert_not_impl_any!(TopicKey: PartialEq, PartialOrd, std::hash::Hash);
assert_not_impl_any!(UserAgent: PartialEq, PartialOrd, std::hash::Hash);
assert_not_impl_any!(Vapid: PartialEq, PartialOrd, std::hash::Hash);
assert_not_impl_any!(VapidKey: PartialEq, PartialOrd, std::hash::Hash);
// An order, or a place in a table, would tell about the first octets.
assert_impl_all!(AuthSecret: Eq);
assert_not_impl_any!(AuthSecret: PartialOrd, std::hash::Hash);
assert_impl_all!(PublicKey: Eq);
assert_not_impl_any!(PublicKey: PartialOrd, std::hash::Hash);
assert_impl_all!(SubscriptionKeys: Eq);
assert_not_impl_any!(SubscriptionKeys: PartialOrd, std::hash::Hash);

/// Where secrets are compared: type, file, and what its `eq` is made of.
const COMPARED: [(&str, &str, &str); 3] = [
    ("AuthSecret", "src/subscription/keys.rs", "same(&self.0, &other.0)"),
    ("PublicKey", "src/subscription/keys.rs", "same(&self.0, &other.0)"),
    (
        "SubscriptionKeys",
        "src/subscription/keys.rs",
        "(self.p256dh == other.p256dh) & (self.auth == other.auth)",
    ),
];

/// `==` of an array, `&&` and `derive` end at the first difference.
#[test]
fn no_comparison_of_keys_ends_early() {
    for (name, file, body) in COMPARED {
        let source = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap();
        let (_, after) = source.split_once(&format!("impl PartialEq for {name} {{")).expect(name);
        let (_, after) = after.split_once("-> bool {").unwrap();
        let (found, _) = after.split_once('}').unwrap();
        assert_eq!(found.trim(), body, "{name}");
    }
}

#[test]
fn every_bit_of_auth_counts() {
    let auth = AuthSecret::from_bytes([0x5a; 16]);
    assert_eq!(auth, auth.clone());
    for bit in 0..128 {
        let mut octets = [0x5a; 16];
        octets[bit / 8] ^= 1 << (bit % 8);
        assert_ne!(auth, AuthSecret::from_bytes(octets), "bit {bit}");
    }
}

/// Two differences must not cancel out.
#[test]
fn differences_add_up() {
    for (one, other) in [([1, 0], [0, 1]), ([0xff, 0], [0, 0xff]), ([0x80, 0x80], [0, 0])] {
        let secret = |two: [u8; 2]| {
            let mut octets = [7; 16];
            (octets[0], octets[15]) = two.into();
            AuthSecret::from_bytes(octets)
        };
        assert_ne!(secret(one), secret(other));
    }
}

#[test]
fn keys_differ_when_either_half_does() {
    let world = World::new();
    let keys = world.subscription.keys();
    // The negative of a point is one on the curve with the same first half.
    let mut negative = *keys.p256dh().as_bytes();
    let mut borrow = 0;
    for (at, prime) in (33..65).zip(PRIME).rev() {
        let difference = i16::from(prime) - i16::from(negative[at]) - borrow;
        borrow = i16::from(difference < 0);
        negative[at] = u8::try_from(difference.rem_euclid(256)).unwrap();
    }
    let other = PublicKey::from_bytes(&negative).unwrap();
    let auth = AuthSecret::from_bytes([0; 16]);
    let of = |p256dh: &PublicKey, auth: &AuthSecret| SubscriptionKeys::new(p256dh.clone(), auth.clone());
    assert_eq!(of(keys.p256dh(), keys.auth()), *keys);
    assert_ne!(of(&other, keys.auth()), *keys);
    assert_ne!(of(keys.p256dh(), &auth), *keys);
    assert_ne!(of(&other, &auth), *keys);
}

/// Of the field of P-256 (FIPS 186-4 D.1.2.3).
const PRIME: [u8; 32] = {
    let mut prime = [0; 32];
    let mut at = 0;
    while at < 32 {
        prime[at] = match at {
            0..4 | 20..32 => 0xff,
            7 => 1,
            _ => 0,
        };
        at += 1;
    }
    prime
};

/// The driver of PostgreSQL logs parameters: what takes some goes through `db.rs`, which hides them (S-12).
#[test]
fn no_statement_shows_its_parameters() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store/postgres");
    let (mut read, mut found) = (0, Vec::new());
    crate::coverage::for_each_source(&directory, &mut |source| {
        read += 1;
        if source.contains("struct Quiet<") {
            return;
        }
        let calls = [
            ".query(",
            ".query_one(",
            ".query_opt(",
            ".query_raw(",
            ".query_typed",
            ".execute(",
            ".execute_raw(",
        ];
        for line in source.lines() {
            let bare = line.contains("&[])") || line.contains("pg_advisory_xact_lock($1)");
            if !bare && calls.iter().any(|call| line.contains(call)) {
                found.push(line.trim().to_owned());
            }
        }
    });
    assert!(read > 20, "{read} files");
    assert!(found.is_empty(), "use query and execute of db.rs: {found:?}");
}
