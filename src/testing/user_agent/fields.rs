//! The header fields that carry the parameters of `aesgcm` (E-53).

use http::{HeaderMap, HeaderName};

use super::decrypt::DecryptError;
use super::legacy::{DEFAULT_RS, Sealed};
use crate::base64url;

const ENCRYPTION: HeaderName = HeaderName::from_static("encryption");
const CRYPTO_KEY: HeaderName = HeaderName::from_static("crypto-key");

/// The parameters of an `aesgcm` body.
pub(in crate::testing) struct Fields {
    pub(in crate::testing) salt: [u8; 16],
    pub(in crate::testing) dh: Vec<u8>,
    rs: u32,
    /// The key of VAPID, as it is written (V-30).
    pub(in crate::testing) p256ecdsa: Option<String>,
}

impl Fields {
    /// One entry with a salt in `Encryption`, and one with the sender's key in `Crypto-Key`.
    pub(in crate::testing) fn parse(headers: &HeaderMap) -> Result<Self, DecryptError> {
        let encryption = entries(headers, &ENCRYPTION).ok_or(DecryptError::EncryptionField)?;
        let [encryption] = &encryption[..] else { return Err(DecryptError::EncryptionField) };
        let (salt, rs) = encryption.salt_and_rs().ok_or(DecryptError::EncryptionField)?;
        let keys = entries(headers, &CRYPTO_KEY).ok_or(DecryptError::CryptoKeyField)?;
        let (dh, keyid) = the_one_key(&keys).ok_or(DecryptError::CryptoKeyField)?;
        // Browsers look for the key of the name that `Encryption` says, if it says one.
        let named = encryption.get("keyid");
        if named.is_some() && named != keyid {
            return Err(DecryptError::CryptoKeyField);
        }
        let p256ecdsa = keys.iter().find_map(|entry| entry.get("p256ecdsa")).map(str::to_owned);
        Ok(Self { salt, dh, rs, p256ecdsa })
    }

    pub(super) fn sealed(&self) -> Sealed<'_> {
        Sealed { salt: &self.salt, dh: &self.dh, rs: self.rs }
    }
}

/// The only `dh` and its `keyid`.
fn the_one_key<'a>(keys: &'a [Entry<'_>]) -> Option<(Vec<u8>, Option<&'a str>)> {
    let mut found = keys.iter().filter(|entry| entry.get("dh").is_some());
    match (found.next(), found.next()) {
        (Some(entry), None) => Some((unpadded(entry.get("dh")?)?, entry.get("keyid"))),
        _ => None,
    }
}

/// Chrome refuses padding.
fn unpadded(text: &str) -> Option<Vec<u8>> {
    if text.contains('=') { None } else { base64url::decode(text).ok() }
}

/// Parameters between commas.
struct Entry<'a>(Vec<(String, &'a str)>);

impl Entry<'_> {
    fn get(&self, wanted: &str) -> Option<&str> {
        self.0.iter().find(|(name, _)| name == wanted).map(|(_, value)| *value)
    }

    fn salt_and_rs(&self) -> Option<([u8; 16], u32)> {
        let salt = unpadded(self.get("salt")?)?.try_into().ok()?;
        let rs = self.get("rs").map_or(Some(DEFAULT_RS), |rs| rs.parse().ok());
        // 2 is the length of the padding alone.
        Some((salt, rs.filter(|rs| *rs > 2)?))
    }
}

/// The entries of a field that stands once; `None` is not there or malformed.
fn entries<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<Vec<Entry<'a>>> {
    let mut values = headers.get_all(name).into_iter();
    let text = values.next()?.to_str().ok()?;
    if values.next().is_some() {
        return None;
    }
    text.split(',').map(|entry| entry.split(';').map(parameter).collect::<Option<_>>().map(Entry)).collect()
}

fn parameter(text: &str) -> Option<(String, &str)> {
    let (name, value) = text.split_once('=')?;
    let value = value.trim();
    let value = match value.strip_prefix('"') {
        Some(quoted) => quoted.strip_suffix('"')?,
        None => value,
    };
    Some((name.trim().to_ascii_lowercase(), value))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SALT: &str = "lngarbyKfMoi9Z75xYXmkg";

    fn parse(encryption: &str, crypto_key: &str) -> Result<Fields, DecryptError> {
        let mut headers = HeaderMap::new();
        headers.insert(ENCRYPTION, encryption.parse().unwrap());
        headers.insert(CRYPTO_KEY, crypto_key.parse().unwrap());
        Fields::parse(&headers)
    }

    #[test]
    fn parameters_are_found_as_senders_write_them() {
        for (encryption, crypto_key, rs, p256ecdsa) in [
            ("salt=~", "dh=BAAA", 4096, None),
            ("salt=~", "keyid=p256dh;dh=BAAA", 4096, None),
            ("keyid=p256dh;salt=~", "keyid=p256dh;dh=BAAA;p256ecdsa=BB", 4096, Some("BB")),
            ("SALT=\"~\"; rs=4097", "p256ecdsa=\"BB\", dh=\"BAAA\"", 4097, Some("BB")),
            ("keyid=a;salt=~", "keyid=b;p256ecdsa=BB,keyid=a; dh=BAAA", 4096, Some("BB")),
        ] {
            let fields = parse(&encryption.replace('~', SALT), crypto_key);
            let fields = fields.unwrap_or_else(|error| panic!("{encryption} {crypto_key}: {error}"));
            assert_eq!((fields.rs, fields.p256ecdsa.as_deref()), (rs, p256ecdsa), "{crypto_key}");
            assert_eq!((fields.salt[0], &fields.dh[..]), (0x96, &[4, 0, 0][..]));
        }
    }

    #[test]
    fn a_salt_is_sixteen_octets_of_one_entry() {
        for encryption in [
            "",
            "x",
            "keyid=a",
            "salt=",
            "salt=AAAA",
            "salt=~==",
            "salt=~,salt=~",
            "salt=~;rs=2",
            "salt=~;rs=x",
            "salt=\"~",
        ] {
            let refused = parse(&encryption.replace('~', SALT), "dh=BAAA").err();
            assert_eq!(refused, Some(DecryptError::EncryptionField), "{encryption}");
        }
        assert_eq!(Fields::parse(&HeaderMap::new()).err(), Some(DecryptError::EncryptionField));
    }

    #[test]
    fn a_key_is_in_one_entry_of_the_same_name() {
        let salt = format!("keyid=a;salt={SALT}");
        for crypto_key in [
            "",
            "keyid=a",
            "dh=BAAA",
            "keyid=b;dh=BAAA",
            "keyid=a;dh=+",
            "keyid=a;dh=BA==",
            "keyid=a;dh=BAAA,dh=BAAA",
        ] {
            assert_eq!(parse(&salt, crypto_key).err(), Some(DecryptError::CryptoKeyField), "{crypto_key}");
        }
        let mut headers = HeaderMap::new();
        headers.insert(ENCRYPTION, salt.parse().unwrap());
        assert_eq!(Fields::parse(&headers).err(), Some(DecryptError::CryptoKeyField));
        headers.append(CRYPTO_KEY, "keyid=a;dh=BAAA".parse().unwrap());
        headers.append(CRYPTO_KEY, "p256ecdsa=BB".parse().unwrap());
        assert_eq!(Fields::parse(&headers).err(), Some(DecryptError::CryptoKeyField));
    }

    proptest::proptest! {
        #[test]
        fn any_fields_are_refused_or_parsed_without_a_panic(one in "[ -~]{0,80}", other in "[ -~]{0,80}") {
            let _ = parse(&one, &other);
            let _ = parse(&format!("salt={SALT}"), &format!("dh={other}"));
        }
    }
}
