//! The measured table, a row for each request: what it was, what it got.

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use webpush_channels::Subscription;

use super::client::{NOW, Push, Vapid};
use super::legacy::{self, Parties};
use super::seal::seal;

/// What every message says.
pub(crate) const TEXT: &[u8] = b"hello";
/// The sender's key for one message, and the browser's for its subscription.
pub(crate) const SENDER: [u8; 32] = [7; 32];
pub(crate) const BROWSER: [u8; 32] = [8; 32];
pub(crate) const AUTH: [u8; 16] = [3; 16];
const SALT: [u8; 16] = [9; 16];

/// What a request gets.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Gets {
    /// 201 with this TTL, and the browser sees the text.
    Text(u32),
    /// 201, and the browser sees a message without payload.
    Null,
    /// 201, and the browser cannot open what it gets.
    Unopened,
    /// This status, error number and message.
    Error(u16, Option<u16>, &'static str),
}

pub(crate) use Gets::{Error, Null, Text, Unopened};

pub(crate) type Case = (&'static str, Push, Gets);

const UNFIT: &str = "Invalid VAPID token: A value in the vapid claims is either missing or incorrectly \
    specified (e.g. \"exp\":\"12345\" or \"sub\":null). Please correct and retry.";
const ALPHABET: &str = "topic: Topic must be URL and Filename safe Base64 alphabet";

/// Every case of the table that is a POST to an endpoint that exists.
pub(crate) fn all(to: &Subscription) -> Vec<Case> {
    [
        codings(to),
        drafts(to),
        ttls(to),
        audiences(to),
        expiries(to),
        contacts(to),
        headers(to),
        bodies(to),
        topics(to),
        ignored(to),
    ]
    .concat()
}

fn push(to: &Subscription) -> Push {
    Push::new(to, TEXT)
}

fn codings(to: &Subscription) -> Vec<Case> {
    let coding = |coding| push(to).with("content-encoding", coding);
    vec![
        ("valid aes128gcm", push(to), Text(60)),
        ("no body", Push::null(to), Null),
        ("no body, but Content-Encoding", Push::null(to).with("content-encoding", "aes128gcm"), Null),
        (
            "body without Content-Encoding",
            push(to).without("content-encoding"),
            Error(400, Some(110), "Missing Content-Encoding header"),
        ),
        (
            "gzip",
            coding("gzip"),
            Error(
                400,
                None,
                "payload reached EOF before completing: Some(Custom { kind: InvalidInput, error: \"invalid gzip header\" })",
            ),
        ),
        ("aesgcm128", coding("aesgcm128"), Error(400, Some(110), "Unknown Content-Encoding header")),
        ("AES128GCM", coding("AES128GCM"), Error(400, Some(110), "Unknown Content-Encoding header")),
        (
            "aes128gcm with dh",
            push(to).with("crypto-key", "dh=BAAA"),
            Error(400, Some(110), "Do not include 'dh' header in aes128gcm Crypto-Key header"),
        ),
        (
            "aes128gcm with salt",
            push(to).with("encryption", "salt=AAAA"),
            Error(400, Some(110), "Do not include 'salt' header in aes128gcm Encryption header"),
        ),
        (
            "stray p256ecdsa",
            push(to).with("crypto-key", &format!("p256ecdsa={}", Vapid::default().k())),
            Text(60),
        ),
        ("garbage", push(to).body(b"garbage that is no record".to_vec()), Unopened),
    ]
}

/// A message in `aesgcm`.
fn legacy(to: &Subscription) -> Push {
    let parties = parties(to);
    let dh = BASE64_URL_SAFE_NO_PAD.encode(parties.sender);
    push(to)
        .body(parties.seal(&SENDER, TEXT))
        .with("content-encoding", "aesgcm")
        .with("encryption", &format!("salt={}", BASE64_URL_SAFE_NO_PAD.encode(SALT)))
        .with("crypto-key", &format!("dh={dh}"))
}

pub(crate) fn parties(to: &Subscription) -> Parties {
    let receiver = *to.keys().p256dh().as_bytes();
    Parties { receiver, sender: legacy::public(&SENDER), auth: AUTH, salt: SALT }
}

/// What the drafts before RFC 8291 and RFC 8292 did.
fn drafts(to: &Subscription) -> Vec<Case> {
    let vapid = Vapid::default();
    let token = token(to, &json!({"exp": NOW + 3600, "sub": "mailto:ops@example.com"}));
    let (webpush, bearer) = (format!("WebPush {token}"), format!("Bearer {token}"));
    let k = vapid.k();
    let dh = BASE64_URL_SAFE_NO_PAD.encode(legacy::public(&SENDER));
    let padded = format!("keyid=\"p256dh\";dh=\"{dh}=\"");
    vec![
        ("aesgcm", legacy(to), Text(60)),
        ("aesgcm, quoted and padded", legacy(to).with("crypto-key", &padded), Text(60)),
        (
            "aesgcm, WebPush",
            legacy(to).with("authorization", &webpush).with("crypto-key", &format!("dh={dh};p256ecdsa={k}")),
            Text(60),
        ),
        (
            "aesgcm, WebPush, comma",
            legacy(to).with("authorization", &webpush).with("crypto-key", &format!("dh={dh},p256ecdsa={k}")),
            Text(60),
        ),
        (
            "aes128gcm, WebPush",
            push(to).with("authorization", &webpush).with("crypto-key", &format!("p256ecdsa={k}")),
            Text(60),
        ),
        (
            "aes128gcm, Bearer",
            push(to).with("authorization", &bearer).with("crypto-key", &format!("p256ecdsa={k}")),
            Text(60),
        ),
        (
            "aesgcm without Encryption",
            legacy(to).without("encryption"),
            Error(400, Some(110), "Missing Encryption header"),
        ),
        ("aesgcm without Crypto-Key", legacy(to).without("crypto-key"), Unopened),
        (
            "aesgcm without salt",
            legacy(to).with("encryption", "keyid=a"),
            Error(400, Some(110), "Missing salt value in Encryption header"),
        ),
        (
            "aesgcm without dh",
            legacy(to).with("crypto-key", "keyid=a"),
            Error(400, Some(110), "Missing dh value in Crypto-Key header"),
        ),
    ]
}

fn ttls(to: &Subscription) -> Vec<Case> {
    let missing = Error(400, Some(111), "Missing TTL value");
    let ttl = |ttl| push(to).with("ttl", ttl);
    vec![
        ("TTL 0", ttl("0"), Text(0)),
        ("TTL 30 days", ttl("2592000"), Text(2_592_000)),
        ("TTL 30 days and a second", ttl("2592001"), Text(2_592_000)),
        ("TTL 99999999", ttl("99999999"), Text(2_592_000)),
        ("TTL 2^32", ttl("4294967296"), Text(2_592_000)),
        ("TTL > i64", ttl("9223372036854775808"), missing),
        ("TTL -1", ttl("-1"), Error(400, Some(114), "ttl: TTL must be greater than 0")),
        ("TTL abc", ttl("abc"), missing),
        ("TTL 60.5", ttl("60.5"), missing),
        ("TTL empty", ttl(""), missing),
        ("no TTL", push(to).without("ttl"), missing),
    ]
}

/// A token with these claims, and the right `aud` where they have none.
fn token(to: &Subscription, claims: &Value) -> String {
    let mut claims = claims.clone();
    let origin = to.endpoint().origin();
    claims.as_object_mut().unwrap().entry("aud").or_insert(origin.as_str().into());
    Vapid::default().token(&claims.to_string())
}

fn authorized(to: &Subscription, claims: &Value) -> Push {
    push(to).with("authorization", &format!("vapid t={}, k={}", token(to, claims), Vapid::default().k()))
}

fn audiences(to: &Subscription) -> Vec<Case> {
    let origin = to.endpoint().origin();
    let origin = origin.as_str();
    let aud =
        |aud: Value| authorized(to, &json!({"aud": aud, "exp": NOW + 3600, "sub": "mailto:a@example.com"}));
    let wrong = Error(401, Some(109), "Invalid VAPID audience");
    let missing = Vapid::default().header_of(&json!({"exp": NOW + 3600}).to_string());
    vec![
        ("aud of another", aud("https://example.com".into()), wrong),
        ("aud with a slash", aud(format!("{origin}/").into()), wrong),
        ("aud is the endpoint", aud(to.endpoint().as_str().into()), wrong),
        ("aud by address", aud(origin.replace("localhost", "127.0.0.1").into()), wrong),
        ("aud as array", aud(json!([origin])), Error(401, Some(109), UNFIT)),
        (
            "no aud",
            push(to).with("authorization", &missing),
            Error(401, Some(109), "Invalid VAPID token: Missing required aud"),
        ),
    ]
}

fn expiries(to: &Subscription) -> Vec<Case> {
    let exp = |exp: Value| authorized(to, &json!({"exp": exp, "sub": "mailto:a@example.com"}));
    let expired = Error(401, Some(109), "ExpiredSignature");
    let too_long = Error(401, Some(109), "The VAPID token expiration is too long");
    let unfit = Error(401, Some(109), UNFIT);
    vec![
        ("no exp", authorized(to, &json!({"sub": "mailto:a@example.com"})), unfit),
        ("exp 30 s ago", exp((NOW - 30).into()), Text(60)),
        ("exp 90 s ago", exp((NOW - 90).into()), expired),
        ("exp 1 h ago", exp((NOW - 3600).into()), expired),
        ("exp in 24 h - 60 s", exp((NOW + 86_340).into()), Text(60)),
        ("exp in 24 h + 120 s", exp((NOW + 86_520).into()), too_long),
        ("exp as string", exp((NOW + 3600).to_string().into()), unfit),
        ("exp as float", exp(1_700_003_600.5.into()), unfit),
        ("exp in ms", exp(((NOW + 3600) * 1000).into()), too_long),
    ]
}

fn contacts(to: &Subscription) -> Vec<Case> {
    let sub = |sub: Value| authorized(to, &json!({"exp": NOW + 3600, "sub": sub}));
    vec![
        ("no sub", authorized(to, &json!({"exp": NOW + 3600})), Text(60)),
        ("sub null", sub(Value::Null), Text(60)),
        ("sub foo", sub("foo".into()), Text(60)),
        ("sub https", sub("https://example.com".into()), Text(60)),
        ("sub in brackets", sub("mailto: <a@b>".into()), Text(60)),
        ("sub at localhost", sub("mailto:x@localhost".into()), Text(60)),
        ("other claims", authorized(to, &json!({"exp": NOW + 3600, "iat": NOW, "jti": "x"})), Text(60)),
    ]
}

fn headers(to: &Subscription) -> Vec<Case> {
    let (vapid, other) = (Vapid::default(), Vapid::of([6; 32]));
    let (t, k) = (token(to, &json!({"exp": NOW + 3600})), vapid.k());
    let origin = to.endpoint().origin();
    let standard = BASE64_STANDARD_NO_PAD.encode(vapid.public());
    assert!(standard.contains(['+', '/']), "the key shows the alphabet");
    let with = |header: String| push(to).with("authorization", &header);
    let labelled = |header| {
        let vapid = Vapid { header, ..Vapid::default() };
        with(vapid.header(origin.as_str()))
    };
    let error = |message| Error(401, Some(109), message);
    let mut damaged = t.clone().into_bytes();
    let last = damaged.len() - 10;
    damaged[last] = if damaged[last] == b'A' { b'B' } else { b'A' };
    let damaged = String::from_utf8(damaged).unwrap();
    let by_other = other.header(origin.as_str());
    let mixed = format!("{}, k={k}", by_other.split(',').next().unwrap());
    vec![
        ("no Authorization", push(to).without("authorization"), error("Missing VAPID public key")),
        ("bad signature", with(format!("vapid t={damaged}, k={k}")), error("InvalidSignature")),
        ("another key", with(by_other), error("VAPID public key mismatch")),
        ("our k, signed by another", with(mixed), error("InvalidSignature")),
        ("k padded", with(format!("vapid t={t}, k={k}=")), Text(60)),
        ("k in standard base64", with(format!("vapid t={t}, k={standard}")), Text(60)),
        ("k first", with(format!("vapid k={k}, t={t}")), Text(60)),
        ("no space", with(format!("vapid t={t},k={k}")), Text(60)),
        ("Vapid", with(format!("Vapid t={t}, k={k}")), Text(60)),
        ("semicolon", with(format!("vapid t={t}; k={k}")), error("Missing VAPID public key")),
        (
            "quoted",
            with(format!("vapid t=\"{t}\", k=\"{k}\"")),
            error("Invalid VAPID public key: Invalid symbol 34, offset 88."),
        ),
        ("no k", with(format!("vapid t={t}")), error("Missing VAPID public key")),
        ("no t", with(format!("vapid k={k}")), error("Missing VAPID token")),
        ("Basic", with(format!("Basic {t}")), error("Unknown auth scheme")),
        ("no typ", labelled(r#"{"alg":"ES256"}"#), Text(60)),
        ("typ jwt", labelled(r#"{"typ":"jwt","alg":"ES256"}"#), Text(60)),
        ("alg HS256", labelled(r#"{"typ":"JWT","alg":"HS256"}"#), error("InvalidAlgorithm")),
    ]
}

fn bodies(to: &Subscription) -> Vec<Case> {
    let large = |octets| push(to).body(vec![0; octets]);
    let too_large = Error(413, Some(104), "payload reached size limit");
    let full = seal(to.keys(), &SENDER, SALT, TEXT, 3993 - TEXT.len());
    assert_eq!(full.len(), 4096);
    vec![
        ("4096 octets", push(to).body(full), Text(60)),
        ("4097 octets", large(4097), too_large),
        ("5630 octets", large(5630), too_large),
        ("5631 octets", large(5631), too_large),
        ("20000 octets", large(20_000), too_large),
        ("no Content-Type", push(to).without("content-type"), Text(60)),
        ("application/octet-stream", push(to), Text(60)),
        ("application/json", push(to).with("content-type", "application/json"), Text(60)),
    ]
}

fn topics(to: &Subscription) -> Vec<Case> {
    let topic = |topic| push(to).with("topic", topic);
    let alphabet = Error(400, Some(113), ALPHABET);
    let long = Error(400, Some(113), "topic: Topic must be no greater than 32 characters");
    vec![
        ("32 characters", topic("abcdefghijklmnopqrstuvwxyz012345"), Text(60)),
        ("33 characters", topic("abcdefghijklmnopqrstuvwxyz0123456"), long),
        ("- and _", topic("a-b_c"), Text(60)),
        ("dot", topic("a.b"), alphabet),
        ("space", topic("a b"), alphabet),
        ("+ and /", topic("a+b/"), alphabet),
        ("padding", topic("ab=="), Text(60)),
        ("empty", topic(""), alphabet),
    ]
}

/// Headers that change nothing.
fn ignored(to: &Subscription) -> Vec<Case> {
    let mut cases = vec![("Prefer", push(to).with("prefer", "respond-async"), Text(60))];
    for urgency in ["very-low", "low", "normal", "high", "bogus", "", "low,high"] {
        cases.push(("Urgency", push(to).with("urgency", urgency), Text(60)));
    }
    cases
}
