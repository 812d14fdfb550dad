//! The signed token, and for how long one is used.

use std::fmt;

use http::HeaderValue;
use p256::ecdsa::signature::Verifier as _;
use p256::ecdsa::{Signature, VerifyingKey};
use serde::Serialize;

use super::Contact;
use crate::{PublicKey, base64url};

/// One token a slot: all nodes make the same one (V-17).
const SLOT: u64 = 6 * HOUR;
pub(super) const HOUR: u64 = 3600;

/// How long before its turn a token is signed, where that may be slow.
const AHEAD: u64 = 600;

/// `{"typ":"JWT","alg":"ES256"}` (V-1) in base64url.
const HEADER: &str = "eyJ0eXAiOiJKV1QiLCJhbGciOiJFUzI1NiJ9";

/// RFC 8292 section 2 allows 24 hours, and some services measure them without leeway (V-6).
const MAX_AHEAD: u64 = 24 * HOUR - 300;

/// The `Authorization` of a request, and which token it is.
///
/// `Debug` does not show the header, which is a bearer secret while it lasts (V-18).
#[derive(Clone)]
#[non_exhaustive]
pub struct Token {
    /// `vapid t=..., k=...` (V-10), marked sensitive.
    pub header: HeaderValue,
    /// Which token of its origin it is. It grows with every newer token, and nodes that made the
    /// same token agree on it. Hand it to [`Vapid::renew_after`](super::Vapid::renew_after) when
    /// the push service refused the token.
    pub generation: u32,
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").field("generation", &self.generation).finish_non_exhaustive()
    }
}

/// When a token begins to be used, and when it expires. Times in seconds since 1970.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Term {
    /// In minutes: what tells the tokens of one origin apart. Renewals are an hour apart, slots
    /// begin at a full hour, so that no two share a minute.
    pub(super) generation: u32,
    pub(super) exp: u64,
    /// From here on another token is made.
    until: u64,
}

impl Term {
    /// The term of the slot that holds `now`: it expires 18 hours after the slot begins, so that a
    /// token has 12 to 18 hours left while it is used.
    pub(super) const fn of_slot(now: u64) -> Self {
        let start = now - now % SLOT;
        Self { generation: minute(start), exp: start + 3 * SLOT, until: start + SLOT }
    }

    /// The term of a token made because the slot's was refused: 12 hours from now, used
    /// for as long as a slot's.
    pub(super) const fn renewed(now: u64) -> Self {
        // The first minute of a slot belongs to the slot's token.
        let first = if now % SLOT < 60 { 1 } else { 0 };
        let generation = minute(now).wrapping_add(first);
        Self { generation, exp: now + 2 * SLOT, until: now + SLOT }
    }

    /// The term after it, once that is only ten minutes away: time enough for a slow signer, and
    /// not so much that a push service would find its `exp` too late.
    pub(super) const fn next(&self, now: u64) -> Option<Self> {
        if now < self.until && self.until - now <= AHEAD { Some(Self::of_slot(self.until)) } else { None }
    }

    /// Whether a token is still used. A clock that stepped back a little keeps its token; one that
    /// was far ahead does not, because a service would refuse so late an `exp` (V-5).
    pub(super) const fn holds(&self, now: u64) -> bool {
        now < self.until && self.exp <= now + MAX_AHEAD
    }
}

#[allow(clippy::cast_possible_truncation, reason = "32 bits of minutes reach to the year 10136")]
const fn minute(seconds: u64) -> u32 {
    (seconds / 60) as u32
}

/// Exactly these, in this order (V-9).
#[derive(Serialize)]
struct Claims<'a> {
    aud: &'a str,
    exp: u64,
    sub: &'a str,
}

/// The JWT (RFC 7519) for one origin, but for its signature: what is signed.
pub(super) fn unsigned(contact: &Contact, aud: &str, exp: u64) -> String {
    let claims = serde_json::to_vec(&Claims { aud, exp, sub: contact.as_str() })
        .expect("two strings and a number are JSON");
    format!("{HEADER}.{}", base64url::encode(&claims))
}

/// The same with its signature.
pub(super) fn signed(mut unsigned: String, signature: &[u8; 64]) -> String {
    unsigned.push('.');
    unsigned.push_str(&base64url::encode(signature));
    unsigned
}

/// Whether a push service would take the signature (V-19).
pub(super) fn verify(key: &PublicKey, message: &[u8], signature: &[u8; 64]) -> bool {
    let key = VerifyingKey::from_sec1_bytes(key.as_bytes());
    let signature = Signature::from_slice(signature);
    matches!((key, signature), (Ok(key), Ok(signature)) if key.verify(message, &signature).is_ok())
}

/// The value of `Authorization` (V-10).
pub(super) fn authorization(token: &str, application_server_key: &str) -> HeaderValue {
    let mut header = HeaderValue::try_from(format!("vapid t={token}, k={application_server_key}"))
        .expect("base64url and dots are a header value");
    header.set_sensitive(true);
    header
}

#[cfg(test)]
mod tests {
    use super::super::VapidKey;
    use super::*;

    /// RFC 8292 section 2.4, signed with the key of RFC 6979 appendix A.2.5 (V-21).
    #[test]
    fn a_token_is_the_published_one_byte_for_byte() {
        let key = VapidKey::from_base64url("ya-p2EW6dRZrXCFXZ7HWk05Qw9s26JsSe4piKxIPZyE").unwrap();
        let contact = "mailto:push@example.com".parse().unwrap();
        let unsigned = unsigned(&contact, "https://push.example.net", 1_453_523_768);
        let signature = key.sign_now(unsigned.as_bytes());
        let token = signed(unsigned, &signature);
        assert_eq!(
            token,
            "eyJ0eXAiOiJKV1QiLCJhbGciOiJFUzI1NiJ9.eyJhdWQiOiJodHRwczovL3B1c2guZXhhbXBsZS5uZXQiLCJleHAiOjE0NTM1MjM3NjgsInN1YiI6Im1haWx0bzpwdXNoQGV4YW1wbGUuY29tIn0.AgM2YFbrVEamUqH1s0d19VnsJg5Om6oLYnlFtEHc3-7c5aoOzlAA0pD305O1-auw8Bf7IN0IqF_fzy9K53dS6Q"
        );
    }

    #[test]
    fn a_slot_leaves_twelve_to_eighteen_hours() {
        for now in (0..4 * SLOT).step_by(599) {
            let term = Term::of_slot(now);
            let left = term.exp - now;
            assert!(left > 12 * HOUR && left <= 18 * HOUR, "{now}");
            assert!(term.holds(now) && !term.holds(now + SLOT), "{now}");
        }
    }

    #[test]
    fn generations_grow_over_slots_and_renewals() {
        let start = 100 * SLOT;
        for renewed_at in [start, start + 59, start + 60, start + SLOT - 1] {
            let renewed = Term::renewed(renewed_at);
            assert!(Term::of_slot(renewed_at).generation < renewed.generation);
            assert!(renewed.generation < Term::of_slot(renewed_at + SLOT).generation);
            assert!(renewed.generation < Term::renewed(renewed_at + HOUR).generation);
        }
    }

    #[test]
    fn a_token_from_a_clock_far_ahead_is_not_used() {
        let now = 100 * SLOT;
        assert!(Term::of_slot(now).holds(now - 60), "a small step back keeps the token");
        assert!(!Term::of_slot(now + SLOT).holds(now - 60));
        assert!(!Term::renewed(now + 13 * HOUR).holds(now));
    }
}
