//! What is erased when it is dropped, and what is not (the table of docs/security.md).

use static_assertions::assert_impl_all;
use webpush_channels::AuthSecret;
use webpush_channels::engine::vapid::{SecretOctets, SecretText, TopicKey, VapidKey};
use webpush_channels::testing::UserAgent;
use zeroize::ZeroizeOnDrop;

// Those of private modules are asserted in src/engine/encryption/vectors.rs.
assert_impl_all!(AuthSecret: ZeroizeOnDrop);
assert_impl_all!(SecretOctets: ZeroizeOnDrop);
assert_impl_all!(SecretText: ZeroizeOnDrop);
assert_impl_all!(TopicKey: ZeroizeOnDrop);
assert_impl_all!(UserAgent: ZeroizeOnDrop);
assert_impl_all!(VapidKey: ZeroizeOnDrop);

/// The manual names each type that this file asserts, and this file each that the manual names.
#[test]
fn the_manual_lists_exactly_what_is_wiped() {
    let manual = include_str!("../../docs/security.md");
    let (_, after) = manual.split_once("Wiped on drop: ").expect("the list is there");
    let (listed, _) = after.split_once('.').expect("it is a sentence");
    let mut listed: Vec<&str> = listed.split('`').skip(1).step_by(2).collect();
    listed.sort_unstable();
    let asserted = include_str!("wiped.rs").lines().filter_map(|line| {
        let line = line.strip_prefix("assert_impl_all!(")?;
        line.split_once(": ZeroizeOnDrop").map(|(name, _)| name)
    });
    assert_eq!(listed, asserted.collect::<Vec<_>>());
}
