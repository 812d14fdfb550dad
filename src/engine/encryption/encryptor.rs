//! The seam: what encrypts.

use std::fmt::{self, Debug};
use std::sync::Arc;

use super::{EncryptError, Plaintext};
use crate::subscription::SubscriptionKeys;

/// Encrypts one message for one subscription at a time (RFC 8291). Synchronous: an operation
/// takes tens to hundreds of microseconds of processor time, so keep it off async threads.
///
/// # Contract
///
/// Between whoever implements it and the engine; `testing::encryptor_suite` checks it.
///
/// - The body is a header and exactly one record, together at most 4096 octets (E-20, E-25). In the
///   legacy `aesgcm` it is the record alone (E-52); [`Encoded`] says which coding it is.
/// - **Each call makes a fresh ECDH key pair and a fresh random salt**, also for the same
///   subscription and the same plaintext (E-30, E-32, E-33). Neither ever comes from the caller.
/// - `out` is cleared first, so that a buffer can be reused; after an error it is empty.
/// - A plaintext whose padded length is over [`max_plaintext_len`](Self::max_plaintext_len) is
///   [`EncryptError::TooLarge`]. An encryptor that cannot encrypt nothing answers
///   [`EncryptError::Empty`]; the engine sends an empty message without a body (E-28).
/// - The body is exactly the padded length and [`Plaintext::OVERHEAD`] long, unless the
///   encryptor documents that it pads by a rule of its own.
/// - Nothing secret is kept, logged or put into an error (E-12).
pub trait Encryptor: Debug + Send + Sync + 'static {
    /// The most octets of plaintext, padding included, that fit a body of 4096 octets.
    fn max_plaintext_len(&self) -> usize;

    /// Writes the body for one subscription into `out`.
    ///
    /// # Errors
    ///
    /// [`EncryptError`]; `out` is empty then.
    fn encrypt(
        &self,
        to: &SubscriptionKeys,
        plaintext: &Plaintext,
        out: &mut Vec<u8>,
    ) -> Result<Encoded, EncryptError>;

    /// Encrypts one message for several subscriptions. Every lane gets a result, and a lane that
    /// fails spoils no other.
    ///
    /// An encryptor that is faster on several receivers at once overrides it.
    fn encrypt_batch(&self, plaintext: &Plaintext, lanes: &mut [Lane<'_>]) {
        for lane in lanes {
            lane.result = Some(self.encrypt(lane.to, plaintext, &mut lane.out));
        }
    }
}

macro_rules! forward {
    ($($pointer:ident)+) => {$(
        #[deny(clippy::missing_trait_methods)]
        impl<T: Encryptor + ?Sized> Encryptor for $pointer<T> {
            fn max_plaintext_len(&self) -> usize {
                (**self).max_plaintext_len()
            }

            fn encrypt(
                &self,
                to: &SubscriptionKeys,
                plaintext: &Plaintext,
                out: &mut Vec<u8>,
            ) -> Result<Encoded, EncryptError> {
                (**self).encrypt(to, plaintext, out)
            }

            fn encrypt_batch(&self, plaintext: &Plaintext, lanes: &mut [Lane<'_>]) {
                (**self).encrypt_batch(plaintext, lanes);
            }
        }
    )+};
}

forward!(Arc Box);

/// One receiver of [`Encryptor::encrypt_batch`].
#[non_exhaustive]
pub struct Lane<'a> {
    /// Whom to encrypt for.
    pub to: &'a SubscriptionKeys,
    /// The body; cleared first.
    pub out: Vec<u8>,
    /// How it went: `Some` after the batch.
    pub result: Option<Result<Encoded, EncryptError>>,
}

impl<'a> Lane<'a> {
    /// A lane that has not run.
    #[must_use]
    pub const fn new(to: &'a SubscriptionKeys) -> Self {
        Self { to, out: Vec::new(), result: None }
    }
}

impl Debug for Lane<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Lane({} octets, {:?})", self.out.len(), self.result)
    }
}

/// The content coding of a body, and what it needs beside the body.
#[derive(Clone, Copy, Eq, PartialEq)]
#[non_exhaustive]
pub enum Encoded {
    /// `Content-Encoding: aes128gcm` (RFC 8188): everything is in the body.
    Aes128Gcm,
    /// The legacy `aesgcm`, whose parameters travel in header fields (E-51).
    AesGcm {
        /// The `salt` of the `Encryption` field.
        salt: [u8; 16],
        /// The `dh` of the `Crypto-Key` field: the sender's public key, uncompressed.
        dh: [u8; 65],
    },
}

impl Debug for Encoded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Aes128Gcm => "Aes128Gcm",
            Self::AesGcm { .. } => "AesGcm([redacted])",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Padding, Payload};
    use crate::subscription::{AuthSecret, PublicKey};

    const P256DH: &str =
        "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4";

    fn keys(auth: u8) -> SubscriptionKeys {
        SubscriptionKeys::new(PublicKey::from_base64url(P256DH).unwrap(), AuthSecret::from_bytes([auth; 16]))
    }

    fn plaintext() -> Plaintext {
        Plaintext::new(&Payload::new("x").unwrap(), Padding::None, 3993).unwrap()
    }

    /// Fails for one receiver; says who it encrypted for.
    #[derive(Debug)]
    struct Picky;

    impl Encryptor for Picky {
        fn max_plaintext_len(&self) -> usize {
            7
        }

        fn encrypt(
            &self,
            to: &SubscriptionKeys,
            _: &Plaintext,
            out: &mut Vec<u8>,
        ) -> Result<Encoded, EncryptError> {
            out.clear();
            if to.auth().as_bytes()[0] == 2 {
                return Err(EncryptError::Key);
            }
            out.extend_from_slice(to.auth().as_bytes());
            Ok(Encoded::Aes128Gcm)
        }
    }

    /// Overrides the default method only to show that it was called.
    #[derive(Debug)]
    struct Batches;

    impl Encryptor for Batches {
        fn max_plaintext_len(&self) -> usize {
            8
        }

        fn encrypt(
            &self,
            _: &SubscriptionKeys,
            _: &Plaintext,
            _: &mut Vec<u8>,
        ) -> Result<Encoded, EncryptError> {
            Err(EncryptError::Key)
        }

        fn encrypt_batch(&self, _: &Plaintext, lanes: &mut [Lane<'_>]) {
            for lane in lanes {
                lane.result = Some(Ok(Encoded::Aes128Gcm));
            }
        }
    }

    #[test]
    fn a_failing_lane_spoils_no_other() {
        let (one, two, three) = (keys(1), keys(2), keys(3));
        let mut lanes = [Lane::new(&one), Lane::new(&two), Lane::new(&three)];
        Picky.encrypt_batch(&plaintext(), &mut lanes);
        let [first, second, third] = lanes;
        assert!(matches!((first.result, &*first.out), (Some(Ok(_)), [1, ..])));
        assert!(matches!((second.result, &*second.out), (Some(Err(EncryptError::Key)), [])));
        assert!(matches!((third.result, &*third.out), (Some(Ok(_)), [3, ..])));
    }

    #[test]
    fn pointers_forward_every_method() {
        fn check(encryptor: &impl Encryptor) {
            let to = keys(1);
            assert_eq!(encryptor.max_plaintext_len(), 8);
            assert!(encryptor.encrypt(&to, &plaintext(), &mut Vec::new()).is_err());
            let mut lanes = [Lane::new(&to)];
            encryptor.encrypt_batch(&plaintext(), &mut lanes);
            assert!(matches!(lanes[0].result, Some(Ok(_))), "the override, not the default");
        }
        check(&Arc::new(Batches));
        check(&Box::new(Batches));
        check(&(Arc::new(Batches) as Arc<dyn Encryptor>));
        check(&(Box::new(Batches) as Box<dyn Encryptor>));
    }

    #[test]
    fn debug_shows_no_octets() {
        let to = keys(0xAB);
        let lane = Lane { out: vec![0xAB; 9], ..Lane::new(&to) };
        assert_eq!(format!("{lane:?}"), "Lane(9 octets, None)");
        let encoded = Encoded::AesGcm { salt: [1; 16], dh: [2; 65] };
        assert_eq!(format!("{encoded:?}"), "AesGcm([redacted])");
    }
}
