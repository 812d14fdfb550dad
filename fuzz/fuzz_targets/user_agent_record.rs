//! Decryption in the test kit of records that are sealed with the right keys: what is in them is what two readings of the
//! padding say, in both codings.
//!
//! Input: the coding (an octet, odd for `aesgcm`), the record size (four octets), the record before it is sealed.
#![no_main]

use libfuzzer_sys::fuzz_target;
use webpush_channels::engine::encryption::Encoded;
use webpush_channels_fuzz::{Fields, Sealer, whole};

const TAG: usize = 16;
/// Where no header names one.
const LEGACY_RECORD_SIZE: usize = 4096;

fuzz_target!(|data: &[u8]| {
    let mut fields = Fields::new(data);
    let legacy = fields.octet() & 1 == 1;
    let record_size = fields.take(4).iter().fold(0, |size, octet| size << 8 | u32::from(*octet));
    let record = fields.rest();
    Sealer::with(|sealer| {
        let (opened, expected) = if legacy {
            let (salt, dh, body) = sealer.legacy(record);
            (sealer.agent().open(&Encoded::AesGcm { salt, dh }, &body), unpad_legacy(record))
        } else {
            let body = sealer.current(record_size, record);
            let opened = sealer.agent().open(&Encoded::Aes128Gcm, &body);
            assert_eq!(sealer.agent().decrypt(&body), opened);
            let fits =
                record_size >= 18 && u32::try_from(record.len() + TAG).is_ok_and(|len| len < record_size);
            (opened, unpad(record).filter(|_| fits))
        };
        if let Err(error) = &opened {
            whole(error);
        }
        assert_eq!(opened.ok().as_deref(), expected);
    });
});

/// RFC 8188 section 2: data, the delimiter of a last record, zeros.
fn unpad(record: &[u8]) -> Option<&[u8]> {
    let zeros = record.iter().rev().take_while(|octet| **octet == 0).count();
    record[..record.len() - zeros].strip_suffix(&[2])
}

/// draft-ietf-httpbis-encryption-encoding-03 section 2: the length of the padding in two octets, zeros, data.
fn unpad_legacy(record: &[u8]) -> Option<&[u8]> {
    let (length, rest) = record.split_first_chunk::<2>()?;
    let (zeros, data) = rest.split_at_checked(u16::from_be_bytes(*length).into())?;
    let one_record = record.len() < LEGACY_RECORD_SIZE;
    (one_record && zeros.iter().all(|octet| *octet == 0)).then_some(data)
}
