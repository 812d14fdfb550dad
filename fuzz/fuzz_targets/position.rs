//! Positions and ranges as they come back from a database or a caller: damaged, foreign, or forged with a right check.
//!
//! Input: whether to forge (an octet), then the octets.
#![no_main]

use std::num::NonZeroU16;

use libfuzzer_sys::fuzz_target;
use sha2::{Digest, Sha256};
use webpush_channels::store::{Audience, MemoryStore, NewEntry, Position, Range, SubscriptionStore};
use webpush_channels::testing::UserAgent;
use webpush_channels::{ChannelName, UserId};
use webpush_channels_fuzz::{Fields, Served, whole};

/// What kind of octets they are, and whose.
const HEAD: usize = 9;
const CHECK: usize = 4;
const LIMIT: NonZeroU16 = NonZeroU16::new(3).expect("not zero");
const TAG: [u8; 8] = *b"a store.";

thread_local! {
    static STORE: Served<World> = const { Served::new(u32::MAX, |runtime| runtime.block_on(World::new())) };
}

/// A store with ten entries of five users in one channel.
struct World {
    store: MemoryStore,
    audience: Audience,
    range: Range,
    position: Position,
}

fuzz_target!(|data: &[u8]| {
    let mut fields = Fields::new(data);
    let mode = fields.octet();
    let octets = fields.rest();
    check_octets(octets);
    check_numbers(octets);
    STORE.with(|store| store.with(|world, runtime| runtime.block_on(world.attack(mode, octets))));
});

fn check_octets(octets: &[u8]) {
    match Position::from_bytes(octets) {
        Ok(position) => {
            assert_eq!(position.as_bytes(), octets);
            assert!(Range::from_bytes(octets).is_err(), "a position is no range");
            let _ = (position.decode::<0>(TAG), position.decode::<2>(TAG), position.decode::<6>(TAG));
        }
        Err(error) => drop(whole(&error)),
    }
    if let Ok(range) = Range::from_bytes(octets) {
        assert_eq!(range.as_bytes(), octets);
        let _ = (range.decode::<0>(TAG), range.decode::<3>(TAG), range.decode::<6>(TAG));
    }
}

fn check_numbers(octets: &[u8]) {
    let mut fields = Fields::new(octets);
    let numbers: [u64; Range::MAX_FIELDS] = std::array::from_fn(|_| fields.number());
    let range = Range::encode(TAG, numbers);
    let again = Range::from_bytes(range.as_bytes()).expect("what was written can be read");
    assert_eq!((again, again.decode(TAG)), (range, Ok(numbers)));
    assert!(again.decode::<1>(TAG).is_err() && again.decode::<{ Range::MAX_FIELDS }>(*b"another.").is_err());
    let mut damaged = range.as_bytes().to_vec();
    let at = usize::from(fields.octet()) % damaged.len();
    damaged[at] ^= fields.octet().max(1);
    assert!(Range::from_bytes(&damaged).is_err(), "damage is noticed");
}

impl World {
    async fn new() -> Self {
        let (store, channel) = (MemoryStore::new(), ChannelName::new("news").expect("a name"));
        for number in 0..10_u64 {
            let user = UserId::new(format!("user {}", number / 2)).expect("a name");
            let endpoint = format!("https://push.example.net/{number}").parse().expect("a URL");
            let new = NewEntry::new(user.clone(), UserAgent::seeded(number).subscribe(endpoint));
            store.put(&[new]).await.expect("memory takes it");
            store.join(&channel, &[user]).await.expect("memory takes it");
        }
        let audience = Audience::Channel(channel);
        let range = store.split(&audience, NonZeroU16::MIN).await.expect("a channel can be cut")[0];
        let page = store.page(&audience, &range, None, LIMIT).await.expect("the range is the store's");
        let position = page.next.expect("there are more than three");
        Self { store, audience, range, position }
    }

    /// Octets with the tag and the check of this store, and other numbers in them.
    async fn attack(&self, mode: u8, octets: &[u8]) {
        let (mut range, mut after) = (self.range, None);
        if mode & 1 != 0 {
            let Ok(forged) = Range::from_bytes(&forge(self.range.as_bytes(), octets)) else { return };
            range = forged;
        }
        if mode & 2 != 0 {
            let Ok(forged) = Position::from_bytes(&forge(self.position.as_bytes(), octets)) else { return };
            after = Some(forged);
        }
        match self.store.page(&self.audience, &range, after.as_ref(), LIMIT).await {
            Ok(page) => assert!(page.entries.len() <= LIMIT.get().into()),
            Err(error) => drop(whole(&error)),
        }
        match self.store.needing_renewal(after.as_ref(), LIMIT).await {
            Ok(page) => assert!(page.entries.is_empty(), "nothing is marked"),
            Err(error) => drop(whole(&error)),
        }
    }
}

/// The head of a token, other numbers, and a check that is right.
fn forge(token: &[u8], numbers: &[u8]) -> Vec<u8> {
    let mut forged = token[..token.len() - CHECK].to_vec();
    for (octet, other) in forged[HEAD..].iter_mut().zip(numbers) {
        *octet ^= other;
    }
    let check = Sha256::digest(&forged);
    forged.extend_from_slice(&check[..CHECK]);
    forged
}
