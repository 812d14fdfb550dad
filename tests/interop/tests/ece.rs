//! Mozilla's `ece` on OpenSSL opens what this project seals, and the other way round, at every
//! length.

use std::ops::RangeInclusive;

use webpush_channels::Padding;
use webpush_channels::engine::encryption::{AwsLc, Ece, EncryptError, Encryptor, Plaintext, RustCrypto};
use webpush_channels_interop::{PADDINGS, Receiver, content, seal};

/// What one record of 4096 octets holds (E-25), and what it holds in `ece`'s blocks of 128.
const EVERY: RangeInclusive<usize> = 0..=3993;
const EVERY_OF_ECE: RangeInclusive<usize> = 1..=3967;

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
fn opens_in_both(encryptor: &dyn Encryptor, padding: Padding) {
    each(EVERY, |to, size| {
        let content = content(size);
        let body = seal(encryptor, to, content.clone(), padding);
        assert_eq!(to.open_with_ece(&body).unwrap(), content, "ece, {size} octets");
        assert_eq!(to.agent.decrypt(&body).as_ref(), Ok(&content), "UserAgent, {size} octets");
    });
}

#[test]
fn ece_and_the_user_agent_open_rust_crypto_at_every_size() {
    opens_in_both(&RustCrypto::new(), PADDINGS[0]);
}

#[test]
fn ece_and_the_user_agent_open_rust_crypto_at_every_size_padded() {
    opens_in_both(&RustCrypto::new(), PADDINGS[1]);
}

#[test]
fn ece_and_the_user_agent_open_aws_lc_at_every_size() {
    opens_in_both(&AwsLc::new(), PADDINGS[0]);
}

#[test]
fn ece_and_the_user_agent_open_aws_lc_at_every_size_padded() {
    opens_in_both(&AwsLc::new(), PADDINGS[1]);
}

#[test]
fn the_user_agent_opens_the_encryptor_over_ece_at_every_size() {
    each(EVERY_OF_ECE, |to, size| {
        let content = content(size);
        let body = seal(&Ece::new(), to, content.clone(), Padding::None);
        assert_eq!(to.agent.decrypt(&body), Ok(content), "{size} octets");
    });
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
    let body = seal(&AwsLc::new(), &to, content(100), Padding::None);
    assert!(other.open_with_ece(&body).is_err());
    assert!(other.agent.decrypt(&body).is_err());
    for at in [0, 30, 90, body.len() - 1] {
        let mut changed = body.clone();
        changed[at] ^= 1;
        assert!(to.open_with_ece(&changed).is_err(), "octet {at}");
        assert!(to.agent.decrypt(&changed).is_err(), "octet {at}");
    }
}
