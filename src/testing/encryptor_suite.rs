//! The conformance suite of [`Encryptor`]: one function per behaviour of its contract, and
//! [`encryptor_suite!`](crate::encryptor_suite) to run them all as tests.
//!
//! Each function panics when the behaviour is missing.
//!
//! ```
//! use webpush_channels::engine::encryption::RustCrypto;
//! use webpush_channels::testing::encryptor_suite;
//!
//! encryptor_suite::every_message_has_its_own_key_and_salt(&RustCrypto::new());
//!
//! // In the tests of an encryptor, each behaviour a test:
//! mod rustcrypto {
//!     webpush_channels::encryptor_suite!(super::RustCrypto::new());
//! }
//! ```

#![allow(clippy::missing_panics_doc, reason = "to panic is what a behaviour is for")]

mod batch;
mod message;

pub use self::batch::{
    a_batch_fills_every_lane, a_batch_refuses_too_much_in_every_lane, every_lane_has_its_own_key_and_salt,
};
pub use self::message::{
    a_receiver_reads_what_was_sent, an_empty_message_is_encrypted_or_refused,
    every_message_has_its_own_key_and_salt, secrets_stay_out_of_debug, the_body_has_the_padded_length,
    the_body_is_one_record, the_limit_is_usable, threads_share_no_key_and_no_salt, too_much_is_refused,
    what_was_in_the_buffer_is_gone,
};

use super::{DecryptError, UserAgent as Receiver};
use crate::engine::encryption::{Encoded, Encryptor, Plaintext};
use crate::message::{Padding, Payload};

/// Runs the conformance suite of [`Encryptor`] on the value of an expression, as one `#[test]` per
/// behaviour; put it into a module of its own.
///
/// It is for every coding: a message is opened in the one that the encryptor says it is in.
/// `encryptor_suite!(pads by its own rule: ...)` is for an encryptor that does not follow
/// [`Plaintext::padded_len`] and says so in its documentation.
#[macro_export]
macro_rules! encryptor_suite {
    (@tests $encryptor:expr; $($behaviour:ident)+) => {$(
        #[test]
        fn $behaviour() {
            $crate::testing::encryptor_suite::$behaviour(&$encryptor);
        }
    )+};
    (pads by its own rule: $encryptor:expr) => {
        $crate::encryptor_suite! {
            @tests $encryptor;
            a_batch_fills_every_lane
            a_batch_refuses_too_much_in_every_lane
            a_receiver_reads_what_was_sent
            an_empty_message_is_encrypted_or_refused
            every_lane_has_its_own_key_and_salt
            every_message_has_its_own_key_and_salt
            secrets_stay_out_of_debug
            the_body_is_one_record
            the_limit_is_usable
            threads_share_no_key_and_no_salt
            too_much_is_refused
            what_was_in_the_buffer_is_gone
        }
    };
    ($encryptor:expr) => {
        $crate::encryptor_suite!(pads by its own rule: $encryptor);
        $crate::encryptor_suite!(@tests $encryptor; the_body_has_the_padded_length);
    };
}

/// A plaintext of this many octets, without padding.
fn plaintext(len: usize) -> Plaintext {
    padded(len, Padding::None, Payload::MAX_LEN)
}

fn padded(len: usize, padding: Padding, limit: usize) -> Plaintext {
    Plaintext::new(&Payload::new(octets(len)).expect("fits"), padding, limit).expect("fits")
}

/// Octets that end in zeros, like padding, and repeat nothing of 128 octets.
fn octets(len: usize) -> Vec<u8> {
    (0..len).map(|at| if at + 3 > len { 0 } else { u8::try_from(at % 251).expect("below 251") }).collect()
}

/// Lengths where an off-by-one would show: small ones, around multiples of 128, the limit.
fn lengths(limit: usize) -> Vec<usize> {
    let around = |at: usize| [at - 1, at, at + 1];
    let mut lengths = vec![1, 2, 3, 15, 16, 17, 86, 103];
    lengths.extend([1, 2, 4, 8, 16, 30, 31].into_iter().flat_map(|block| around(block * 128)));
    lengths.extend([limit - 1, limit]);
    lengths.retain(|len| (1..=limit).contains(len));
    lengths
}

/// What an encryptor wrote for one receiver.
struct Message {
    encoded: Encoded,
    body: Vec<u8>,
}

impl Message {
    fn open(&self, receiver: &Receiver) -> Result<Vec<u8>, DecryptError> {
        receiver.open(&self.encoded, &self.body)
    }

    /// In the body (RFC 8188 section 2.1), or beside it (E-53).
    fn salt(&self) -> [u8; 16] {
        match self.encoded {
            Encoded::Aes128Gcm => self.body[..16].try_into().expect("a body begins with 16 octets of salt"),
            Encoded::AesGcm { salt, .. } => salt,
        }
    }

    /// The sender's public key: in the body (RFC 8291 section 4), or beside it (E-53).
    fn key(&self) -> [u8; 65] {
        match self.encoded {
            Encoded::Aes128Gcm => self.body[21..86].try_into().expect("a body names a key of 65 octets"),
            Encoded::AesGcm { dh, .. } => dh,
        }
    }
}

/// Encrypts for one receiver.
fn message(encryptor: &dyn Encryptor, to: &Receiver, plaintext: &Plaintext) -> Message {
    let mut body = Vec::new();
    let encoded = encryptor.encrypt(&to.keys(), plaintext, &mut body);
    Message { encoded: encoded.expect("encrypts what is within its limit"), body }
}

/// Panics when a key or a salt occurs twice (E-38), or when salts are not random (E-33).
fn assert_fresh(messages: &[Message]) {
    use std::collections::HashSet;

    let keys: HashSet<_> = messages.iter().map(Message::key).collect();
    assert_eq!(keys.len(), messages.len(), "a sender's key was used twice");
    let salts: Vec<_> = messages.iter().map(Message::salt).collect();
    assert_eq!(salts.iter().collect::<HashSet<_>>().len(), messages.len(), "a salt was used twice");
    for at in 0..16 {
        // By chance that is one in 256 to the power of the number of messages less one.
        let same = salts.iter().all(|salt| salt[at] == salts[0][at]);
        assert!(!same, "octet {at} of the salt never changes: not random");
    }
}
