//! Records as an application server could make them: sealed with the right keys, whatever is in them.

use std::cell::OnceCell;

use aes_gcm::Aes128Gcm;
use aes_gcm::aead::{Aead, KeyInit as _};
use hmac::{Hmac, Mac as _};
use p256::SecretKey;
use sha2::Sha256;
use webpush_channels::testing::UserAgent;

const SALT: [u8; 16] = [5; 16];
const AUTH: [u8; 16] = [6; 16];
const RECEIVER: [u8; 32] = [3; 32];
const SENDER: [u8; 32] = [4; 32];

/// Seals for one user agent. Keys are agreed upon once: elliptic curves are slow.
pub struct Sealer {
    agent: UserAgent,
    sender: [u8; 65],
    current: Content,
    legacy: Content,
}

thread_local! {
    static SEALER: OnceCell<Sealer> = const { OnceCell::new() };
}

impl Sealer {
    /// Calls `with` the one of this thread.
    pub fn with<R>(with: impl FnOnce(&Self) -> R) -> R {
        SEALER.with(|sealer| with(sealer.get_or_init(Self::new)))
    }

    fn new() -> Self {
        let key = |scalar: [u8; 32]| SecretKey::from_slice(&scalar).expect("a scalar");
        let (to, from) = (key(RECEIVER).public_key(), key(SENDER));
        let shared = from.diffie_hellman(&to);
        let shared = &shared.raw_secret_bytes()[..];
        let (to, sender) = (to.to_sec1_bytes(), from.public_key().to_sec1_bytes());
        let info = [b"WebPush: info\0", &*to, &*sender, &[1]].concat();
        let context = [b"\0P-256\0\0\x41", &*to, &[0, 65], &*sender].concat();
        Self {
            agent: UserAgent::from_keys(RECEIVER, AUTH).expect("a scalar"),
            sender: (*sender).try_into().expect("a point has 65 octets"),
            current: Content::new(shared, &info, "aes128gcm", b"\0"),
            legacy: Content::new(shared, b"Content-Encoding: auth\0\x01", "aesgcm", &context),
        }
    }

    /// Whom it is for.
    #[must_use]
    pub const fn agent(&self) -> &UserAgent {
        &self.agent
    }

    /// A body of RFC 8188 with one record and this record size.
    #[must_use]
    pub fn current(&self, record_size: u32, record: &[u8]) -> Vec<u8> {
        let sealed = self.current.seal(record);
        [&SALT[..], &record_size.to_be_bytes(), &[65], &self.sender, &sealed].concat()
    }

    /// One record of `aesgcm`, its salt and its key.
    #[must_use]
    pub fn legacy(&self, record: &[u8]) -> ([u8; 16], [u8; 65], Vec<u8>) {
        (SALT, self.sender, self.legacy.seal(record))
    }
}

/// The key and the nonce of all records in one coding.
struct Content {
    cipher: Aes128Gcm,
    nonce: [u8; 12],
}

impl Content {
    /// RFC 8291 section 3.4; the drafts before it differ in `info`, and in what follows the names.
    fn new(shared: &[u8], info: &[u8], coding: &str, context: &[u8]) -> Self {
        let input = mac(&mac(&AUTH, &[shared]), &[info]);
        let pseudorandom = mac(&SALT, &[&input]);
        let named = |name: &str| mac(&pseudorandom, &[b"Content-Encoding: ", name.as_bytes(), context, &[1]]);
        let cipher = Aes128Gcm::new_from_slice(&named(coding)[..16]).expect("a key of AES-128");
        let nonce = *named("nonce").first_chunk().expect("32 octets");
        Self { cipher, nonce }
    }

    fn seal(&self, record: &[u8]) -> Vec<u8> {
        self.cipher.encrypt(&self.nonce.into(), record).expect("records are short")
    }
}

fn mac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes any key");
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}
