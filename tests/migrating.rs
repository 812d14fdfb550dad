//! Keys and subscriptions between this crate and the tools that people come from.
//!
//! The files of `fixtures/` were written once by the tools themselves, and `reads_ours.txt` is what
//! each of them made of our files: the README beside them has versions and commands.

#![allow(clippy::unwrap_used, reason = "a test may")]

use http::StatusCode;
use serde_json::Value;
use webpush_channels::engine::vapid::{Vapid, VapidKey, VapidKeyError};
use webpush_channels::sender::Sender;
use webpush_channels::testing::{StubReply, StubTransport};
use webpush_channels::{Message, OutcomeKind, Payload, Subscription, Ttl};

/// The public key of `fixtures/ours`.
const OURS: &str = include_str!("fixtures/ours/public_key.base64url");

#[track_caller]
fn same_key<const N: usize>(keys: [Result<VapidKey, VapidKeyError>; N], public: &str) -> VapidKey {
    for (number, key) in keys.iter().enumerate() {
        assert_eq!(key.as_ref().unwrap().application_server_key(), public.trim(), "key {number}");
    }
    keys.into_iter().next().unwrap().unwrap()
}

mod web_push {
    use super::*;

    const DER: &[u8] = include_bytes!("fixtures/web-push/private_key.der");
    const NOOUT: &str = include_str!("fixtures/web-push/private_key_noout.pem");
    const PEM: &str = include_str!("fixtures/web-push/private_key.pem");
    const PUBLIC: &str = include_str!("fixtures/web-push/public_key.base64url");

    #[test]
    fn its_keys_are_read_and_written_again() {
        assert!(PEM.starts_with("-----BEGIN EC PARAMETERS-----"));
        let keys = [
            VapidKey::from_text(PEM),
            VapidKey::from_pem(PEM),
            VapidKey::from_octets(PEM.as_bytes()),
            VapidKey::from_text(NOOUT),
            VapidKey::from_der(DER),
            VapidKey::from_octets(DER),
        ];
        let key = same_key(keys, PUBLIC);
        assert_eq!(key.to_sec1_pem().expose(), NOOUT);
        assert_eq!(key.to_sec1_der().expose(), DER);
    }

    #[test]
    fn its_subscriptions_are_read() {
        let theirs = include_str!("fixtures/web-push/subscription.json");
        let read = Subscription::from_json(theirs).unwrap();
        assert_eq!(read, our_subscription());
        // It writes no `expirationTime`, and skips ours.
        let mut written = serde_json::to_value(&read).unwrap();
        assert_eq!(written.as_object_mut().unwrap().remove("expirationTime"), Some(Value::Null));
        assert_eq!(written, serde_json::from_str::<Value>(theirs).unwrap());
    }

    /// It reads SEC1 only where it reads DER.
    #[test]
    fn it_reads_ours() {
        let told = Told::parse(include_str!("fixtures/web-push/reads_ours.txt"));
        told.key(&["pem ours/pkcs8.pem", "pem ours/sec1.pem", "der ours/sec1.der"]);
        told.key(&["base64 ours/private_key.base64url"]);
        told.refuses(&["der ours/pkcs8.der"]);
        told.sends(&["ours/subscription.json", "ours/subscription_expiring.json"]);
        assert_eq!(told.0.len(), 7);
    }
}

mod web_push_native {
    use super::*;

    const BASE64URL: &str = include_str!("fixtures/web-push-native/private_key.base64url");
    const DER: &[u8] = include_bytes!("fixtures/web-push-native/private_key.der");
    const PEM: &str = include_str!("fixtures/web-push-native/private_key.pem");
    const PUBLIC: &str = include_str!("fixtures/web-push-native/public_key.base64url");
    const RAW: &[u8; 32] = include_bytes!("fixtures/web-push-native/private_key.raw");

    #[test]
    fn its_keys_are_read_and_written_again() {
        let keys = [
            VapidKey::from_text(PEM),
            VapidKey::from_der(DER),
            VapidKey::from_scalar(RAW),
            VapidKey::from_octets(RAW),
            VapidKey::from_octets(DER),
            VapidKey::from_text(BASE64URL),
            VapidKey::from_base64url(BASE64URL),
        ];
        let key = same_key(keys, PUBLIC);
        assert_eq!(key.to_pkcs8_pem().expose(), PEM);
        assert_eq!(key.to_pkcs8_der().expose(), DER);
        assert_eq!(key.to_scalar().expose(), RAW);
        assert_eq!(key.to_base64url().expose(), BASE64URL);
    }

    #[test]
    fn its_subscriptions_are_read_and_written_again() {
        let theirs = include_str!("fixtures/web-push-native/subscription.json");
        let read = Subscription::from_json(theirs).unwrap();
        assert_eq!(read, our_subscription());
        assert_eq!(serde_json::to_value(&read).unwrap(), serde_json::from_str::<Value>(theirs).unwrap());
    }

    /// It reads PKCS#8 only, and no time of expiration.
    #[test]
    fn it_reads_ours() {
        let told = Told::parse(include_str!("fixtures/web-push-native/reads_ours.txt"));
        told.key(&["pem ours/pkcs8.pem", "der ours/pkcs8.der"]);
        told.key(&["raw ours/private_key.raw", "base64url ours/private_key.base64url"]);
        told.refuses(&["pem ours/sec1.pem", "der ours/sec1.der", "ours/subscription_expiring.json"]);
        told.sends(&["ours/subscription.json"]);
        assert_eq!(told.0.len(), 8);
    }
}

mod node_web_push {
    use super::*;

    const PAIR: &str = include_str!("fixtures/node-web-push/vapid.json");

    #[test]
    fn its_pair_is_read_and_written_again() {
        let pair: Value = serde_json::from_str(PAIR).unwrap();
        let member = |name: &str| pair[name].as_str().unwrap();
        let (private, public) = (member("privateKey"), member("publicKey"));
        let keys = [
            VapidKey::from_text(PAIR),
            VapidKey::from_json_pair(PAIR),
            VapidKey::from_octets(PAIR.as_bytes()),
            VapidKey::from_base64url_pair(private, public),
            VapidKey::from_base64url(private),
        ];
        let key = same_key(keys, public);
        assert_eq!(key.to_json_pair().expose(), PAIR.trim_end());
        assert_eq!(key.to_base64url().expose(), private);
    }

    #[test]
    fn a_pair_that_is_none_is_refused() {
        let changed = |from: &str, to: &str| VapidKey::from_text(&PAIR.replace(from, to)).unwrap_err();
        let other = VapidKey::generate().unwrap().application_server_key();
        let ours = VapidKey::from_text(PAIR).unwrap().application_server_key();
        assert!(matches!(changed(&ours, &other), VapidKeyError::Mismatch));
        assert!(matches!(changed(&ours, "BA"), VapidKeyError::PublicKey));
        assert!(matches!(changed("publicKey", "public"), VapidKeyError::Pair { member: "publicKey" }));
        // Without the private member it is told of as what it may be as well.
        assert!(matches!(changed("privateKey", "private"), VapidKeyError::Jwk { member: "kty" }));
        let specific = VapidKey::from_json_pair(&PAIR.replace("privateKey", "private"));
        assert!(matches!(specific, Err(VapidKeyError::Pair { member: "privateKey" })));
        assert!(matches!(VapidKey::from_json_pair("[7]"), Err(VapidKeyError::Json { line: 1, .. })));
        assert!(matches!(VapidKey::from_json_pair(" "), Err(VapidKeyError::Empty)));
    }

    #[test]
    fn it_reads_ours() {
        let told = Told::parse(include_str!("fixtures/node-web-push/reads_ours.txt"));
        for subscription in ["subscription", "subscription_expiring"] {
            told.key(&[&format!("ours/{subscription}.json ours/pair.json")]);
        }
        assert_eq!(told.0.len(), 2);
    }
}

mod py_vapid {
    use super::*;

    const DER: &str = include_str!("fixtures/py-vapid/private_key.der.base64url");
    const PEM: &str = include_str!("fixtures/py-vapid/private_key.pem");
    const PRINTED: &str = include_str!("fixtures/py-vapid/application_server_key.txt");
    const RAW: &str = include_str!("fixtures/py-vapid/private_key.base64url");

    fn public() -> &'static str {
        PRINTED.trim().strip_prefix("Application Server Key = ").unwrap()
    }

    #[test]
    fn its_keys_are_read_and_written_again() {
        let keys = [
            VapidKey::from_text(PEM),
            VapidKey::from_text(DER),
            VapidKey::from_base64_der(DER),
            VapidKey::from_octets(DER.as_bytes()),
            VapidKey::from_text(RAW),
            VapidKey::from_base64url(RAW),
        ];
        let key = same_key(keys, public());
        assert_eq!(key.to_pkcs8_pem().expose(), PEM);
        assert_eq!(key.to_base64url().expose(), RAW);
    }

    #[test]
    fn its_public_file_is_not_taken_for_the_private_one() {
        let error = VapidKey::from_text(include_str!("fixtures/py-vapid/public_key.pem")).unwrap_err();
        assert!(matches!(error, VapidKeyError::NotPrivate { found: "a public key" }), "{error:?}");
    }

    /// `Vapid.from_string` and `from_der` take either alphabet, padded or not, with line breaks.
    #[test]
    fn a_string_is_read_however_it_is_spelled() {
        let body: Vec<&str> = PEM.lines().filter(|line| !line.starts_with("-----")).collect();
        for text in
            [body.concat(), body.join("\n"), body.join("\r\n"), format!(" {DER}\n"), format!("{DER}=")]
        {
            // 138 octets of DER need no padding: one too many is not base64.
            let read = VapidKey::from_text(&text);
            assert_eq!(read.is_ok(), !text.ends_with('='), "{text}");
            assert_eq!(VapidKey::from_base64_der(&text).is_ok(), read.is_ok());
        }
        let standard = RAW.replace('-', "+").replace('_', "/") + "=";
        assert_eq!(VapidKey::from_text(&standard).unwrap().application_server_key(), public());
    }

    #[test]
    fn it_reads_ours() {
        let told = Told::parse(include_str!("fixtures/py-vapid/reads_ours.txt"));
        told.key(&["from_file pkcs8.pem ours", "from_file sec1.pem ours", "from_pem pkcs8.pem ours"]);
        told.key(&["from_string private_key.base64url ours", "from_raw private_key.base64url ours"]);
        told.key(&["from_string pkcs8.der in base64url ours"]);
        told.sends(&["ours/subscription.json", "ours/subscription_expiring.json"]);
        assert_eq!(told.0.len(), 8);
    }
}

#[test]
fn what_the_tools_were_given_is_what_is_written_now() {
    let key = VapidKey::from_text(include_str!("fixtures/ours/pkcs8.pem")).unwrap();
    assert_eq!(key.application_server_key(), OURS);
    assert_eq!(key.to_pkcs8_pem().expose(), include_str!("fixtures/ours/pkcs8.pem"));
    assert_eq!(key.to_pkcs8_der().expose(), include_bytes!("fixtures/ours/pkcs8.der"));
    assert_eq!(key.to_sec1_pem().expose(), include_str!("fixtures/ours/sec1.pem"));
    assert_eq!(key.to_sec1_der().expose(), include_bytes!("fixtures/ours/sec1.der"));
    assert_eq!(key.to_scalar().expose(), include_bytes!("fixtures/ours/private_key.raw"));
    for (written, file) in [
        (key.to_base64url(), include_str!("fixtures/ours/private_key.base64url")),
        (key.to_json_pair(), include_str!("fixtures/ours/pair.json")),
        (key.to_jwk(), include_str!("fixtures/ours/jwk.json")),
    ] {
        assert_eq!(written.expose(), file.trim_end());
    }
    for file in [
        include_str!("fixtures/ours/subscription.json"),
        include_str!("fixtures/ours/subscription_expiring.json"),
    ] {
        let subscription = Subscription::from_json(file).unwrap();
        assert_eq!(serde_json::to_string(&subscription).unwrap(), file);
        // `sha256sum` of the endpoint in quotes.
        assert_eq!(
            subscription.id().to_string(),
            "903b842c214e8652106f5ce0e446b429375c7c375d1cf0c99a95c61ba6ee6dd1"
        );
    }
}

/// The table of `docs/migrating.md`. The origin is no vendor's, so that the status alone decides.
#[tokio::test(start_paused = true)]
async fn each_answer_becomes_the_outcome_that_the_document_names() {
    for (status, outcome, repeated) in [
        (400, OutcomeKind::BadRequest, false),
        (401, OutcomeKind::AuthRefused, true),
        (403, OutcomeKind::AuthRefused, true),
        (404, OutcomeKind::Gone, false),
        (410, OutcomeKind::Gone, false),
        (413, OutcomeKind::TooLarge, false),
        (429, OutcomeKind::Throttled, true),
        (500, OutcomeKind::GaveUp, true),
        (503, OutcomeKind::GaveUp, true),
    ] {
        let status = StatusCode::from_u16(status).unwrap();
        let stub = StubTransport::answering(move |_| StubReply::status(status));
        let vapid = Vapid::new(VapidKey::generate().unwrap(), "mailto:push@your-domain.net".parse().unwrap());
        let message = Message::new(Payload::new("It is raining").unwrap(), Ttl::hours(24));
        let sent = Sender::builder(vapid, stub).build().send(&our_subscription(), &message).await;
        assert_eq!((status, sent.outcome.kind()), (status, outcome));
        assert_eq!(sent.attempts > 1, repeated, "{status}: {} attempts", sent.attempts);
    }
}

#[test]
fn a_file_that_is_no_key_stays_none() {
    let rsa: String = include_str!("keys/rsa.pem").lines().filter(|line| !line.starts_with('-')).collect();
    let public: String =
        include_str!("keys/public.pem").lines().filter(|line| !line.starts_with('-')).collect();
    for (file, check) in [
        (rsa.as_bytes(), (|e| matches!(e, VapidKeyError::Algorithm { .. })) as fn(&VapidKeyError) -> bool),
        (public.as_bytes(), |e| matches!(e, VapidKeyError::Der(_))),
        // Of the length of a scalar, and text: 24 octets of base64.
        (b"correcthorsebatterystaplecorrect", |e| matches!(e, VapidKeyError::Length { octets: 24 })),
        (&[0xff; 32], |e| matches!(e, VapidKeyError::Scalar)),
        (&[0xff; 33], |e| matches!(e, VapidKeyError::Der(_))),
        (&vec![b'A'; 100_000], |e| matches!(e, VapidKeyError::TooLong { len: 100_000, .. })),
        (b"", |e| matches!(e, VapidKeyError::Empty)),
    ] {
        let error = VapidKey::from_octets(file).unwrap_err();
        assert!(check(&error), "{error:?}");
    }
}

fn our_subscription() -> Subscription {
    Subscription::from_json(include_str!("fixtures/ours/subscription.json")).unwrap()
}

/// What a tool said of each of our files: `FILE: ANSWER`.
struct Told(Vec<(&'static str, &'static str)>);

impl Told {
    fn parse(text: &'static str) -> Self {
        Self(text.lines().filter_map(|line| line.split_once(": ")).collect())
    }

    #[track_caller]
    fn of(&self, file: &str) -> &'static str {
        self.0.iter().find(|(name, _)| *name == file).unwrap().1
    }

    #[track_caller]
    fn key(&self, files: &[&str]) {
        for file in files {
            assert!(self.of(file).starts_with(OURS), "{file}: {}", self.of(file));
        }
    }

    #[track_caller]
    fn refuses(&self, files: &[&str]) {
        for file in files {
            assert!(self.of(file).starts_with("error: "), "{file}: {}", self.of(file));
        }
    }

    #[track_caller]
    fn sends(&self, files: &[&str]) {
        let subscription = our_subscription();
        for file in files {
            let endpoint = subscription.endpoint().as_str();
            assert!(self.of(file).contains(endpoint), "{file}: {}", self.of(file));
        }
    }
}
