//! Key files for bearer tokens, of the operator: whatever is in them, nobody gets in with a token that is not signed.
//!
//! Input: `k` and a key file, or `j` and a JWK Set.
#![no_main]

use std::cell::OnceCell;

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};
use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;
use webpush_channels_fuzz::{Fields, Served, scratch, whole};
use webpush_channels_server::auth::{Authenticate, Bearer, BearerOptions};

/// `{"alg":ALG}`, `{"exp":9999999999,"sub":"mallory"}`, and as good a signature as one has without a key.
const UNSIGNED: [&str; 4] = [
    "Bearer eyJhbGciOiJub25lIn0.eyJleHAiOjk5OTk5OTk5OTksInN1YiI6Im1hbGxvcnkifQ.",
    "Bearer eyJhbGciOiJIUzI1NiJ9.eyJleHAiOjk5OTk5OTk5OTksInN1YiI6Im1hbGxvcnkifQ.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    "Bearer eyJhbGciOiJFUzI1NiJ9.eyJleHAiOjk5OTk5OTk5OTksInN1YiI6Im1hbGxvcnkifQ.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    "Bearer eyJhbGciOiJSUzI1NiJ9.eyJleHAiOjk5OTk5OTk5OTksInN1YiI6Im1hbGxvcnkifQ.AA",
];

thread_local! {
    static DIRECTORY: OnceCell<TempDir> = const { OnceCell::new() };
    static RUNTIME: Served<()> = const { Served::new(u32::MAX, |_| ()) };
}

fuzz_target!(|data: &[u8]| {
    let mut fields = Fields::new(data);
    let kind = fields.octet();
    let path = DIRECTORY.with(|directory| directory.get_or_init(scratch).path().join("keys"));
    std::fs::write(&path, fields.rest()).expect("a place for files");
    let mut options = BearerOptions::default();
    match kind {
        b'k' => options.key = Some(path),
        b'j' => options.jwks = Some(path),
        _ => return,
    }
    let bearer = match Bearer::new(&options) {
        Ok(bearer) => bearer,
        Err(error) => {
            whole(&error);
            return;
        }
    };
    for token in UNSIGNED {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, HeaderValue::from_static(token));
        let user =
            RUNTIME.with(|served| served.with(|(), runtime| runtime.block_on(bearer.authenticate(&headers))));
        assert_eq!(user, None);
    }
});
