//! Bearer tokens: nobody gets in without a signature, and whoever has one is whom the token names.
//!
//! Input: `r` and a token; or `s`, how to sign (an octet), a line with the head and the claims after it.
#![no_main]

use std::time::UNIX_EPOCH;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};
use libfuzzer_sys::fuzz_target;
use serde_json::{Map, Value};
use sha2::{Sha256, Sha384, Sha512};
use webpush_channels::{Clock, SystemClock};
use webpush_channels_fuzz::{Fields, Served, scratch};
use webpush_channels_server::auth::{Authenticate, Bearer, BearerOptions};

const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

thread_local! {
    static BEARER: Served<Bearer> = const { Served::new(u32::MAX, |_| bearer()) };
}

fn bearer() -> Bearer {
    let directory = scratch();
    let path = directory.path().join("secret");
    std::fs::write(&path, SECRET).expect("a place for files");
    let mut options = BearerOptions::default();
    options.key = Some(path);
    Bearer::new(&options).expect("a long secret is a key")
}

fuzz_target!(|data: &[u8]| {
    let mut fields = Fields::new(data);
    let token = match fields.octet() {
        b'r' => fields.rest().to_vec(),
        b's' => {
            let how = fields.octet();
            let head = fields.line();
            sign(how, head.as_bytes(), fields.rest())
        }
        _ => return,
    };
    let Ok(value) = HeaderValue::from_bytes(&[b"Bearer ", &*token].concat()) else { return };
    let mut headers = HeaderMap::new();
    headers.insert(AUTHORIZATION, value);
    let user =
        BEARER.with(|served| served.with(|bearer, runtime| runtime.block_on(bearer.authenticate(&headers))));
    if let Some(user) = user {
        let token = std::str::from_utf8(&token).expect("a token is ASCII").trim();
        let name = read(token).expect("who gets in has a token that is signed and in time");
        assert_eq!(user.as_str(), format!("bearer:{name}"));
    }
});

fn sign(how: u8, head: &[u8], claims: &[u8]) -> Vec<u8> {
    let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(head), URL_SAFE_NO_PAD.encode(claims));
    let signature = match how {
        b'0' => Vec::new(),
        b'3' => mac::<Hmac<Sha384>>(signed.as_bytes()),
        b'5' => mac::<Hmac<Sha512>>(signed.as_bytes()),
        _ => mac::<Hmac<Sha256>>(signed.as_bytes()),
    };
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)).into_bytes()
}

fn mac<M: Mac + KeyInit>(message: &[u8]) -> Vec<u8> {
    let mut mac = <M as KeyInit>::new_from_slice(SECRET).expect("HMAC takes any key");
    mac.update(message);
    mac.finalize().into_bytes().to_vec()
}

/// Whom a token names, by the text of RFC 7515 and RFC 7519. `None`: it is not to be taken.
fn read(token: &str) -> Option<String> {
    let (signed, signature) = token.rsplit_once('.')?;
    let (head, claims) = signed.split_once('.')?;
    let json = |text: &str| -> Option<Map<String, Value>> {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()
    };
    let (head, claims) = (json(head)?, json(claims)?);
    let expected = match head.get("alg")?.as_str()? {
        "HS256" => mac::<Hmac<Sha256>>(signed.as_bytes()),
        "HS384" => mac::<Hmac<Sha384>>(signed.as_bytes()),
        "HS512" => mac::<Hmac<Sha512>>(signed.as_bytes()),
        _ => return None,
    };
    let now = SystemClock::default().now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs_f64();
    // Clocks may differ by 30 seconds, and a second goes by between two looks.
    let in_time = claims.get("exp")?.as_f64()? > now - 32.0;
    let begun = claims.get("nbf").is_none_or(|nbf| nbf.as_f64().is_some_and(|nbf| nbf < now + 32.0));
    let name = claims.get("sub")?.as_str()?;
    let plain = (1..=200).contains(&name.chars().count()) && !name.chars().any(char::is_control);
    let right = URL_SAFE_NO_PAD.decode(signature).ok()? == expected;
    let critical = head.contains_key("crit") || claims.contains_key("aud");
    (in_time && begun && plain && right && !critical).then(|| name.to_owned())
}
