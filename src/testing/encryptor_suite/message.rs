//! One message.

use std::num::NonZeroU16;
use std::thread;

use super::{Receiver, assert_fresh, lengths, message, octets, padded, plaintext};
use crate::base64url;
use crate::engine::encryption::{Encoded, EncryptError, Encryptor, Plaintext};
use crate::message::{Padding, Payload};
use crate::subscription::PublicKey;

/// What was sent arrives, at every length, under the receiver's own keys (RFC 8291, E-51).
pub fn a_receiver_reads_what_was_sent(encryptor: &dyn Encryptor) {
    let (receiver, stranger) = (Receiver::new(), Receiver::new());
    for len in lengths(encryptor.max_plaintext_len()) {
        let message = message(encryptor, &receiver, &plaintext(len));
        assert_eq!(message.open(&receiver), Ok(octets(len)), "{len} octets");
        assert!(message.open(&stranger).is_err(), "another receiver read {len} octets");
    }
}

/// One record, in at most 4096 octets: after a header (E-20 to E-25), or in `aesgcm` alone and
/// shorter than the record size (E-52).
pub fn the_body_is_one_record(encryptor: &dyn Encryptor) {
    let receiver = Receiver::new();
    for len in lengths(encryptor.max_plaintext_len()) {
        let message = message(encryptor, &receiver, &plaintext(len));
        let body = &message.body;
        let (overhead, rs) = match message.encoded {
            Encoded::Aes128Gcm => {
                assert!(body.len() >= len + Plaintext::OVERHEAD, "{len} octets: the record is cut short");
                assert_eq!(body[20], 65, "{len} octets: idlen (E-23)");
                (86, u32::from_be_bytes(body[16..20].try_into().expect("four octets")))
            }
            Encoded::AesGcm { .. } => {
                assert!(body.len() >= len + 18, "{len} octets: the record is cut short");
                (16, 4096)
            }
        };
        assert!(body.len() <= 4096, "{len} octets made a body of {}", body.len());
        assert!(rs as usize > body.len() - overhead, "{len} octets: the record size is not larger (E-21)");
        assert!(PublicKey::from_bytes(&message.key()).is_ok(), "{len} octets: the sender's key (E-23)");
    }
}

/// The body is as long as the padding says, and the padding does not reach the reader (S-20).
pub fn the_body_has_the_padded_length(encryptor: &dyn Encryptor) {
    let receiver = Receiver::new();
    let limit = encryptor.max_plaintext_len();
    let buckets = |step| Padding::MultipleOf(NonZeroU16::new(step).expect("not zero"));
    for padding in [Padding::None, buckets(7), Padding::default(), buckets(4096), Padding::Fixed(4096)] {
        for len in lengths(limit).into_iter().step_by(5) {
            let plaintext = padded(len, padding, limit);
            let message = message(encryptor, &receiver, &plaintext);
            let expected = plaintext.padded_len() + Plaintext::OVERHEAD;
            assert_eq!(message.body.len(), expected, "{len}, {padding:?}");
            assert_eq!(message.open(&receiver), Ok(octets(len)), "{len}, {padding:?}");
        }
    }
}

/// A fresh key pair and a fresh random salt for each message, also for the same one to the same
/// subscription (E-30, E-33, E-38).
pub fn every_message_has_its_own_key_and_salt(encryptor: &dyn Encryptor) {
    let plaintext = plaintext(9);
    let (one, other) = (Receiver::new(), Receiver::new());
    let to = |at| if at % 3 == 0 { &other } else { &one };
    let messages: Vec<_> = (0..48).map(|at| message(encryptor, to(at), &plaintext)).collect();
    assert_fresh(&messages);
}

/// The same from several threads at once.
pub fn threads_share_no_key_and_no_salt(encryptor: &dyn Encryptor) {
    let (receiver, plaintext) = (Receiver::new(), plaintext(9));
    let work = || -> Vec<_> { (0..12).map(|_| message(encryptor, &receiver, &plaintext)).collect() };
    let messages: Vec<_> = thread::scope(|scope| {
        let workers: Vec<_> = (0..4).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("encrypts")).collect()
    });
    assert_fresh(&messages);
    assert!(messages.iter().all(|message| message.open(&receiver).is_ok()), "a body was mixed with another");
}

/// A reused buffer is cleared first.
pub fn what_was_in_the_buffer_is_gone(encryptor: &dyn Encryptor) {
    let receiver = Receiver::new();
    let mut out = Vec::new();
    for (left, len) in [(1, 100), (5000, 100), (5000, 3)] {
        out.clear();
        out.resize(left, 0xAA);
        let encoded = encryptor.encrypt(&receiver.keys(), &plaintext(len), &mut out).expect("encrypts");
        assert_eq!(receiver.open(&encoded, &out), Ok(octets(len)), "{left} octets were left in the buffer");
    }
}

/// [`Encryptor::max_plaintext_len`] is at most 3993, and that much is encrypted (E-25).
pub fn the_limit_is_usable(encryptor: &dyn Encryptor) {
    let (receiver, limit) = (Receiver::new(), encryptor.max_plaintext_len());
    assert!((2..=Payload::MAX_LEN).contains(&limit), "a limit of {limit} octets");
    let message = message(encryptor, &receiver, &plaintext(limit));
    assert_eq!(message.open(&receiver), Ok(octets(limit)));
}

/// More than the limit is a typed error that carries the limit, and leaves the buffer empty (E-27).
/// Says nothing about an encryptor that takes all that a [`Plaintext`] can hold.
pub fn too_much_is_refused(encryptor: &dyn Encryptor) {
    let limit = encryptor.max_plaintext_len();
    for len in [limit + 1, limit + 100, Payload::MAX_LEN] {
        if len <= limit || len > Payload::MAX_LEN {
            continue;
        }
        let mut out = b"left".to_vec();
        let refused = encryptor.encrypt(&Receiver::new().keys(), &plaintext(len), &mut out);
        let typed =
            matches!(refused, Err(EncryptError::TooLarge { len: l, limit: m }) if (l, m) == (len, limit));
        assert!(typed, "{len} octets: {refused:?}");
        assert!(out.is_empty(), "an error left {} octets in the buffer", out.len());
    }
}

/// Nothing at all makes a readable body, or [`EncryptError::Empty`] and an empty buffer (E-28).
pub fn an_empty_message_is_encrypted_or_refused(encryptor: &dyn Encryptor) {
    let receiver = Receiver::new();
    let mut out = b"left".to_vec();
    match encryptor.encrypt(&receiver.keys(), &plaintext(0), &mut out) {
        Ok(encoded) => assert_eq!(receiver.open(&encoded, &out), Ok(Vec::new())),
        Err(EncryptError::Empty) => assert!(out.is_empty(), "an error left something in the buffer"),
        Err(error) => panic!("an empty message: {error}"),
    }
}

/// Neither the message nor the receiver's secrets show in the encryptor's `Debug` (E-12).
pub fn secrets_stay_out_of_debug(encryptor: &dyn Encryptor) {
    let keys = Receiver::new().keys();
    let secret = "watermelon";
    let plaintext = Plaintext::new(&Payload::new(secret).expect("fits"), Padding::None, 3993).expect("fits");
    encryptor.encrypt(&keys, &plaintext, &mut Vec::new()).expect("encrypts");
    let shown = format!("{encryptor:?} {encryptor:#?}");
    let octets = |octets: &[u8]| format!("{octets:?}");
    for secret in [
        secret.to_owned(),
        octets(secret.as_bytes()),
        octets(keys.auth().as_bytes()),
        base64url::encode(keys.auth().as_bytes()),
    ] {
        assert!(!shown.contains(&secret), "the encryptor's Debug shows a secret");
    }
}
