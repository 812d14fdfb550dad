//! An encryptor that is right unless it is told to be wrong in one way.

use std::cell::Cell;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU8, Ordering};

use aes_gcm::Aes128Gcm;
use aes_gcm::aead::{Aead, KeyInit};
use hmac::{Hmac, Mac};
use p256::SecretKey;
use p256::ecdh::diffie_hellman;
use p256::elliptic_curve::Generate;
use sha2::Sha256;
use webpush_channels::SubscriptionKeys;
use webpush_channels::engine::encryption::{Encoded, EncryptError, Encryptor, Lane, Plaintext};

/// What a double does wrong.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Fault {
    AppendsToTheBuffer,
    BatchDropsTheLastLane,
    BatchSendsOneBodyToAll,
    BatchSharesOneKey,
    ClaimsMoreThanFits,
    ConstantKey,
    ConstantSalt,
    CountingSalt,
    DelimiterOfAnEarlierRecord,
    EmptyIsABackendError,
    ErrorLeavesTheBuffer,
    IgnoresItsLimit,
    IgnoresThePadding,
    KeysInTheWrongOrder,
    None,
    PadsWithOnes,
    RecordSizeEqualsTheRecord,
    RefusesItsLimit,
    RemembersThePlaintext,
    SeedsKeysPerThread,
    SendsAZeroAuth,
    WrongLimitInTheError,
}

#[derive(Debug)]
pub(crate) struct Double {
    fault: Fault,
    counter: AtomicU8,
    remembered: Mutex<Vec<u8>>,
}

thread_local! {
    static SEED: Cell<u8> = const { Cell::new(0) };
}

impl Double {
    pub(crate) fn new(fault: Fault) -> Self {
        Self { fault, counter: AtomicU8::new(1), remembered: Mutex::default() }
    }

    fn has(&self, fault: Fault) -> bool {
        self.fault == fault
    }

    fn key(&self) -> SecretKey {
        match self.fault {
            Fault::ConstantKey => SecretKey::from_slice(&[7; 32]).unwrap(),
            Fault::SeedsKeysPerThread => {
                SEED.set(SEED.get() + 1);
                SecretKey::from_slice(&[SEED.get(); 32]).unwrap()
            }
            _ => SecretKey::generate(),
        }
    }

    fn salt(&self) -> [u8; 16] {
        let mut salt = [7; 16];
        match self.fault {
            Fault::ConstantSalt => {}
            Fault::CountingSalt => salt[0] = self.counter.fetch_add(1, Ordering::Relaxed),
            _ => getrandom::fill(&mut salt).unwrap(),
        }
        salt
    }

    fn record(&self, plaintext: &Plaintext) -> Vec<u8> {
        let mut record = plaintext.as_bytes().to_vec();
        record.push(if self.has(Fault::DelimiterOfAnEarlierRecord) { 1 } else { 2 });
        if !self.has(Fault::IgnoresThePadding) {
            record.resize(plaintext.padded_len() + 1, u8::from(self.has(Fault::PadsWithOnes)));
        }
        record
    }

    fn body(&self, key: &SecretKey, to: &SubscriptionKeys, plaintext: &Plaintext) -> Vec<u8> {
        let (salt, sender) = (self.salt(), key.public_key().to_sec1_bytes());
        let (cek, nonce) = self.content_keys(key, to, &salt);
        let record = Aes128Gcm::new(&cek.into()).encrypt(&nonce.into(), &*self.record(plaintext)).unwrap();
        let equal = u32::try_from(record.len()).unwrap();
        let rs = if self.has(Fault::RecordSizeEqualsTheRecord) { equal } else { 4096 };
        [&salt, &rs.to_be_bytes()[..], &[65], &sender, &record].concat()
    }

    fn content_keys(&self, key: &SecretKey, to: &SubscriptionKeys, salt: &[u8]) -> ([u8; 16], [u8; 12]) {
        let receiver = p256::PublicKey::from_sec1_bytes(to.p256dh().as_bytes()).unwrap();
        let secret = diffie_hellman(key.to_nonzero_scalar(), receiver.as_affine());
        let mut keys = [&to.p256dh().as_bytes()[..], &key.public_key().to_sec1_bytes()].concat();
        if self.has(Fault::KeysInTheWrongOrder) {
            keys.rotate_left(65);
        }
        let auth = if self.has(Fault::SendsAZeroAuth) { &[0; 16] } else { to.auth().as_bytes() };
        let info = [b"WebPush: info\0", &*keys, b"\x01"].concat();
        let prk = hmac(salt, &hmac(&hmac(auth, secret.raw_secret_bytes()), &info));
        let (cek, nonce) =
            (hmac(&prk, b"Content-Encoding: aes128gcm\0\x01"), hmac(&prk, b"Content-Encoding: nonce\0\x01"));
        (cek[..16].try_into().unwrap(), nonce[..12].try_into().unwrap())
    }

    fn check(&self, plaintext: &Plaintext) -> Result<(), EncryptError> {
        let (len, limit) = (plaintext.padded_len(), self.max_plaintext_len());
        if self.has(Fault::EmptyIsABackendError) && len == 0 {
            return Err(EncryptError::backend("no"));
        }
        let limit_in_error = if self.has(Fault::WrongLimitInTheError) { limit + 1 } else { limit };
        let refused = len > limit || self.has(Fault::RefusesItsLimit) && len == limit;
        if refused && !self.has(Fault::IgnoresItsLimit) {
            return Err(EncryptError::TooLarge { len, limit: limit_in_error });
        }
        Ok(())
    }

    fn write(
        &self,
        key: &SecretKey,
        to: &SubscriptionKeys,
        plaintext: &Plaintext,
        out: &mut Vec<u8>,
    ) -> Result<Encoded, EncryptError> {
        if let Err(error) = self.check(plaintext) {
            if !self.has(Fault::ErrorLeavesTheBuffer) {
                out.clear();
            }
            return Err(error);
        }
        if !self.has(Fault::AppendsToTheBuffer) {
            out.clear();
        }
        if self.has(Fault::RemembersThePlaintext) {
            *self.remembered.lock().unwrap() = plaintext.as_bytes().to_vec();
        }
        out.extend_from_slice(&self.body(key, to, plaintext));
        Ok(Encoded::Aes128Gcm)
    }
}

impl Encryptor for Double {
    /// Less than what fits, so that there is something to refuse.
    fn max_plaintext_len(&self) -> usize {
        if self.has(Fault::ClaimsMoreThanFits) { 3994 } else { 1000 }
    }

    fn encrypt(
        &self,
        to: &SubscriptionKeys,
        plaintext: &Plaintext,
        out: &mut Vec<u8>,
    ) -> Result<Encoded, EncryptError> {
        self.write(&self.key(), to, plaintext, out)
    }

    fn encrypt_batch(&self, plaintext: &Plaintext, lanes: &mut [Lane<'_>]) {
        let shared = self.key();
        let (first, count) = (lanes.first().map(|lane| lane.to), lanes.len());
        for (at, lane) in lanes.iter_mut().enumerate() {
            let to = first.filter(|_| self.has(Fault::BatchSendsOneBodyToAll)).unwrap_or(lane.to);
            let own = self.key();
            let key = if self.has(Fault::BatchSharesOneKey) { &shared } else { &own };
            if self.has(Fault::BatchDropsTheLastLane) && at + 1 == count {
                continue;
            }
            lane.result = Some(self.write(key, to, plaintext, &mut lane.out));
        }
    }
}

fn hmac(key: &[u8], message: &[u8]) -> [u8; 32] {
    let hmac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    hmac.chain_update(message).finalize().into_bytes().into()
}
