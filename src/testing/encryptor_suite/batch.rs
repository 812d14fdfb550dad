//! One message for several subscriptions.

use super::{Message, Receiver, assert_fresh, octets, plaintext};
use crate::engine::encryption::{EncryptError, Encryptor, Lane};
use crate::message::Payload;
use crate::subscription::SubscriptionKeys;

/// More than eight, the widest batch of known hardware, and no multiple of it.
const RECEIVERS: usize = 19;

/// Every lane gets a result and a body for its own receiver, whatever it held before; a batch of
/// none is fine.
pub fn a_batch_fills_every_lane(encryptor: &dyn Encryptor) {
    let (receivers, keys) = receivers();
    for count in [0, 1, 2, 7, 8, 9, RECEIVERS] {
        let mut lanes = lanes(&keys[..count]);
        encryptor.encrypt_batch(&plaintext(100), &mut lanes);
        for (at, (lane, receiver)) in lanes.iter().zip(&receivers).enumerate() {
            let Some(Ok(encoded)) = &lane.result else { panic!("lane {at} of {count}: {lane:?}") };
            assert_eq!(receiver.open(encoded, &lane.out), Ok(octets(100)), "lane {at} of {count}");
        }
    }
}

/// A fresh key pair and a fresh random salt for each lane, also where two have the same receiver
/// (E-38).
pub fn every_lane_has_its_own_key_and_salt(encryptor: &dyn Encryptor) {
    let (_, mut keys) = receivers();
    keys[7] = keys[0].clone();
    let mut messages = Vec::new();
    for _ in 0..2 {
        let mut lanes = lanes(&keys);
        encryptor.encrypt_batch(&plaintext(9), &mut lanes);
        messages.extend(lanes.into_iter().map(message));
    }
    assert_fresh(&messages);
}

/// More than the limit is refused in every lane, and leaves every buffer empty (E-27). Says
/// nothing about an encryptor that takes all that a plaintext can hold.
pub fn a_batch_refuses_too_much_in_every_lane(encryptor: &dyn Encryptor) {
    let (_, keys) = receivers();
    let len = encryptor.max_plaintext_len() + 1;
    if len > Payload::MAX_LEN {
        return;
    }
    let mut lanes = lanes(&keys);
    encryptor.encrypt_batch(&plaintext(len), &mut lanes);
    for (at, lane) in lanes.iter().enumerate() {
        let refused = matches!(lane.result, Some(Err(EncryptError::TooLarge { .. })));
        assert!(refused && lane.out.is_empty(), "lane {at}: {lane:?}");
    }
}

/// What is in a lane after its batch.
fn message(lane: Lane<'_>) -> Message {
    let Some(Ok(encoded)) = lane.result else { panic!("a lane failed: {lane:?}") };
    Message { encoded, body: lane.out }
}

fn receivers() -> (Vec<Receiver>, Vec<SubscriptionKeys>) {
    let receivers: Vec<_> = (0..RECEIVERS).map(|_| Receiver::new()).collect();
    let keys = receivers.iter().map(Receiver::keys).collect();
    (receivers, keys)
}

/// Lanes that hold what an earlier batch left.
fn lanes(keys: &[SubscriptionKeys]) -> Vec<Lane<'_>> {
    let used = |(at, to)| {
        let mut lane = Lane::new(to);
        lane.out = vec![0xAA; at * 400];
        lane.result = Some(Err(EncryptError::Key));
        lane
    };
    keys.iter().enumerate().map(used).collect()
}
