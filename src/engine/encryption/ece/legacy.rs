//! The legacy `aesgcm` coding, with Mozilla's `ece` (draft-ietf-webpush-encryption-04).

use ece::legacy::{AesGcmEncryptedBlock, encrypt_aesgcm};

use super::takes;
use crate::base64url;
use crate::engine::encryption::{Encoded, EncryptError, Encryptor, Plaintext};
use crate::subscription::SubscriptionKeys;

/// Encrypts in the legacy coding `aesgcm` with Mozilla's `ece` crate and OpenSSL, for
/// subscriptions whose client asked for it (E-50). Everybody else gets RFC 8291.
///
/// Salt and sender's key travel in header fields, so they come back in
/// [`Encoded::AesGcm`]. The padding is its own: two octets of length and the plaintext are padded
/// to a multiple of 128 octets, whatever [`Plaintext::padded_len`] says. It takes from 1 to 3966
/// octets, where the draft has room for 4077 (E-54): `ece` makes one record, which must be shorter
/// than 4096. An empty plaintext is [`EncryptError::Empty`].
///
/// ```
/// use webpush_channels::engine::encryption::{EceAesGcm, Encoded, Encryptor, Plaintext};
/// use webpush_channels::engine::request::{Body, PushRequest};
/// use webpush_channels::{Padding, Payload, SubscriptionKeys, Ttl};
///
/// let keys = SubscriptionKeys::from_base64url(
///     "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",
///     "BTBZMqHH6r4Tts7J_aSIgg",
/// )?;
/// let encryptor = EceAesGcm::new();
/// let plaintext =
///     Plaintext::new(&Payload::new("hello")?, Padding::None, encryptor.max_plaintext_len())?;
/// let mut body = Vec::new();
/// let encoded = encryptor.encrypt(&keys, &plaintext, &mut body)?;
/// assert!(matches!(encoded, Encoded::AesGcm { .. }));
/// assert_eq!(body.len(), 128 + 16);
///
/// // The request has the parameters in its headers, and VAPID as it was then (E-53, V-30).
/// let endpoint = "https://push.example.net/p/abc".parse()?;
/// let request = PushRequest::new(&endpoint, Ttl::hours(1), "vapid t=eyJ.eyJ.c2ln, k=BA".parse()?)
///     .with_body(Body::encrypted(encoded, body.into()))
///     .into_http();
/// assert_eq!(request.headers()["content-encoding"], "aesgcm");
/// assert_eq!(request.headers()["authorization"], "WebPush eyJ.eyJ.c2ln");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct EceAesGcm;

impl EceAesGcm {
    /// 31 blocks of 128 octets, less the length of the padding. With 32 the record would not be
    /// shorter than its record size (E-52).
    const MAX_LEN: usize = 31 * 128 - 2;

    /// The encryptor.
    #[must_use]
    pub const fn new() -> Self {
        Self
    }
}

impl Encryptor for EceAesGcm {
    fn max_plaintext_len(&self) -> usize {
        Self::MAX_LEN
    }

    fn encrypt(
        &self,
        to: &SubscriptionKeys,
        plaintext: &Plaintext,
        out: &mut Vec<u8>,
    ) -> Result<Encoded, EncryptError> {
        out.clear();
        let octets = takes(plaintext, Self::MAX_LEN)?;
        let (p256dh, auth) = (to.p256dh().as_bytes(), to.auth().as_bytes());
        let block = encrypt_aesgcm(p256dh, auth, octets).map_err(EncryptError::backend)?;
        let (salt, dh) = parameters(&block).ok_or_else(unreadable)?;
        let record = base64url::decode(&block.body()).map_err(EncryptError::backend)?;
        out.extend_from_slice(&record);
        Ok(Encoded::AesGcm { salt, dh })
    }
}

/// The fields of a block are private to `ece`, which writes them into the headers of a request.
fn parameters(block: &AesGcmEncryptedBlock) -> Option<([u8; 16], [u8; 65])> {
    let headers = block.headers(None);
    let octets = |header: &str, name: &str| {
        let (_, value) = headers.iter().find(|(called, _)| *called == header)?;
        let mut parts = value.split(';').map(str::trim);
        let text = parts.find_map(|part| part.strip_prefix(name)?.strip_prefix('='))?;
        base64url::decode(text).ok()
    };
    let salt = octets("Encryption", "salt")?.try_into().ok()?;
    let dh = octets("Crypto-Key", "dh")?.try_into().ok()?;
    Some((salt, dh))
}

fn unreadable() -> EncryptError {
    EncryptError::backend("the headers of `ece` are without a salt of 16 octets or a key of 65")
}
