//! Mozilla's `ece` on OpenSSL opens what this project seals, and the other way round, at every
//! length.

use std::ops::RangeInclusive;

use webpush_channels::Padding;
use webpush_channels::engine::encryption::{
    AwsLc, Ece, EceAesGcm, Encoded, EncryptError, Encryptor, Plaintext, RustCrypto,
};
use webpush_channels_interop::{Message, PADDINGS, Receiver, content, seal};

/// What one record of 4096 octets holds (E-25), and what it holds in `ece`'s blocks of 128.
const EVERY: RangeInclusive<usize> = 0..=3993;
const EVERY_OF_ECE: RangeInclusive<usize> = 1..=3967;
/// The same for the legacy coding, whose padding has a length of its own.
const EVERY_LEGACY: RangeInclusive<usize> = 1..=3966;

/// Several receivers, so that no key is special.
fn receivers() -> Vec<Receiver> {
    (0..7).map(Receiver::number).collect()
}

fn each(sizes: RangeInclusive<usize>, mut check: impl FnMut(&Receiver, usize)) {
    let receivers = receivers();
    for size in sizes {
        check(&receivers[size % receivers.len()], size);
    }
}

/// Both receivers open it, to the same octets.
fn opens_in_both(encryptor: &dyn Encryptor, sizes: RangeInclusive<usize>, padding: Padding) {
    each(sizes, |to, size| {
        let content = content(size);
        let message = seal(encryptor, to, content.clone(), padding);
        assert_eq!(to.open_with_ece(&message).unwrap(), content, "ece, {size} octets");
        assert_eq!(to.open(&message).as_ref(), Ok(&content), "UserAgent, {size} octets");
    });
}

#[test]
fn ece_and_the_user_agent_open_rust_crypto_at_every_size() {
    opens_in_both(&RustCrypto::new(), EVERY, PADDINGS[0]);
}

#[test]
fn ece_and_the_user_agent_open_rust_crypto_at_every_size_padded() {
    opens_in_both(&RustCrypto::new(), EVERY, PADDINGS[1]);
}

#[test]
fn ece_and_the_user_agent_open_aws_lc_at_every_size() {
    opens_in_both(&AwsLc::new(), EVERY, PADDINGS[0]);
}

#[test]
fn ece_and_the_user_agent_open_aws_lc_at_every_size_padded() {
    opens_in_both(&AwsLc::new(), EVERY, PADDINGS[1]);
}

#[test]
fn ece_and_the_user_agent_open_the_encryptor_over_ece_at_every_size() {
    opens_in_both(&Ece::new(), EVERY_OF_ECE, PADDINGS[0]);
}

#[test]
fn ece_and_the_user_agent_open_the_legacy_coding_at_every_size() {
    opens_in_both(&EceAesGcm::new(), EVERY_LEGACY, PADDINGS[0]);
}

#[test]
fn the_user_agent_opens_plain_ece_at_every_size() {
    each(EVERY_OF_ECE, |to, size| {
        let content = content(size);
        let body = ece::encrypt(to.keys().p256dh().as_bytes(), to.auth(), &content).unwrap();
        assert_eq!(to.agent.decrypt(&body), Ok(content), "{size} octets");
    });
}

#[test]
fn what_does_not_fit_one_record_of_ece_is_refused() {
    let to = Receiver::number(1);
    for size in [3968, 3993] {
        // `ece` itself makes a second record, which RFC 8291 section 4 forbids.
        let body = ece::encrypt(to.keys().p256dh().as_bytes(), to.auth(), &content(size)).unwrap();
        assert!(body.len() > 4096, "{size} octets");
        assert!(to.agent.decrypt(&body).is_err(), "{size} octets");
        let payload = webpush_channels::Payload::new(content(size)).unwrap();
        let plaintext = Plaintext::new(&payload, Padding::None, 3993).unwrap();
        let refused = Ece::new().encrypt(&to.keys(), &plaintext, &mut Vec::new());
        assert!(matches!(refused, Err(EncryptError::TooLarge { limit: 3967, .. })), "{size} octets");
    }
}

#[test]
fn nobody_opens_what_is_for_another_or_was_changed() {
    let (to, other) = (Receiver::number(1), Receiver::number(2));
    let encryptors: [&dyn Encryptor; 2] = [&AwsLc::new(), &EceAesGcm::new()];
    for encryptor in encryptors {
        let message = seal(encryptor, &to, content(100), Padding::None);
        assert!(other.open_with_ece(&message).is_err());
        assert!(other.open(&message).is_err());
        for at in [0, 30, 90, message.body.len() - 1] {
            let mut changed = message.clone();
            changed.body[at] ^= 1;
            assert!(to.open_with_ece(&changed).is_err(), "{encryptor:?}, octet {at}");
            assert!(to.open(&changed).is_err(), "{encryptor:?}, octet {at}");
        }
    }
}

#[test]
fn nobody_opens_the_legacy_coding_with_another_salt_or_key() {
    let to = Receiver::number(1);
    let message = seal(&EceAesGcm::new(), &to, content(100), Padding::None);
    let Encoded::AesGcm { salt, dh } = message.encoded else { panic!("{message:?}") };
    let other = *Receiver::number(3).keys().p256dh().as_bytes();
    for encoded in [Encoded::AesGcm { salt: [0; 16], dh }, Encoded::AesGcm { salt, dh: other }] {
        let changed = Message { encoded, body: message.body.clone() };
        assert!(to.open_with_ece(&changed).is_err());
        assert!(to.open(&changed).is_err());
    }
}
