//! One receiver, seen by this project and by foreign code, and the messages it gets.

use std::fmt;
use std::num::NonZeroU16;

use ece::EcKeyComponents;
use ece::legacy::{AesGcmEncryptedBlock, decrypt_aesgcm};
use webpush_channels::engine::encryption::{Encoded, Encryptor, Plaintext};
use webpush_channels::testing::{DecryptError, UserAgent};
use webpush_channels::{Padding, Payload, SubscriptionKeys};

/// A receiver whose private key foreign code can have too. For tests: the keys are published here.
pub struct Receiver {
    /// The same receiver, of this project.
    pub agent: UserAgent,
    private: [u8; 32],
    auth: [u8; 16],
}

impl Receiver {
    /// The receiver of this number, the same in every run.
    ///
    /// # Panics
    ///
    /// When its octets are not a private key, which no number below 256 makes.
    #[must_use]
    pub fn number(n: u8) -> Self {
        let (mut private, auth) = ([0x11; 32], [n ^ 0x5a; 16]);
        private[31] = n;
        let agent = UserAgent::from_keys(private, auth).expect("octets below the group's order");
        Self { agent, private, auth }
    }

    /// The private key.
    #[must_use]
    pub const fn private(&self) -> &[u8; 32] {
        &self.private
    }

    /// The secret that the receiver shares with its senders.
    #[must_use]
    pub const fn auth(&self) -> &[u8; 16] {
        &self.auth
    }

    /// What a sender knows.
    #[must_use]
    pub fn keys(&self) -> SubscriptionKeys {
        self.agent.keys()
    }

    /// What Mozilla's `ece` opens a message to.
    ///
    /// # Errors
    ///
    /// Why it does not.
    ///
    /// # Panics
    ///
    /// When the message is in a coding that `ece` does not know.
    pub fn open_with_ece(&self, message: &Message) -> ece::Result<Vec<u8>> {
        let components = EcKeyComponents::new(&self.private[..], self.keys().p256dh().as_bytes());
        match &message.encoded {
            Encoded::Aes128Gcm => ece::decrypt(&components, &self.auth, &message.body),
            Encoded::AesGcm { salt, dh } => {
                let block = AesGcmEncryptedBlock::new(dh, salt, 4096, message.body.clone())?;
                decrypt_aesgcm(&components, &self.auth, &block)
            }
            other => panic!("ece does not know {other:?}"),
        }
    }

    /// What this project's user agent opens a message to.
    ///
    /// # Errors
    ///
    /// Why it does not.
    pub fn open(&self, message: &Message) -> Result<Vec<u8>, DecryptError> {
        self.agent.open(&message.encoded, &message.body)
    }
}

impl fmt::Debug for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Receiver([redacted])")
    }
}

/// Every octet value, never the same prefix for two lengths, and an end that looks like padding.
#[must_use]
pub fn content(len: usize) -> Vec<u8> {
    let mut octets: Vec<u8> = (len..).take(len).map(|i| (i * 31 % 256).to_le_bytes()[0]).collect();
    for (octet, padding) in octets.iter_mut().rev().zip([0, 0, 2, 1]) {
        *octet = padding;
    }
    octets
}

/// The two ways in which a message is sent: as long as it is, and in the default buckets.
pub const PADDINGS: [Padding; 2] = [Padding::None, Padding::MultipleOf(NonZeroU16::new(256).expect("not 0"))];

/// What an encryptor made.
#[derive(Clone, Debug)]
pub struct Message {
    /// The coding, and what it needs beside the body.
    pub encoded: Encoded,
    /// The body.
    pub body: Vec<u8>,
}

/// Encrypts.
///
/// # Panics
///
/// When the encryptor refuses.
#[must_use]
pub fn seal(encryptor: &dyn Encryptor, to: &Receiver, content: Vec<u8>, padding: Padding) -> Message {
    let payload = Payload::new(content).expect("at most 3993 octets");
    let plaintext = Plaintext::new(&payload, padding, encryptor.max_plaintext_len()).expect("it fits");
    let mut body = Vec::new();
    let encoded = encryptor.encrypt(&to.keys(), &plaintext, &mut body).expect("keys that were checked");
    assert!(body.len() <= 4096, "{} octets", body.len());
    Message { encoded, body }
}
